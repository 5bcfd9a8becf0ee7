"""Read the syncs: one task of a Dag that writes to one account, with its rhythm and its rows day by day."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.database.schema import runs
from airflow_provider_crm.queries.expressions import of_dags
from airflow_provider_crm.queries.run_counts import RunCounts, outcomes_of

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

_LEAST_RUNS = 3
"""Runs that show a rhythm."""


@dataclass(slots=True)
class DayCounts:
    """The rows of one day."""

    landed: int = 0
    refused: int = 0
    unanswered: int = 0


@dataclass(slots=True)
class Sync:
    """One task of a Dag that writes to one account.

    Attributes:
        dag_id: The Dag.
        task_id: The task, with its map index in brackets if it is mapped.
        account: The account.
        runs: Number of its runs in the time that was read.
        first_at: Start of the first of them.
        last_at: Start of the last one.
        days: Counts by day, in UTC; a day without a run is missing.
    """

    dag_id: str
    task_id: str
    account: str
    runs: int
    first_at: dt.datetime
    last_at: dt.datetime
    days: dict[dt.date, DayCounts] = field(default_factory=dict)

    @property
    def interval(self) -> dt.timedelta | None:
        """Mean time between two runs; None as long as its runs show no rhythm."""
        return None if self.runs < _LEAST_RUNS else (self.last_at - self.first_at) / (self.runs - 1)

    @property
    def landed(self) -> int:
        """Number of rows that were written in all days."""
        return sum(day.landed for day in self.days.values())

    @property
    def refused(self) -> int:
        """Number of rows that were refused in all days."""
        return sum(day.refused for day in self.days.values())

    def add(self, row: Row[Any]) -> None:
        """Add runs of one day that have the same counts."""
        self.runs += row.number
        self.first_at, self.last_at = min(self.first_at, row.first_at), max(self.last_at, row.last_at)
        counts = RunCounts(outcomes=outcomes_of(json.loads(row.outcomes or "{}")))
        day = self.days.setdefault(row.day, DayCounts())
        day.landed += row.number * counts.landed
        day.refused += row.number * counts.refused
        day.unanswered += row.number * counts.unanswered


def syncs(connection: Connection, dags: Collection[str], since: dt.datetime) -> list[Sync]:
    """Return the syncs of some Dags that ran since a point in time, the most recent first."""
    dag_id, task_id = key_parts(connection, runs.c.run_key)
    moment = runs.c.started_at
    first_at, last_at = sa.func.min(moment, type_=moment.type), sa.func.max(moment, type_=moment.type)
    day = dialect_of(connection).day_of(moment)
    alike = (dag_id.label("dag_id"), task_id.label("task_id"), runs.c.account, day.label("day"), runs.c.outcomes)
    query = sa.select(*alike, sa.func.count().label("number"), first_at.label("first_at"), last_at.label("last_at"))
    query = query.where(of_dags(connection, runs.c.run_key, dags), moment >= since)
    query = query.group_by(*(sa.literal_column(str(number + 1)) for number in range(len(alike))))
    found: dict[tuple[str, str, str], Sync] = {}
    for row in connection.execute(query):
        key = (row.dag_id, row.task_id, row.account)
        found.setdefault(key, Sync(*key, 0, row.first_at, row.last_at)).add(row)
    return sorted(found.values(), key=lambda sync: sync.last_at, reverse=True)


def key_parts(
    connection: Connection, run_key: sa.ColumnElement[str]
) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
    """Return the expressions of Dag and task of a run key, which is `dag/task/run`."""
    dialect = dialect_of(connection)
    dag_id = dialect.text_before(run_key, "/")
    return dag_id, dialect.text_before(sa.func.substr(run_key, sa.func.length(dag_id) + 2), "/")
