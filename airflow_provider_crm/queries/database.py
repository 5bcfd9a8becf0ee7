"""Open the ledger's database for pages and commands: when it is first needed, and for reading only."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.database.schema import VERSION
from airflow_provider_crm.database.versions import refuse_newer, stored_version
from airflow_provider_crm.exceptions import ConfigurationError, LedgerUnavailableError
from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER, ledger_database

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

log = logging.getLogger(__name__)

CONNECT_SECONDS = 3
CONNECTIONS = 8
"""Maximum number of connections that are open at once."""
ANSWER_SECONDS = 10.0
"""Maximum duration of all statements of one page together."""
_UNREACHABLE_SECONDS = 5.0
_UNREADABLE = "The ledger's database cannot be read now; the log of the API server says why. Try again later."
_NONE_YET = (
    "There is no ledger yet. The first run of a task that writes opportunities makes it: with the LocalExecutor as a "
    "file in the Airflow home, else in the database that [crm] ledger_conn_id names (AIRFLOW__CRM__LEDGER_CONN_ID). "
    "The API server has to reach the same one."
)


def configured_ledger(ledger_conn_id: str = DEFAULT_LEDGER) -> Engine:
    """Return a ledger for reading only.

    Args:
        ledger_conn_id: Connection to its database; by default the ledger that tasks use by default.

    Raises:
        ConfigurationError: There is no such ledger, or the API server cannot open it.
    """
    try:
        database = ledger_database(ledger_conn_id)
    except AirflowException as err:
        named = ", which [crm] ledger_conn_id names," if ledger_conn_id == DEFAULT_LEDGER else ""
        msg = f"The ledger's connection{named} cannot be read: {err}."
        raise ConfigurationError(msg) from err
    if database is None:
        raise ConfigurationError(_NONE_YET)
    return read_only(database.engine)


def read_only(engine: Engine) -> Engine:
    """Return an engine of the same database that cannot change it, and waits for it for a few seconds only.

    Raises:
        ConfigurationError: If it is a SQLite file that does not exist: opening it would make an empty one.
    """
    engine.dispose()
    dialect = dialect_of(engine)
    if not dialect.exists(engine.url):
        raise ConfigurationError(_NONE_YET)
    # It needs its own engine: that of the tasks may take a write lock at the beginning of every transaction.
    return dialect.reading_engine(engine.url, connect_seconds=CONNECT_SECONDS, connections=CONNECTIONS)


class LedgerReader:
    """Read-only connections to the ledger; safe for many threads, which do not wait for each other.

    Args:
        find: Returns the database. It is called again as long as there is no ledger, so the first run needs no
            restart.
        monotonic: Clock in seconds.
    """

    def __init__(
        self, find: Callable[[], Engine] = configured_ledger, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._find = find
        self._monotonic = monotonic
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._unreachable_until = -math.inf

    @contextmanager
    def connection(self, seconds: float = ANSWER_SECONDS) -> Iterator[Connection]:
        """Open a connection for reading.

        If the database could not be reached, no connection is tried for a few seconds.

        Args:
            seconds: The connection is closed after that time, also during a statement.

        Raises:
            ConfigurationError: If there is no ledger, or one that this version cannot read.
            LedgerUnavailableError: If the database cannot be reached, is too slow, or fails.
        """
        if self._monotonic() < self._unreachable_until:
            raise LedgerUnavailableError(_UNREADABLE)
        try:
            with _cut_after(seconds, self._opened()) as connection:
                yield connection
        except SQLAlchemyError as err:
            log.warning("The page cannot read the ledger: %s", getattr(err, "orig", None) or err)
            if _is_unreachable(err):
                self._unreachable_until = self._monotonic() + _UNREACHABLE_SECONDS
            raise LedgerUnavailableError(_UNREADABLE) from err

    def _opened(self) -> Engine:
        if self._engine is not None:
            return self._engine
        with ExitStack() as otherwise:
            found = self._find()
            otherwise.callback(found.dispose)
            check_version(found)
            otherwise.pop_all()
        with self._lock:
            if self._engine is None:
                self._engine = found
        if self._engine is not found:
            found.dispose()
        return self._engine


def _is_unreachable(err: SQLAlchemyError) -> bool:
    """Return whether the database could not be reached, or was lost: one slow statement says nothing about the next."""
    return not isinstance(err, DBAPIError) or err.connection_invalidated or err.statement is None


@contextmanager
def _cut_after(seconds: float, engine: Engine) -> Iterator[Connection]:
    """Open a connection, and close it after some seconds: a silent server would block the thread for ever."""
    dialect, connection = dialect_of(engine), engine.connect()
    driver_connection, is_cut = connection.connection.driver_connection, threading.Event()

    def cut() -> None:
        is_cut.set()
        dialect.cut(driver_connection)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        dialect.limit_statements(connection, seconds)
        yield connection
    finally:
        with suppress(SQLAlchemyError):
            connection.rollback()  # waits for the server, too
        timer.cancel()
        timer.join()
        # The next page must not get a connection that was cut after its last statement.
        if is_cut.is_set():
            connection.invalidate()
        connection.close()


def check_version(engine: Engine) -> None:
    """Refuse a database without the ledger's tables, or with those of another version.

    Raises:
        ConfigurationError: It is one.
    """
    with _cut_after(ANSWER_SECONDS, engine) as connection:
        found = stored_version(connection)
    if found is None:
        raise ConfigurationError(_NONE_YET)
    refuse_newer(found)
    if found < VERSION:
        msg = f"The ledger is of version {found}, this package needs {VERSION}; the next run of a task migrates it."
        raise ConfigurationError(msg)
