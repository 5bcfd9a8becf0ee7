"""The tables of the ledger. They are public: users query them, so they are versioned and only ever migrated forward."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event

from airflow_provider_crm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Dialect, Engine

VERSION = 1
_SECONDS_TO_WAIT_FOR_A_LOCK = 30
_POSTGRES_LOCK = 7_205_551  # any number that is this package's own


class UtcDateTime(sa.types.TypeDecorator[dt.datetime]):
    """A moment: `timestamptz` in PostgreSQL; in SQLite, which has no zones, text in UTC that sorts by time."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Store UTC."""
        if value is None:
            return None
        moment = value.astimezone(dt.UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002 - SQLAlchemy's interface
        """Read UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


metadata = sa.MetaData()

schema_version = sa.Table("crm_schema_version", metadata, sa.Column("version", sa.Integer, primary_key=True))

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
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False, comment="From 1; a deferral begins none."),
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
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
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
    sa.Column("before", sa.Text, comment="JSON: what the CRM held at the time; SQL null if it did not tell."),
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
    sa.Column("number", sa.BigInteger, nullable=False, comment="Of the vendor's present window, counted here."),
    sa.Column("call_limit", sa.BigInteger, nullable=False, comment="Calls per window, as the vendor told."),
    sa.Column("granted", sa.BigInteger, nullable=False, comment="Calls given to workers in this window."),
    sa.Column("counted", sa.BigInteger, nullable=False, comment="Calls that the vendor has counted in it."),
    sa.Column("external_calls", sa.BigInteger, nullable=False, comment="Calls of other programs, expected in it."),
    sa.Column("opened_at", UtcDateTime, nullable=False),
    sa.Column("ends_at", UtcDateTime, comment="Its latest end; null until an answer tells."),
    sa.Column("length", sa.Float, nullable=False, comment="Seconds that windows last."),
    sa.Column("found", sa.Text, nullable=False, comment="What refusals tell of a limit that no answer tells: JSON."),
)


def prepare_engine(engine: Engine) -> Engine:
    """Make an engine safe for several processes.

    In SQLite every transaction takes the write lock when it begins, and waits for it, instead of failing half-way. In
    PostgreSQL each statement sees what was committed before it, whatever the server's default is: a claim that has
    waited for another one has to see it.
    """
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_immediately)
    else:
        event.listen(engine, "connect", partial(_configure_postgresql, engine.dialect))
    return engine


def migrate(engine: Engine) -> None:
    """Create the tables, or bring an older version up to this one.

    Raises:
        ConfigurationError: If the tables are of a newer version of this package.
    """
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRES_LOCK})
        metadata.create_all(connection)
        found = connection.execute(sa.select(sa.func.max(schema_version.c.version))).scalar()
        if found is not None and found > VERSION:
            msg = f"The ledger is of version {found}, this package knows up to {VERSION}; upgrade airflow-provider-crm."
            raise ConfigurationError(msg)
        if found is None:
            connection.execute(sa.insert(schema_version).values(version=VERSION))
            if engine.dialect.name == "postgresql":
                # An unchanged run only moves `as_of`: with room left in the page, PostgreSQL touches no index. It is a
                # statement of its own, because SQLAlchemy 2.0 has no argument for it.
                connection.execute(sa.text("ALTER TABLE crm_field_states SET (fillfactor = 70)"))


def _configure_sqlite(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's connection
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA busy_timeout={_SECONDS_TO_WAIT_FOR_A_LOCK * 1000}")


def _configure_postgresql(dialect: Dialect, connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's connection
    dialect.set_isolation_level(connection, "READ COMMITTED")


def _begin_immediately(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
