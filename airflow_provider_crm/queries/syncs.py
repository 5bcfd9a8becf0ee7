"""Read the syncs: one task of a Dag that writes to one account, with its rhythm and its last run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.database.schema import runs
from airflow_provider_crm.queries.expressions import of_dags

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_LEAST_RUNS = 3
"""Runs that show a rhythm."""


@dataclass(frozen=True, slots=True)
class Sync:
    """One task of a Dag that writes to one account.

    Attributes:
        dag_id: The Dag.
        task_id: The task, with its map index in brackets if it is mapped.
        account: The account.
        runs: Number of its runs in the time that was read.
        first_at: Start of the first of them.
        last_at: Start of the last one.
    """

    dag_id: str
    task_id: str
    account: str
    runs: int
    first_at: dt.datetime
    last_at: dt.datetime

    @property
    def interval(self) -> dt.timedelta | None:
        """Mean time between two runs; None as long as its runs show no rhythm."""
        return None if self.runs < _LEAST_RUNS else (self.last_at - self.first_at) / (self.runs - 1)


def syncs(connection: Connection, dags: Collection[str], since: dt.datetime) -> list[Sync]:
    """Return the syncs of some Dags that ran since a point in time, the most recent first."""
    dag_id, task_id = key_parts(connection, runs.c.run_key)
    moment = runs.c.started_at
    first_at, last_at = sa.func.min(moment, type_=moment.type), sa.func.max(moment, type_=moment.type)
    query = sa.select(dag_id.label("dag_id"), task_id.label("task_id"), runs.c.account)
    query = query.add_columns(sa.func.count().label("number"), first_at.label("first_at"), last_at.label("last_at"))
    query = query.where(of_dags(connection, runs.c.run_key, dags), moment >= since)
    query = query.group_by(sa.literal_column("1"), sa.literal_column("2"), runs.c.account)
    found = connection.execute(query.order_by(sa.literal_column("last_at").desc()))
    return [Sync(row.dag_id, row.task_id, row.account, row.number, row.first_at, row.last_at) for row in found]


def key_parts(
    connection: Connection, run_key: sa.ColumnElement[str]
) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
    """Return the expressions of Dag and task of a run key, which is `dag/task/run`."""
    dialect = dialect_of(connection)
    dag_id = dialect.text_before(run_key, "/")
    return dag_id, dialect.text_before(sa.func.substr(run_key, sa.func.length(dag_id) + 2), "/")
