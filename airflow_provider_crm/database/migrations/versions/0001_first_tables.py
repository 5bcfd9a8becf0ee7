"""The tables of version 1.

Revises: nothing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create them."""
    op.create_table("crm_schema_version", sa.Column("version", sa.Integer, primary_key=True))
    _create_runs()
    _create_states()
    _create_changes()
    _create_accounts()
    _create_plans()
    _create_budgets()
    if op.get_bind().dialect.name == "postgresql":
        # An unchanged run only moves `as_of`: with room left in the page, PostgreSQL touches no index.
        op.execute("ALTER TABLE crm_field_states SET (fillfactor = 70)")


def _create_runs() -> None:
    op.create_table(
        "crm_runs",
        sa.Column("run_key", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("as_of", _MOMENT),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.Column("finished_at", _MOMENT),
        sa.Column("report", sa.Text),
    )
    op.create_index("crm_runs_started", "crm_runs", ["started_at", "account", "run_key"])
    op.create_table(
        "crm_tries",
        sa.Column("run_key", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column(
            "number", sa.Integer, primary_key=True, autoincrement=False, comment="From 1; a deferral begins none."
        ),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.Column("finished_at", _MOMENT, comment="Null while it runs or is deferred, and of one that was killed."),
        sa.Column("report", sa.Text, comment="JSON: of this try alone."),
    )


def _create_states() -> None:
    op.create_table(
        "crm_field_states",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("field", sa.Text, primary_key=True),
        sa.Column("value", sa.Text),
        sa.Column("known", sa.Boolean, nullable=False),
        sa.Column("as_of", _MOMENT),
        sa.Column("run_key", sa.Text),
        sa.Column("acknowledged_at", _MOMENT),
        sa.Column("claim_token", sa.Text),
        sa.Column("claim_as_of", _MOMENT),
        sa.Column("claim_run_key", sa.Text),
        sa.Column("claimed_until", _MOMENT),
    )


def _create_changes() -> None:
    op.create_table(
        "crm_changes",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("run_key", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("record_id", sa.Text, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("before_known", sa.Boolean, nullable=False),
        sa.Column("after", sa.Text),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
    )
    op.create_index("crm_changes_run", "crm_changes", ["run_key", "outcome", "id"])
    op.create_index("crm_changes_record", "crm_changes", ["account", "record_id", "id"])
    op.create_table(
        "crm_rejects",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("rests", sa.Boolean, nullable=False, comment="Whether these values wait until they change."),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("first_at", _MOMENT, nullable=False),
        sa.Column("last_at", _MOMENT, nullable=False),
    )


def _create_accounts() -> None:
    op.create_table(
        "crm_tokens",
        sa.Column("name", sa.Text, primary_key=True, comment="Vendor, host, OAuth client, SHA-256 of the first token."),
        sa.Column("access_token", sa.Text, comment="Encrypted with Airflow's Fernet key."),
        sa.Column("refresh_token", sa.Text, comment="The only valid one, encrypted with Airflow's Fernet key."),
        sa.Column("expires_at", _MOMENT, comment="End of the access token."),
        sa.Column("refreshed_at", _MOMENT),
        sa.Column("asked_at", _MOMENT, comment="When the vendor was last asked; later than refreshed_at if in vain."),
    )
    op.create_table(
        "crm_accounts",
        sa.Column("vendor", sa.Text, primary_key=True, comment="One that names no organization."),
        sa.Column("host", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True, comment="connection or key."),
        sa.Column("name", sa.Text, primary_key=True, comment="Of the connection, or a slow hash of the key."),
        sa.Column("account", sa.Text, nullable=False, comment="Name of the account in all other tables."),
        sa.Column("since", _MOMENT, nullable=False),
        sa.Column("confirmed_by", sa.Text, comment="Who confirmed it; null for what was noted at a first run."),
    )


def _create_plans() -> None:
    op.create_table(
        "crm_plans",
        sa.Column("plan_id", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("run_key", sa.Text, nullable=False, comment="The run that made the plan."),
        sa.Column("reverts", sa.Text, comment="The run that it takes back, or null for a plan of new values."),
        sa.Column("digest", sa.Text, nullable=False, comment="SHA-256 over account and rows: what was approved."),
        sa.Column("rows", sa.Integer, nullable=False, comment="Rows of the source: one per opportunity."),
        sa.Column("counts", sa.Text, nullable=False, comment="JSON: number of planned fields by verdict."),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("applied_by", sa.Text, comment="The only run that may apply it, from its first try on."),
        sa.Column("applied_at", _MOMENT, comment="When that run had gone through all rows."),
    )
    op.create_table(
        "crm_plan_rows",
        sa.Column("plan_id", sa.Text, primary_key=True),
        sa.Column(
            "row_number", sa.Integer, primary_key=True, autoincrement=False, comment="Row of the source, from 0."
        ),
        sa.Column("field", sa.Text, primary_key=True, comment="The vendor's key; empty if it is about the whole row."),
        sa.Column("record_id", sa.Text, nullable=False),
        sa.Column(
            "verdict", sa.Text, nullable=False, comment="update, unchanged, stale, invalid, missing or conflict."
        ),
        sa.Column("before", sa.Text, comment="JSON: what the CRM held at the time; SQL null if it did not tell."),
        sa.Column("after", sa.Text, comment="JSON: what is to be written; SQL null if there is no such value."),
        sa.Column("as_of", _MOMENT, comment="Data time of the row."),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "crm_plan_reads",
        sa.Column("run_key", sa.Text, primary_key=True, comment="The run that is making a plan."),
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("record_id", sa.Text, primary_key=True, comment="Empty for how far the list was read."),
        sa.Column("record", sa.Text, nullable=False, comment="JSON: what the CRM showed; null for no such record."),
        sa.Column("read_at", _MOMENT, nullable=False),
    )


def _create_budgets() -> None:
    op.create_table(
        "crm_budgets",
        sa.Column("name", sa.Text, primary_key=True, comment="Vendor, host, SHA-256 of the key, endpoint group."),
        sa.Column("number", sa.BigInteger, nullable=False, comment="Of the vendor's present window, counted here."),
        sa.Column("call_limit", sa.BigInteger, nullable=False, comment="Calls per window, as the vendor told."),
        sa.Column("granted", sa.BigInteger, nullable=False, comment="Calls given to workers in this window."),
        sa.Column("counted", sa.BigInteger, nullable=False, comment="Calls that the vendor has counted in it."),
        sa.Column(
            "strangers", sa.BigInteger, nullable=False, comment="Calls of other programs that are expected in it."
        ),
        sa.Column("opened_at", _MOMENT, nullable=False),
        sa.Column("ends_at", _MOMENT, comment="Its latest end; null until an answer tells."),
        sa.Column("length", sa.Float, nullable=False, comment="Seconds that windows last."),
        sa.Column(
            "found", sa.Text, nullable=False, comment="What refusals tell of a limit that no answer tells: JSON."
        ),
    )
