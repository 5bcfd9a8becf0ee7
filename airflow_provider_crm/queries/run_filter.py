"""Choose runs by time, Dag, account, outcome and verdict."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.database.schema import plans, runs
from airflow_provider_crm.queries.expressions import of_dags
from airflow_provider_crm.report.verdict import VerdictWord

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.engine import Connection

    from airflow_provider_crm.values.opportunity import OutcomeWord

_OPEN = (VerdictWord.RUNNING, VerdictWord.KILLED, VerdictWord.NO_REPORT)
_PARTLY = (VerdictWord.REFUSED, VerdictWord.UNANSWERED, VerdictWord.LEFT_ALONE)
"""Verdicts that a run has by its counts alone; if it applied a plan, it applied that in part."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """The runs that a reader wants to see; None stands for all.

    Attributes:
        since: They began at this point in time, or later.
        until: They began before this one.
        dag_id: Their Dag.
        account: Their account.
        outcome: At least one of their rows has this outcome.
        verdict: Their verdict; the three verdicts of a run without a last report are one here.
    """

    since: dt.datetime | None = None
    until: dt.datetime | None = None
    dag_id: str | None = None
    account: str | None = None
    outcome: OutcomeWord | None = None
    verdict: VerdictWord | None = None

    def conditions(self, connection: Connection, dags: Collection[str]) -> list[sa.ColumnElement[bool]]:
        """Return the conditions on `crm_runs`, of those of these Dags only."""
        wanted = set(dags) if self.dag_id is None else set(dags) & {self.dag_id}
        found: list[sa.ColumnElement[bool]] = [of_dags(connection, runs.c.run_key, wanted)]
        if self.since is not None:
            found.append(runs.c.started_at >= self.since)
        if self.until is not None:
            found.append(runs.c.started_at < self.until)
        if self.account is not None:
            found.append(runs.c.account == self.account)
        if self.outcome is not None:
            found.append(runs.c.outcomes.contains(f'"{self.outcome.value}"'))
        if self.verdict is not None:
            found.append(_has_verdict(self.verdict))
        return found


def _has_verdict(verdict: VerdictWord) -> sa.ColumnElement[bool]:
    column: sa.ColumnElement[Any] = runs.c.verdict
    if verdict in _OPEN:
        return runs.c.finished_at.is_(None)
    applies_plan = sa.exists().where(plans.c.applied_by == runs.c.run_key)
    if verdict is VerdictWord.PARTLY:
        return column.in_([word.value for word in (*_PARTLY, verdict)]) & applies_plan
    if verdict in _PARTLY:
        return (column == verdict.value) & ~applies_plan
    return column == verdict.value
