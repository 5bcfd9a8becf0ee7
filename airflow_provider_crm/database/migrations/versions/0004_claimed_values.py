"""Claimed values: crm_field_states holds the value of a claim, so that the change log can name it.

A worker of an earlier version that is in the midst of a run goes on: its claims name no value.

Revises: 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("crm_field_states", sa.Column("claim_value", sa.Text))
