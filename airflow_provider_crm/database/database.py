"""The database of the ledger, the shared budgets, tokens and plans."""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.delayed_signals import delayed_signals
from airflow_provider_crm.database.dialects import dialect_of, temporary_engine
from airflow_provider_crm.database.versions import migrate
from airflow_provider_crm.exceptions import LedgerUnavailableError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine


class Database:
    """One database: transactions on tables of the present version, its time, its locks and its errors.

    Safe for many threads; other processes and machines may use the same database.

    Args:
        engine: Connects to it.
        clock: The time of this machine, for a database that has no other.

    Attributes:
        engine: The same, configured so that several processes may write.
        dialect: What is special about this kind of database.
        clock: The time of this machine.
    """

    def __init__(self, engine: Engine, *, clock: Clock | None = None) -> None:
        self.engine = engine
        self.dialect = dialect_of(engine)
        self.clock = clock or Clock()
        self._opening = threading.Lock()
        self._open = False
        self.dialect.prepare(engine)

    @classmethod
    def at(cls, url: URL | str) -> Self:
        """Return the database at a URL of SQLAlchemy."""
        return cls(sa.create_engine(url))

    @classmethod
    def temporary(cls, table: sa.Table) -> Self:
        """Return the database of one table, in a file of this process; closing it deletes the file."""
        made = cls(temporary_engine())
        with made.engine.begin() as connection:
            table.create(connection)
        made._open = True
        return made

    def open(self) -> None:
        """Create the tables, or migrate them to the present version; only the first call does anything.

        Raises:
            ConfigurationError: The tables are of a newer version than this package knows.
            LedgerUnavailableError: The database cannot be used.
        """
        with self._opening:
            if not self._open:
                with delayed_signals(), self.errors():
                    migrate(self.engine)
                self._open = True

    @contextmanager
    def transaction(self, lock: str | None = None) -> Iterator[Connection]:
        """Open the database and begin a transaction, which ends with the block.

        Args:
            lock: A name: other transactions with the same one wait for this one to end.

        Raises:
            ConfigurationError: The tables are of a newer version than this package knows.
            LedgerUnavailableError: The database cannot be used.
        """
        self.open()
        with self.errors(), self.engine.begin() as connection:
            if lock is not None:
                digest = hashlib.blake2b(lock.encode(), digest_size=8).digest()
                self.dialect.lock(connection, int.from_bytes(digest, signed=True))
            yield connection

    def now(self, connection: Connection) -> dt.datetime:
        """Return the time of the clock that all workers share: the database's, or this machine's for a file."""
        return self.dialect.now(connection) or self.clock.now()

    def insert(self, table: sa.Table) -> Any:  # noqa: ANN401 - the databases' classes share no base
        """Return an insert that can name what becomes of rows that are there already."""
        return self.dialect.insert(table)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Convert each error of the database into an error of this package that names the database.

        Raises:
            LedgerUnavailableError: For any error of the database.
        """
        try:
            yield
        except SQLAlchemyError as err:
            cause = str(getattr(err, "orig", None) or type(err).__name__).strip().splitlines()[0]
            msg = (
                f"The ledger cannot be used: {cause} ({self.engine.dialect.name}, {_address(self.engine.url)}). "
                "Nothing is sent that could not be recorded; run again when its database is back."
            )
            raise LedgerUnavailableError(msg) from err

    def close(self) -> None:
        """Close all connections; the next transaction opens one again."""
        self.engine.dispose()


def _address(url: URL) -> str:
    """Return the address of a database, without its user, password and certificates."""
    host = url.host or url.query.get("host")
    return f"{url.database} on {host}" if host else str(url.database)
