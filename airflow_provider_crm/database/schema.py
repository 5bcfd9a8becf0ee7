"""The tables of the ledger. They are public: users query them, so they are versioned and only ever migrated forward.

A change of a table needs a new `VERSION` and a script of that number in `migrations/versions/`, see `versions.py`.
"""

from __future__ import annotations

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import BigSerial, UtcDateTime

VERSION = 3
"""The version of these tables; `crm_schema_version` has the version of the tables in a database."""
REVISIONS = "crm_alembic_version"

metadata = sa.MetaData()

schema_version = sa.Table("crm_schema_version", metadata, sa.Column("version", sa.Integer, primary_key=True))

# Alembic's own, under a name of ours: the database may have tables of others that alembic migrates, too.
revisions = sa.Table(REVISIONS, metadata, sa.Column("version_num", sa.String(32), nullable=False, primary_key=True))

runs = sa.Table(
    "crm_runs",
    metadata,
    sa.Column("run_key", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("as_of", UtcDateTime),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime),
    sa.Column("report", sa.Text),
    sa.Index("crm_runs_started", "started_at", "account", "run_key"),
)

tries = sa.Table(
    "crm_tries",
    metadata,
    sa.Column("run_key", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column(
        "try_number", sa.Integer, primary_key=True, autoincrement=False, comment="From 1; a deferral begins none."
    ),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime, comment="Null while it runs or is deferred, and of one that was killed."),
    sa.Column("report", sa.Text, comment="JSON: of this try alone."),
)

field_states = sa.Table(
    "crm_field_states",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("record_id", sa.Text, primary_key=True),
    sa.Column("field", sa.Text, primary_key=True),
    sa.Column("value", sa.Text),
    sa.Column("known", sa.Boolean, nullable=False),
    sa.Column("as_of", UtcDateTime),
    sa.Column("run_key", sa.Text),
    sa.Column("acknowledged_at", UtcDateTime),
    sa.Column("claim_token", sa.Text),
    sa.Column("claim_as_of", UtcDateTime),
    sa.Column("claim_run_key", sa.Text),
    sa.Column("claimed_until", UtcDateTime),
)

changes = sa.Table(
    "crm_changes",
    metadata,
    sa.Column("id", BigSerial, primary_key=True, autoincrement=True),
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
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Index("crm_changes_run", "run_key", "outcome", "id"),
    sa.Index("crm_changes_record", "account", "record_id", "id"),
)

rejects = sa.Table(
    "crm_rejects",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("record_id", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("rests", sa.Boolean, nullable=False, comment="Whether these values wait until they change."),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("first_at", UtcDateTime, nullable=False),
    sa.Column("last_at", UtcDateTime, nullable=False),
)


tokens = sa.Table(
    "crm_tokens",
    metadata,
    sa.Column("name", sa.Text, primary_key=True, comment="Vendor, host, OAuth client, SHA-256 of the first token."),
    sa.Column("access_token", sa.Text, comment="Encrypted with Airflow's Fernet key."),
    sa.Column("refresh_token", sa.Text, comment="The only valid one, encrypted with Airflow's Fernet key."),
    sa.Column("expires_at", UtcDateTime, comment="End of the access token."),
    sa.Column("refreshed_at", UtcDateTime),
    sa.Column("asked_at", UtcDateTime, comment="When the vendor was last asked; later than refreshed_at if in vain."),
)

accounts = sa.Table(
    "crm_accounts",
    metadata,
    sa.Column("vendor", sa.Text, primary_key=True, comment="One that names no organization."),
    sa.Column("host", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True, comment="connection or key."),
    sa.Column("name", sa.Text, primary_key=True, comment="Of the connection, or a slow hash of the key."),
    sa.Column("account", sa.Text, nullable=False, comment="Name of the account in all other tables."),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("confirmed_by", sa.Text, comment="Who confirmed it; null for what was noted at a first run."),
)

plans = sa.Table(
    "crm_plans",
    metadata,
    sa.Column("plan_id", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("run_key", sa.Text, nullable=False, comment="The run that made the plan."),
    sa.Column("reverts", sa.Text, comment="The run that it takes back, or null for a plan of new values."),
    sa.Column("digest", sa.Text, nullable=False, comment="SHA-256 over account and rows: what was approved."),
    sa.Column("rows", sa.Integer, nullable=False, comment="Rows of the source: one per opportunity."),
    sa.Column("counts", sa.Text, nullable=False, comment="JSON: number of planned fields by verdict."),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("applied_by", sa.Text, comment="The only run that may apply it, from its first try on."),
    sa.Column("applied_at", UtcDateTime, comment="When that run had gone through all rows."),
)

plan_rows = sa.Table(
    "crm_plan_rows",
    metadata,
    sa.Column("plan_id", sa.Text, primary_key=True),
    sa.Column("row_number", sa.Integer, primary_key=True, autoincrement=False, comment="Row of the source, from 0."),
    sa.Column("field", sa.Text, primary_key=True, comment="The vendor's key; empty if it is about the whole row."),
    sa.Column("record_id", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False, comment="update, unchanged, stale, invalid, missing or conflict."),
    sa.Column(
        "before", sa.Text, comment="JSON: what the CRM held at the time; SQL null if its answer had no such field."
    ),
    sa.Column("after", sa.Text, comment="JSON: what is to be written; SQL null if there is no such value."),
    sa.Column("as_of", UtcDateTime, comment="Data time of the row."),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

plan_reads = sa.Table(
    "crm_plan_reads",
    metadata,
    sa.Column("run_key", sa.Text, primary_key=True, comment="The run that is making a plan."),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("record_id", sa.Text, primary_key=True, comment="Empty for how far the list was read."),
    sa.Column("record", sa.Text, nullable=False, comment="JSON: what the CRM showed; null for no such record."),
    sa.Column("read_at", UtcDateTime, nullable=False),
)


budgets = sa.Table(
    "crm_budgets",
    metadata,
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
    sa.Column("ends_at", UtcDateTime, comment="When there are more; null if that is not known."),
    sa.Column(
        "state", sa.Text, nullable=False, comment="JSON: all that is known of the limits, and what workers hold."
    ),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)
