"""Create the ledger's tables in a new database, migrate older ones, and refuse newer ones.

The first worker that opens the ledger migrates it, under a lock that all processes take: the write lock of a SQLite
file, an advisory lock in PostgreSQL. The others then find nothing left to do. `crm_schema_version` has the number,
which older packages read, too; alembic's own table has the same number as text.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.database.schema import REVISIONS, VERSION, metadata, revisions, schema_version
from airflow_provider_crm.database.views import create_views, drop_views
from airflow_provider_crm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

_LOCK = 7_205_551  # any number that is this package's own; version 1 took the same
_ALEMBIC = threading.Lock()  # alembic keeps the running script in variables of its modules
_MIGRATIONS = Path(__file__).parent / "migrations"
_NEWEST = sa.select(sa.func.max(schema_version.c.version))


def migrate(engine: Engine) -> None:
    """Create the tables, or bring those of an older version up to this one; one query if they are of this one.

    Raises:
        ConfigurationError: The tables are of a newer version than this package knows.
    """
    if _version_in_one_query(engine) == VERSION:
        return
    with engine.begin() as connection:
        dialect = dialect_of(connection)
        dialect.lock(connection, _LOCK)
        version = stored_version(connection)
        if version is None:
            metadata.create_all(connection)
            connection.execute(sa.insert(revisions).values(version_num=_revision(VERSION)))
            connection.execute(sa.insert(schema_version).values(version=VERSION))
            for statement in dialect.after_create:
                connection.exec_driver_sql(statement)
            create_views(connection)
            return
        refuse_newer(version)
        if version < VERSION:
            _run_scripts(connection, version)


def stored_version(connection: Connection) -> int | None:
    """Return the version of the tables, or None if there are none."""
    if not sa.inspect(connection).has_table(schema_version.name):
        return None
    return connection.execute(_NEWEST).scalar()


def refuse_newer(version: int) -> None:
    """Refuse tables of a newer version than this package knows.

    Raises:
        ConfigurationError: They are.
    """
    if version > VERSION:
        msg = f"The ledger is of version {version}, this package knows up to {VERSION}; upgrade airflow-provider-crm."
        raise ConfigurationError(msg)


def _version_in_one_query(engine: Engine) -> int | None:
    """Return the version, in one query; None also if that fails: the steps that follow show why."""
    with engine.begin() as connection:
        try:
            return connection.execute(_NEWEST).scalar()
        except DBAPIError:
            return None


def _run_scripts(connection: Connection, version: int, to: int = VERSION) -> None:
    """Run alembic's scripts of the versions after the stored one; 0 for an empty database."""
    from alembic import command
    from alembic.config import Config

    drop_views(connection)
    revisions.create(connection, checkfirst=True)
    connection.execute(sa.delete(revisions))
    if version:
        connection.execute(sa.insert(revisions).values(version_num=_revision(version)))
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes.update(connection=connection, version_table=REVISIONS)
    with _ALEMBIC:
        command.upgrade(config, _revision(to))
    if to == VERSION:
        create_views(connection)
        _store_comments(connection)
    connection.execute(sa.update(schema_version).values(version=to))


def _store_comments(connection: Connection) -> None:
    """Give tables and columns the comments of `schema.py`, where the database has comments; no script sets them."""
    if not connection.dialect.supports_comments:
        return
    for table in metadata.sorted_tables:
        connection.execute(sa.schema.SetTableComment(table))
        for column in table.columns:
            connection.execute(sa.schema.SetColumnComment(column))


def _revision(version: int) -> str:
    """Return alembic's name of a version."""
    return f"{version:04}"
