"""Plain names: of columns in crm_budgets and crm_tries, and of what a guardrail measures in the reports of runs.

A worker of version 1 that is in the midst of a run can record what it has sent. It can neither take calls from the
shared budget nor store a report any more, as both name columns that are gone: it stops.

Revises: 0001.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_RENAMED = (
    ("crm_budgets", "number", "window_number", sa.BigInteger()),
    ("crm_budgets", "strangers", "external_calls", sa.BigInteger()),
    ("crm_budgets", "found", "discovered", sa.Text()),
    ("crm_tries", "number", "try_number", sa.Integer()),
)
_COMMENTS = (
    ("crm_budgets", "call_limit", "Calls per window, as its answers say."),
    ("crm_budgets", "external_calls", "Calls of other programs, expected in it."),
    ("crm_budgets", "ends_at", "Its latest end; null until an answer names it."),
    ("crm_budgets", "discovered", "JSON: the rate that refusals show, where no answer names a limit."),
    (
        "crm_plan_rows",
        "before",
        "JSON: what the CRM held at the time; SQL null if its answer had no such field.",
    ),
)


def upgrade() -> None:
    """Rename columns, and rewrite the reports that have guardrails."""
    for table, old, new, kind in _RENAMED:
        op.alter_column(table, old, new_column_name=new, existing_type=kind, existing_nullable=False)
    if op.get_bind().dialect.supports_comments:
        for table, column, comment in _COMMENTS:
            op.alter_column(table, column, comment=comment)
    _rewrite("crm_runs", ("run_key", "account"))
    _rewrite("crm_tries", ("run_key", "account", "try_number"))


def _rewrite(name: str, key: tuple[str, ...]) -> None:
    """Rewrite the reports of a table that name a guardrail's unit."""
    table = sa.table(name, *map(sa.column, (*key, "report")))
    connection = op.get_bind()
    for row in connection.execute(sa.select(table).where(table.c.report.contains('"told"'))).all():
        report = json.loads(row.report)
        report["guardrails"] = [_renamed(one) for one in report.get("guardrails", ())]
        same = (table.c[one] == getattr(row, one) for one in key)
        connection.execute(sa.update(table).where(*same).values(report=json.dumps(report)))


def _renamed(guardrail: dict[str, str]) -> dict[str, str]:
    """Return what a guardrail measured, with the unit under its name."""
    return {"unit" if key == "told" else key: value for key, value in guardrail.items()}
