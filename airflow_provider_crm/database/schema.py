"""The tables of the ledger. They are public: users query them, so they are versioned and only ever migrated forward.

Each table and column has a comment, which the manual shows, and which PostgreSQL stores beside them.
A change of a table needs a new `VERSION` and a script of that number in `migrations/versions/`, see `versions.py`.
"""

from __future__ import annotations

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import BigSerial, UtcDateTime

VERSION = 10
"""The version of these tables; `crm_schema_version` has the version of the tables in a database."""
REVISIONS = "crm_alembic_version"

metadata = sa.MetaData()

schema_version = sa.Table(
    "crm_schema_version",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, comment="Version of the tables; older packages refuse it."),
    comment="One row: the version of these tables.",
)

# Alembic's own, under a name of ours: the database may have tables of others that alembic migrates, too.
revisions = sa.Table(
    REVISIONS,
    metadata,
    sa.Column("version_num", sa.String(32), nullable=False, primary_key=True, comment="The same number as text."),
    comment="One row: the version of these tables, as alembic stores it.",
)

runs = sa.Table(
    "crm_runs",
    metadata,
    sa.Column(
        "run_key", sa.Text, primary_key=True, comment="Name of the run, the same for all its tries: dag/task/run."
    ),
    sa.Column("account", sa.Text, primary_key=True, comment="Vendor, host and organization, joined by colons."),
    sa.Column("as_of", UtcDateTime, comment="Data time of the run; null if each row has its own."),
    sa.Column("tries", sa.Integer, nullable=False, comment="Number of tries that have begun."),
    sa.Column("started_at", UtcDateTime, nullable=False, comment="When the first try began."),
    sa.Column("finished_at", UtcDateTime, comment="When the last try ended; null while it runs, and after a kill."),
    sa.Column(
        "report", sa.Text, comment="JSON: the report of all its tries together; of a plan, the result of its task."
    ),
    sa.Column("outcomes", sa.Text, comment="JSON: rows by outcome word, from the report; null without one."),
    sa.Column("verdict", sa.Text, comment="One word for the run's end, such as landed; null while it runs."),
    sa.Column("progress", sa.Text, comment="JSON: how far the run was a moment ago; null once it has ended."),
    sa.Column("pruned_at", UtcDateTime, comment="When its changes and tries were pruned; null while they are kept."),
    sa.Index("crm_runs_started", "started_at", "account", "run_key", "verdict", "outcomes"),
    comment="One row per run and account.",
)

tries = sa.Table(
    "crm_tries",
    metadata,
    sa.Column("run_key", sa.Text, primary_key=True, comment="The run."),
    sa.Column("account", sa.Text, primary_key=True, comment="Its account."),
    sa.Column(
        "try_number", sa.Integer, primary_key=True, autoincrement=False, comment="From 1; a deferral begins none."
    ),
    sa.Column("started_at", UtcDateTime, nullable=False, comment="When the try began."),
    sa.Column("finished_at", UtcDateTime, comment="Null while it runs or is deferred, and of one that was killed."),
    sa.Column("report", sa.Text, comment="JSON: of this try alone."),
    comment="One row per try of a run: a retry or a cleared task begins one, a deferral does not.",
)

field_states = sa.Table(
    "crm_field_states",
    metadata,
    sa.Column("account", sa.Text, primary_key=True, comment="Vendor, host and organization, joined by colons."),
    sa.Column("record_id", sa.Text, primary_key=True, comment="The vendor's id of the opportunity."),
    sa.Column("field", sa.Text, primary_key=True, comment="The vendor's own name of the field."),
    sa.Column("value", sa.Text, comment="JSON: the value that the CRM acknowledged last."),
    sa.Column("known", sa.Boolean, nullable=False, comment="False while the CRM's value is not known."),
    sa.Column("as_of", UtcDateTime, comment="Data time of the value; null if it was cleared."),
    sa.Column("run_key", sa.Text, comment="The run that wrote the value."),
    sa.Column("acknowledged_at", UtcDateTime, comment="When the CRM acknowledged it."),
    sa.Column("claim_token", sa.Text, comment="The try that has claimed the field in order to write it."),
    sa.Column("claim_as_of", UtcDateTime, comment="Data time of the claim."),
    sa.Column("claim_run_key", sa.Text, comment="The run that has claimed the field."),
    sa.Column("claimed_until", UtcDateTime, comment="End of the claim; then another run may take it over."),
    sa.Column("claim_value", sa.Text, comment="JSON: the value to be written under the claim."),
    comment="One row per account, record and field: what the CRM holds, as far as the ledger knows.",
)

changes = sa.Table(
    "crm_changes",
    metadata,
    sa.Column("id", BigSerial, primary_key=True, autoincrement=True, comment="Counts up in the order of writing."),
    sa.Column("run_key", sa.Text, nullable=False, comment="The run, or the command that changed the ledger by hand."),
    sa.Column("account", sa.Text, nullable=False, comment="Vendor, host and organization, joined by colons."),
    sa.Column("record_id", sa.Text, nullable=False, comment="The vendor's id; empty if the row has none."),
    sa.Column(
        "field", sa.Text, nullable=False, comment="The vendor's own name; empty for a row refused before sending."
    ),
    sa.Column("before", sa.Text, comment="JSON: the value before, see before_known."),
    sa.Column("before_known", sa.Boolean, nullable=False, comment="Whether the value before is known."),
    sa.Column("after", sa.Text, comment="JSON: the value that the run wanted; null for a row refused before sending."),
    sa.Column("outcome", sa.Text, nullable=False, comment="The outcome of the field, as in reports."),
    sa.Column("code", sa.Text, nullable=False, comment="Why it is a failure, to group by; else empty."),
    sa.Column("reason", sa.Text, nullable=False, comment="The same as a sentence; else empty."),
    sa.Column("at", UtcDateTime, nullable=False, comment="When the outcome was recorded."),
    sa.Column("source", sa.Text, comment="JSON: of a refused row, its values in the source, by field; else null."),
    sa.Index("crm_changes_run", "run_key", "outcome", "id"),
    sa.Index("crm_changes_record", "record_id", "id"),
    comment="One row per field that a run sent, or row that it refused.",
)

rejects = sa.Table(
    "crm_rejects",
    metadata,
    sa.Column("account", sa.Text, primary_key=True, comment="Vendor, host and organization, joined by colons."),
    sa.Column("record_id", sa.Text, primary_key=True, comment="The vendor's id of the opportunity."),
    sa.Column("fingerprint", sa.Text, nullable=False, comment="SHA-256 of the refused values."),
    sa.Column("outcome", sa.Text, nullable=False, comment="The outcome of the row: rejected."),
    sa.Column("code", sa.Text, nullable=False, comment="The vendor's code."),
    sa.Column("reason", sa.Text, nullable=False, comment="The vendor's message."),
    sa.Column("rests", sa.Boolean, nullable=False, comment="Whether these values wait until they change."),
    sa.Column("attempts", sa.Integer, nullable=False, comment="How often these values were refused."),
    sa.Column("first_at", UtcDateTime, nullable=False, comment="When these values were first refused."),
    sa.Column("last_at", UtcDateTime, nullable=False, comment="When these values were last refused."),
    comment="Rows that the CRM refused, until they land.",
)

record_names = sa.Table(
    "crm_record_names",
    metadata,
    sa.Column("account", sa.Text, primary_key=True, comment="Vendor, host and organization, joined by colons."),
    sa.Column("record_id", sa.Text, primary_key=True, comment="The vendor's id of the opportunity."),
    sa.Column("name", sa.Text, comment="Its name for people; null if the CRM shows none."),
    sa.Column("seen_at", UtcDateTime, nullable=False, comment="When the CRM showed it."),
    comment="Names of opportunities, where [crm] keep_deal_names allows to keep them.",
)

record_ids = sa.Table(
    "crm_record_ids",
    metadata,
    sa.Column("account", sa.Text, primary_key=True, comment="Vendor, host and organization, joined by colons."),
    sa.Column("field", sa.Text, primary_key=True, comment="The vendor's key of the field."),
    sa.Column("value", sa.Text, primary_key=True, comment="A value of it: the key of the warehouse."),
    sa.Column("record_id", sa.Text, nullable=False, comment="The vendor's id of the one opportunity that has it."),
    sa.Column("seen_at", UtcDateTime, nullable=False, comment="When the CRM showed that."),
    sa.Index("crm_record_ids_record", "account", "record_id"),
    comment="Record ids by key, as far as id_field has found them.",
)

uploads = sa.Table(
    "crm_uploads",
    metadata,
    sa.Column("claim_token", sa.Text, primary_key=True, comment="The try that made it; it has claimed the rows."),
    sa.Column("account", sa.Text, nullable=False, comment="Vendor, host and organization, joined by colons."),
    sa.Column("run_key", sa.Text, nullable=False, comment="The run."),
    sa.Column("vendor_id", sa.Text, nullable=False, comment="The vendor's id of it."),
    sa.Column("stage", sa.Text, nullable=False, comment="filling, sent, ended or abandoned."),
    sa.Column("rows", sa.Integer, nullable=False, comment="Rows of the file."),
    sa.Column("landed", sa.Integer, comment="Rows that the CRM was seen to hold afterwards; null before."),
    sa.Column("opened_at", UtcDateTime, nullable=False, comment="When its first rows were claimed for it."),
    sa.Column("touched_at", UtcDateTime, nullable=False, comment="When its run last worked on it, or asked for it."),
    sa.Index("crm_uploads_stage", "account", "stage"),
    comment="One row per file of rows that a vendor writes in its own time.",
)

tokens = sa.Table(
    "crm_tokens",
    metadata,
    sa.Column("name", sa.Text, primary_key=True, comment="Vendor, host, OAuth client, SHA-256 of the first token."),
    sa.Column("access_token", sa.Text, comment="Encrypted with Airflow's Fernet key."),
    sa.Column("refresh_token", sa.Text, comment="The only valid one, encrypted with Airflow's Fernet key."),
    sa.Column("expires_at", UtcDateTime, comment="End of the access token."),
    sa.Column("refreshed_at", UtcDateTime, comment="When the vendor last issued tokens."),
    sa.Column("asked_at", UtcDateTime, comment="When the vendor was last asked; later than refreshed_at if in vain."),
    comment="One row per OAuth application and first refresh token.",
)

accounts = sa.Table(
    "crm_accounts",
    metadata,
    sa.Column("vendor", sa.Text, primary_key=True, comment="One that names no organization."),
    sa.Column("host", sa.Text, primary_key=True, comment="Host and port of its API."),
    sa.Column("kind", sa.Text, primary_key=True, comment="connection or key."),
    sa.Column("name", sa.Text, primary_key=True, comment="Of the connection, or a slow hash of the key."),
    sa.Column("account", sa.Text, nullable=False, comment="Name of the account in all other tables."),
    sa.Column("since", UtcDateTime, nullable=False, comment="Since when it leads to that account."),
    sa.Column("confirmed_by", sa.Text, comment="Who confirmed it; null for what was noted at a first run."),
    comment="One row per connection and per key of a vendor that names no organization.",
)

plans = sa.Table(
    "crm_plans",
    metadata,
    sa.Column("plan_id", sa.Text, primary_key=True, comment="Id of the plan, as its task returns it."),
    sa.Column("account", sa.Text, nullable=False, comment="Vendor, host and organization, joined by colons."),
    sa.Column("run_key", sa.Text, nullable=False, comment="The run that made the plan."),
    sa.Column("reverts", sa.Text, comment="The run that it takes back, or null for a plan of new values."),
    sa.Column("digest", sa.Text, nullable=False, comment="SHA-256 over account and rows: what was approved."),
    sa.Column("rows", sa.Integer, nullable=False, comment="Rows of the source: one per opportunity."),
    sa.Column("counts", sa.Text, nullable=False, comment="JSON: number of planned fields by verdict."),
    sa.Column("created_at", UtcDateTime, nullable=False, comment="When the plan was stored."),
    sa.Column("applied_by", sa.Text, comment="The only run that may apply it, from its first try on."),
    sa.Column("applied_at", UtcDateTime, comment="When that run had gone through all rows."),
    sa.Index("crm_plans_applied", "applied_by"),
    comment="One row per plan.",
)

plan_rows = sa.Table(
    "crm_plan_rows",
    metadata,
    sa.Column("plan_id", sa.Text, primary_key=True, comment="The plan."),
    sa.Column("row_number", sa.Integer, primary_key=True, autoincrement=False, comment="Row of the source, from 0."),
    sa.Column("field", sa.Text, primary_key=True, comment="The vendor's key; empty if it is about the whole row."),
    sa.Column("record_id", sa.Text, nullable=False, comment="The vendor's id of the opportunity."),
    sa.Column("verdict", sa.Text, nullable=False, comment="update, unchanged, stale, invalid, missing or conflict."),
    sa.Column(
        "before", sa.Text, comment="JSON: what the CRM held at the time; SQL null if its answer had no such field."
    ),
    sa.Column("after", sa.Text, comment="JSON: what is to be written; SQL null if there is no such value."),
    sa.Column("as_of", UtcDateTime, comment="Data time of the row."),
    sa.Column("code", sa.Text, nullable=False, comment="Why the field will not be written, to group by; else empty."),
    sa.Column("reason", sa.Text, nullable=False, comment="The same as a sentence; else empty."),
    comment="One row per planned field.",
)

plan_reads = sa.Table(
    "crm_plan_reads",
    metadata,
    sa.Column("run_key", sa.Text, primary_key=True, comment="The run that is making a plan."),
    sa.Column("account", sa.Text, primary_key=True, comment="Its account."),
    sa.Column("record_id", sa.Text, primary_key=True, comment="Empty for how far the list was read."),
    sa.Column("record", sa.Text, nullable=False, comment="JSON: what the CRM showed; null for no such record."),
    sa.Column("read_at", UtcDateTime, nullable=False, comment="When it was read."),
    comment="What a plan that is being made has read: deleted when the plan is stored, or after a week.",
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
        "state", sa.Text, nullable=False, comment="JSON: all that is known of the limits, and what workers have leased."
    ),
    sa.Column("updated_at", UtcDateTime, nullable=False, comment="When it was last used."),
    comment="One row per key and endpoint group: the vendor's rate limit, which all workers share.",
)
