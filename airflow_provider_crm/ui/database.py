"""The ledger's database as the pages see it: opened when first asked for, and never written."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowException
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_crm.exceptions import ConfigurationError, TransientError
from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER, ledger_engine
from airflow_provider_crm.ledger_schema import VERSION, schema_version

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

_MILLISECONDS_TO_WAIT = 5_000
_NONE_YET = (
    "There is no ledger yet. The first run of a task that writes opportunities makes it: with the LocalExecutor as a "
    "file in the Airflow home, else in the database that [crm] ledger_conn_id names (AIRFLOW__CRM__LEDGER_CONN_ID). "
    "The API server has to reach the same one."
)


def configured_ledger() -> Engine:
    """The ledger that tasks use by default, for reading only.

    Raises:
        ConfigurationError: If there is none, or none that the API server can open.
    """
    try:
        engine = ledger_engine(DEFAULT_LEDGER)
    except AirflowException as err:
        msg = f"The ledger's connection, which [crm] ledger_conn_id names, cannot be read: {err}."
        raise ConfigurationError(msg) from err
    if engine is None:
        raise ConfigurationError(_NONE_YET)
    return read_only(engine)


def read_only(engine: Engine) -> Engine:
    """The same database in an engine that cannot change it.

    Raises:
        ConfigurationError: If it is a SQLite file that does not exist: opening it would make an empty one.
    """
    if engine.dialect.name != "sqlite":
        return engine.execution_options(postgresql_readonly=True)
    url = engine.url
    engine.dispose()
    if not Path(re.sub(r"^file:|\?.*$", "", url.database or "")).is_file():
        raise ConfigurationError(_NONE_YET)
    # An engine of its own: that of the tasks takes the write lock at the beginning of every transaction.
    readable = sa.create_engine(url)
    event.listen(readable, "connect", _forbid_writes)
    return readable


def _forbid_writes(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's connection
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA busy_timeout = {_MILLISECONDS_TO_WAIT}")


class LedgerReader:
    """Gives connections to the ledger; safe for many threads.

    Args:
        find: Finds the database. It is asked again as long as there is none, so that the first run needs no restart.
    """

    def __init__(self, find: Callable[[], Engine] = configured_ledger) -> None:
        self._find = find
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection for reading.

        Raises:
            ConfigurationError: If there is no ledger, or one that this version cannot read.
            TransientError: If the database cannot be reached, or fails.
        """
        try:
            with self._opened().connect() as connection:
                yield connection
        except SQLAlchemyError as err:
            msg = "The ledger's database cannot be read now; the log of the API server says why. Try again later."
            raise TransientError(msg, code="LEDGER") from err

    def _opened(self) -> Engine:
        with self._lock:
            if self._engine is None:
                with ExitStack() as otherwise:
                    engine = self._find()
                    otherwise.callback(engine.dispose)
                    _check(engine)
                    otherwise.pop_all()
                self._engine = engine
            return self._engine


def _check(engine: Engine) -> None:
    """Refuse a database without the ledger's tables, or with those of a newer version."""
    with engine.connect() as connection:
        found = None
        if sa.inspect(connection).has_table(schema_version.name):
            found = connection.execute(sa.select(sa.func.max(schema_version.c.version))).scalar()
    if found is None:
        raise ConfigurationError(_NONE_YET)
    if found > VERSION:
        msg = f"The ledger is of version {found}, this package knows up to {VERSION}; upgrade airflow-provider-crm."
        raise ConfigurationError(msg)
