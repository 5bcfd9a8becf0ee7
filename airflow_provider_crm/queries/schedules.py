"""Read from Airflow when Dags are to run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from airflow.models.dag import DagModel
from airflow.utils.session import create_session
from sqlalchemy import select

_WITHOUT = "NullTimetable"


@dataclass(frozen=True, slots=True)
class DagSchedule:
    """The schedule of one Dag.

    Attributes:
        next_at: When its next run is to be made; None if Airflow has no such time.
        is_paused: Whether it is paused.
        is_regular: Whether it runs by itself; a Dag without a schedule runs when a person wants it.
    """

    next_at: dt.datetime | None
    is_paused: bool
    is_regular: bool


def schedules(dag_ids: Iterable[str]) -> dict[str, DagSchedule]:
    """Return the schedules of those of some Dags that Airflow knows."""
    wanted = sorted(set(dag_ids))
    if not wanted:
        return {}
    columns = (DagModel.dag_id, DagModel.next_dagrun_create_after, DagModel.is_paused, DagModel.timetable_type)
    with create_session() as session:
        return {
            dag_id: DagSchedule(next_at, is_paused, _WITHOUT not in (timetable or ""))
            for dag_id, next_at, is_paused, timetable in session.execute(
                select(*columns).where(DagModel.dag_id.in_(wanted))
            )
        }
