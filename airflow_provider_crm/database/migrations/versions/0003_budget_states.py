"""Budget states: crm_budgets holds limits of every kind.

What it held is learned again by the first calls. A worker of an earlier version that is in the midst of a run cannot
take calls from the shared budget any more: it stops.

Revises: 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the table anew."""
    op.drop_table("crm_budgets")
    op.create_table(
        "crm_budgets",
        sa.Column("name", sa.Text, primary_key=True, comment="Vendor, host, SHA-256 of the key, endpoint group."),
        sa.Column(
            "kind", sa.Text, comment="aligned, first_call, window (one of the two), sliding or bucket; null while open."
        ),
        sa.Column(
            "call_limit", sa.BigInteger, nullable=False, comment="Units per window, as answers say; 0 if they do not."
        ),
        sa.Column(
            "used", sa.BigInteger, nullable=False, comment="Units that the vendor has counted, by the latest answer."
        ),
        sa.Column("length", sa.Float, nullable=False, comment="Seconds that windows last; 0 if that is not known."),
        sa.Column("ends_at", _MOMENT, comment="When there are more; null if that is not known."),
        sa.Column(
            "state", sa.Text, nullable=False, comment="JSON: all that is known of the limits, and what workers hold."
        ),
        sa.Column("updated_at", _MOMENT, nullable=False),
    )
