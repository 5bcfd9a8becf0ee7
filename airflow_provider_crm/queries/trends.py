"""Count landed and refused rows day by day, for each sync."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.database.schema import runs
from airflow_provider_crm.queries.run_counts import RunCounts, outcomes_of
from airflow_provider_crm.queries.syncs import key_parts

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.queries.run_filter import RunFilter


@dataclass(slots=True)
class DayCounts:
    """The rows of one day."""

    landed: int = 0
    refused: int = 0
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class Trend:
    """One sync day by day, in UTC.

    Attributes:
        dag_id: The Dag.
        task_id: The task.
        account: The account.
        days: Counts by day; a day without a run is missing.
    """

    dag_id: str
    task_id: str
    account: str
    days: dict[dt.date, DayCounts] = field(default_factory=dict)

    @property
    def landed(self) -> int:
        """Number of rows that were written in all days."""
        return sum(day.landed for day in self.days.values())

    @property
    def refused(self) -> int:
        """Number of rows that were refused in all days."""
        return sum(day.refused for day in self.days.values())


def trends(connection: Connection, dags: Collection[str], wanted: RunFilter) -> list[Trend]:
    """Return the syncs whose runs match a filter, those with most refused rows first."""
    dag_id, task_id = key_parts(connection, runs.c.run_key)
    day = dialect_of(connection).day_of(runs.c.started_at)
    columns = (dag_id.label("dag_id"), task_id.label("task_id"), runs.c.account, day.label("day"), runs.c.outcomes)
    query = sa.select(*columns, sa.func.count().label("number")).where(*wanted.conditions(connection, dags))
    grouped = query.group_by(*(sa.literal_column(str(number + 1)) for number in range(len(columns))))
    found: dict[tuple[str, str, str], Trend] = {}
    for row in connection.execute(grouped):
        key = (row.dag_id, row.task_id, row.account)
        trend = found.setdefault(key, Trend(*key))
        counts = RunCounts(outcomes=outcomes_of(json.loads(row.outcomes or "{}")))
        of_day = trend.days.setdefault(dt.date.fromisoformat(row.day), DayCounts())
        of_day.landed += row.number * counts.landed
        of_day.refused += row.number * counts.refused
        of_day.unanswered += row.number * counts.unanswered
    return sorted(found.values(), key=lambda trend: (-trend.refused, -trend.landed, trend.dag_id, trend.task_id))
