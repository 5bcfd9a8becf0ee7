"""Open the ledger for a command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER, ledger_database

if TYPE_CHECKING:
    from airflow_provider_crm.database.database import Database


def find_connections() -> None:
    """Let connections be found in Airflow's metadata database, too, as Airflow's own commands do."""
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")


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
