"""Names of opportunities.

Revises: 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "crm_record_names",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
    )
