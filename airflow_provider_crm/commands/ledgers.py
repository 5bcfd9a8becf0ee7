"""Open the ledger for a command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.database.schema import runs
from airflow_provider_crm.exceptions import LedgerUnavailableError
from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER, ledger_database
from airflow_provider_crm.queries.database import check_version, configured_ledger

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.database.database import Database


def find_connections() -> None:
    """Let connections be found in Airflow's metadata database, too, as Airflow's own commands do."""
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")


@contextmanager
def readable_ledger(ledger_conn_id: str | None) -> Iterator[Connection]:
    """Open the ledger for a command that only reads: nothing is created or migrated.

    Args:
        ledger_conn_id: As for `writable_ledger`.

    Raises:
        ConfigurationError: There is no ledger, or one of another version.
        LedgerUnavailableError: Its database cannot be read.
    """
    find_connections()
    engine = configured_ledger(ledger_conn_id or DEFAULT_LEDGER)
    try:
        check_version(engine)
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as err:
        cause = str(getattr(err, "orig", None) or err).strip().splitlines()[0]
        msg = f"The ledger's database cannot be read: {cause}."
        raise LedgerUnavailableError(msg) from err
    finally:
        engine.dispose()


def dags_in(connection: Connection) -> frozenset[str]:
    """Return the Dags of all runs in the ledger: who may run commands may see all of them."""
    dag_id = dialect_of(connection).text_before(runs.c.run_key, "/")
    return frozenset(connection.execute(sa.select(dag_id).distinct()).scalars())


@contextmanager
def writable_ledger(ledger_conn_id: str | None) -> Iterator[Database]:
    """Open the ledger's database for a command that changes it; its tables are made or migrated as a task would.

    Args:
        ledger_conn_id: Connection to the database; None for the ledger that tasks use by default.

    Raises:
        ConfigurationError: There is no such ledger.
    """
    find_connections()
    database = cast("Database", ledger_database(ledger_conn_id or DEFAULT_LEDGER))  # never None with a name
    try:
        yield database
    finally:
        database.close()
