"""Counts of runs: crm_runs has counts, verdict and progress beside the report, so that a month is read at once.

The counts of stored runs are copied from their reports; their verdicts stay null.

Revises: 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_COUNTS = {
    "sqlite": "UPDATE crm_runs SET outcomes = json_extract(report, '$.outcomes') WHERE report IS NOT NULL",
    "postgresql": "UPDATE crm_runs SET outcomes = CAST(report AS json) ->> 'outcomes' WHERE report IS NOT NULL",
}


def upgrade() -> None:
    """Add the columns, fill the counts, and add them to the index by time."""
    for name in ("outcomes", "verdict", "progress"):
        op.add_column("crm_runs", sa.Column(name, sa.Text))
    op.execute(_COUNTS[op.get_bind().dialect.name])
    op.drop_index("crm_runs_started", "crm_runs")
    op.create_index("crm_runs_started", "crm_runs", ["started_at", "account", "run_key", "verdict", "outcomes"])
    op.create_index("crm_plans_applied", "crm_plans", ["applied_by"])
