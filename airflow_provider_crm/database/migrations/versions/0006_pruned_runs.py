"""Pruned runs: crm_runs says when the changes of a run were pruned; and a smaller index for the history of a record.

`views.py` creates the views. A worker of an earlier version that is in the midst of a run goes on.

Revises: 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and build the index without the account: record ids of two accounts are rarely the same."""
    op.add_column("crm_runs", sa.Column("pruned_at", sa.DateTime(timezone=True)))
    op.drop_index("crm_changes_record", "crm_changes")
    op.create_index("crm_changes_record", "crm_changes", ["record_id", "id"])
