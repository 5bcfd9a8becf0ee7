"""Everything that differs between databases: one class for each of them, and no other module knows any of it.

Over 300 lines because all of it stands in one place.

Another database needs a class of its own in `DIALECTS`. The texts in `ledger/statements.py` are the same for all
databases that know `INSERT ... ON CONFLICT`.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import socket
import sqlite3
from abc import ABC, abstractmethod
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import StaticPool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.engine import URL, Connection, Engine

_SECONDS_TO_WAIT_FOR_A_LOCK = 30
_SECONDS_A_READER_WAITS = 5
_REFUSALS = 10
_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")
_CLOCK = sa.select(sa.func.clock_timestamp())
# In the order of bytes, JSON numbers and no other JSON texts stand between these.
_NUMBERS: tuple[sa.ColumnElement[str], sa.ColumnElement[str]] = (sa.literal_column("'-'"), sa.literal_column("':'"))

SEPARATOR = "\x1f"
"""Between the texts of a column: ASCII's unit separator, which JSON escapes."""

BigSerial = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""A number that the database counts up; SQLite does so for its plain integers only."""


class UtcDateTime(sa.types.TypeDecorator[dt.datetime]):
    """A moment: `timestamptz` in PostgreSQL; in SQLite, which has no zones, text in UTC that sorts by time."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """Store UTC."""
        if value is None:
            return None
        moment = value.astimezone(dt.UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], dt.datetime | None]:  # noqa: ARG002 - SQLAlchemy's interface
        """Return the function that reads UTC."""
        return _stored_moment if dialect.name == "sqlite" else _in_utc


@lru_cache(maxsize=1024)
def _stored_moment(text: str | None) -> dt.datetime | None:
    """Read a moment from SQLite; those of one batch are few."""
    return None if text is None else dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def _in_utc(moment: dt.datetime | None) -> dt.datetime | None:
    return moment if moment is None or moment.tzinfo is dt.UTC else moment.astimezone(dt.UTC)


class Dialect(ABC):
    """One kind of database.

    Attributes:
        is_file: Whether the database is a file on this machine, which one transaction at a time may write.
        updates_by_row: Whether many rows are updated faster one by one, with `?` for each value.
        takes_parameters: Whether the values of many rows are written faster as parameters than as one JSON text.
        reads_columns: Whether texts travel faster as one text for each column, see `text_columns`.
        updates_apart: Number of transactions in which rows that were stored side by side are updated.
        after_create: Statements that follow the creation of the tables.
        byte_order: The collation that sorts texts byte by byte.
    """

    is_file: ClassVar[bool] = False
    updates_by_row: ClassVar[bool] = False
    takes_parameters: ClassVar[bool] = False
    reads_columns: ClassVar[bool] = False
    updates_apart: ClassVar[int] = 1
    after_create: ClassVar[tuple[str, ...]] = ()
    byte_order: ClassVar[str]

    @abstractmethod
    def prepare(self, engine: Engine) -> None:
        """Make an engine safe for several processes; a second time changes nothing."""

    @abstractmethod
    def reading_engine(self, url: URL, *, connect_seconds: int, connections: int) -> Engine:
        """Return an engine that cannot change the database, and that waits for it for a few seconds only."""

    @abstractmethod
    def exists(self, url: URL) -> bool:
        """Return whether there is such a database, as far as that is known without opening it."""

    @abstractmethod
    def file_of(self, url: URL) -> Path | None:
        """Return the file in which the database is; None for one on a server."""

    @abstractmethod
    def write_refusals(self, connection: Connection) -> Sequence[str]:
        """Return why this user may not write into the database, as clauses; nothing is written to find out."""

    @abstractmethod
    def cut(self, connection: Any) -> None:  # noqa: ANN401 - the driver's connection
        """End a statement that another thread waits for."""

    @abstractmethod
    def limit_statements(self, connection: Connection, seconds: float) -> None:
        """Let the database end each statement of this transaction after some seconds, if it can."""

    @abstractmethod
    def plan_by_values(self, connection: Connection) -> None:
        """Let the database plan each statement of this transaction for its own values, if it would not."""

    @abstractmethod
    def plan_for_all_rows(self, connection: Connection) -> None:
        """Let the database plan each statement of this transaction for a result that is read to its end."""

    @abstractmethod
    def begin_snapshot(self, connection: Connection) -> None:
        """Let all queries of this reading transaction see what was stored when it began."""

    @abstractmethod
    def continue_ids(self, connection: Connection, table: sa.Table) -> None:
        """Let the numbers that the database counts up go on after the largest one, where rows came with theirs."""

    @abstractmethod
    def now(self, connection: Connection) -> dt.datetime | None:
        """Return the database's own time, or None if it has this machine's."""

    @abstractmethod
    def lock(self, connection: Connection, key: int) -> None:
        """Keep out all other transactions that lock the same key, until this one ends."""

    @abstractmethod
    def lock_rows(self, query: sa.Select[Any], *order: sa.ColumnElement[str]) -> sa.Select[Any]:
        """Return a query that locks its rows in the order of these texts, byte by byte; two workers never deadlock."""

    @property
    @abstractmethod
    def locks_rows(self) -> bool:
        """Return whether single rows are locked, so that a query that only locks is worth its time."""

    @abstractmethod
    def insert(self, table: sa.Table) -> Any:  # noqa: ANN401 - the databases' classes share no base
        """Return an insert with `on_conflict_do_update` and `on_conflict_do_nothing`."""

    @abstractmethod
    def among(self, column: sa.ColumnElement[str], name: str) -> sa.ColumnElement[bool]:
        """Return the condition that a text is in the parameter of this name: a JSON list.

        With one parameter for each text, it would take longer to write the statement than to execute it.
        """

    @abstractmethod
    def json_rows(self, columns: Sequence[tuple[str, str]]) -> str:
        """Return a SELECT of the rows in the parameter `rows`: a JSON list of lists.

        Args:
            columns: Name and type of each column, in the order of the inner lists.
        """

    @abstractmethod
    def text_columns(self, columns: Sequence[tuple[str, str]]) -> str:
        """Return a SELECT of rows that travel column by column, with their `number` from 0.

        The parameter `column_0` has the texts of the first column with `SEPARATOR` between them, and so on; an empty
        text is a null.

        Args:
            columns: Name and type of each column.
        """

    @abstractmethod
    def moment_text(self, moment: dt.datetime) -> str:
        """Return a moment as a JSON row must have it."""

    @abstractmethod
    def text_before(self, column: sa.ColumnElement[str], separator: str) -> sa.ColumnElement[Any]:
        """Return the part of a text before the first separator."""

    @abstractmethod
    def day_of(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[dt.date]:
        """Return the day of a moment in UTC."""

    @abstractmethod
    def text_after(self, column: sa.ColumnElement[str], separator: str) -> sa.ColumnElement[Any]:
        """Return the part of a text after the first separator; all of it if there is none."""

    @abstractmethod
    def replace_view(self, name: str, query: str) -> tuple[str, ...]:
        """Return the statements that create a view, or replace it by one with the same columns first."""

    @abstractmethod
    def json_member(self, column: sa.ColumnElement[Any], key: str) -> sa.ColumnElement[Any]:
        """Return a member of a JSON object that is stored as text: as text, or as a number where texts have no type."""

    @abstractmethod
    def json_number(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return a JSON number that is stored as text; null for every other JSON text, such as a hash."""


class Sqlite(Dialect):
    """A SQLite file. Every transaction takes the only write lock when it begins, so that no row needs a lock."""

    is_file = True
    updates_by_row = True
    takes_parameters = True
    locks_rows = False
    byte_order = "BINARY"

    def prepare(self, engine: Engine) -> None:
        """Take the write lock when a transaction begins, and wait for it, instead of failing half-way."""
        if not event.contains(engine, "begin", _begin_immediately):
            event.listen(engine, "connect", _configure_sqlite)
            event.listen(engine, "begin", _begin_immediately)

    def reading_engine(self, url: URL, *, connect_seconds: int, connections: int) -> Engine:  # noqa: ARG002 - a file is never away
        """Forbid writes, connection by connection."""
        engine = sa.create_engine(url)
        event.listen(engine, "connect", _forbid_writes)
        return engine

    def exists(self, url: URL) -> bool:
        """Look for the file: opening it would make an empty one."""
        return self.file_of(url).is_file()

    def file_of(self, url: URL) -> Path:
        """Return its path, also of a URI."""
        return Path(re.sub(r"^file:|\?.*$", "", url.database or ""))

    def write_refusals(self, connection: Connection) -> Sequence[str]:
        """Ask the operating system: the log of changes is a second file, in the same folder."""
        path = self.file_of(connection.engine.url)
        return [f"{one} may not be written by this user" for one in (path, path.parent) if not os.access(one, os.W_OK)]

    def cut(self, connection: Any) -> None:  # noqa: ANN401 - the driver's connection
        """Interrupt the statement."""
        connection.interrupt()

    def limit_statements(self, connection: Connection, seconds: float) -> None:
        """Do nothing: `cut` is enough."""

    def plan_by_values(self, connection: Connection) -> None:
        """Do nothing: SQLite plans each statement by itself."""

    def plan_for_all_rows(self, connection: Connection) -> None:
        """Do nothing: SQLite has no other plans."""

    def begin_snapshot(self, connection: Connection) -> None:
        """Begin a transaction that only reads: the driver begins one before a write only."""
        connection.exec_driver_sql("BEGIN")

    def continue_ids(self, connection: Connection, table: sa.Table) -> None:
        """Do nothing: SQLite looks for the largest number itself."""

    def now(self, connection: Connection) -> dt.datetime | None:  # noqa: ARG002 - the others ask the database
        """Return None: the file is on this machine."""
        return None

    def lock(self, connection: Connection, key: int) -> None:
        """Do nothing: this transaction has the write lock."""

    def lock_rows(self, query: sa.Select[Any], *order: sa.ColumnElement[str]) -> sa.Select[Any]:  # noqa: ARG002 - nothing to lock
        """Return the query: this transaction has the write lock."""
        return query

    def insert(self, table: sa.Table) -> Any:  # noqa: ANN401 - see Dialect
        """Return SQLite's insert."""
        return sqlite.insert(table)

    def among(self, column: sa.ColumnElement[str], name: str) -> sa.ColumnElement[bool]:
        """Read the list as a table."""
        return column.in_(sa.select(sa.func.json_each(sa.bindparam(name, type_=sa.Text)).table_valued("value").c.value))

    def json_rows(self, columns: Sequence[tuple[str, str]]) -> str:
        """Extract each column by its position."""
        items = (f"json_extract(item.value, '$[{index}]') AS {name}" for index, (name, _) in enumerate(columns))
        return f"SELECT {', '.join(items)} FROM json_each(:rows) AS item"  # noqa: S608 - of constants only

    def text_columns(self, columns: Sequence[tuple[str, str]]) -> str:
        """Refuse: nothing travels to SQLite."""
        raise NotImplementedError

    def moment_text(self, moment: dt.datetime) -> str:
        """Return the text that `UtcDateTime` stores."""
        return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(" ", "microseconds")

    def text_before(self, column: sa.ColumnElement[str], separator: str) -> sa.ColumnElement[Any]:
        """Cut the text at the separator's index."""
        return sa.func.substr(column, 1, sa.func.instr(column, separator) - 1)

    def day_of(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[dt.date]:
        """Cut the text."""
        return sa.func.substr(sa.type_coerce(column, sa.Text), 1, 10, type_=sa.Date)

    def text_after(self, column: sa.ColumnElement[str], separator: str) -> sa.ColumnElement[Any]:
        """Cut the text after the separator's index, which is 0 if there is none."""
        return sa.func.substr(column, sa.func.instr(column, separator) + 1)

    def replace_view(self, name: str, query: str) -> tuple[str, ...]:
        """Drop it first: views that depend on it stay."""
        return (f"DROP VIEW IF EXISTS {name}", f"CREATE VIEW {name} AS {query}")

    def json_member(self, column: sa.ColumnElement[Any], key: str) -> sa.ColumnElement[Any]:
        """Extract the member."""
        return sa.func.json_extract(column, f"$.{key}")

    def json_number(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Read the number as a float."""
        return sa.case((column.between(*_NUMBERS), sa.cast(column, sa.Float())))


class Postgresql(Dialect):
    """PostgreSQL. Each statement sees what was committed before it, also where the server's default is another.

    A claim that has waited for another one has to see it. Work that is done one after another takes an advisory lock.
    """

    locks_rows = True
    reads_columns = True
    byte_order = "C"
    # A new version of a row goes into its own page, and into no index, as long as there is room. The room that earlier
    # versions took is free once their transaction has ended. So a page has to be filled in several of them.
    updates_apart = 4
    # An unchanged run only moves `as_of`: with room left in the page, PostgreSQL touches no index. It is a statement of
    # its own, because SQLAlchemy 2.0 has no argument for it.
    after_create = ("ALTER TABLE crm_field_states SET (fillfactor = 70)",)

    def prepare(self, engine: Engine) -> None:
        """Set the isolation level of each connection."""
        event.listen(engine, "connect", partial(_configure_postgresql, engine.dialect))

    def reading_engine(self, url: URL, *, connect_seconds: int, connections: int) -> Engine:
        """Begin read-only transactions only."""
        connect_args = {"connect_timeout": connect_seconds}
        engine = sa.create_engine(url, pool_size=connections, pool_timeout=connect_seconds, connect_args=connect_args)
        return engine.execution_options(postgresql_readonly=True)

    def exists(self, url: URL) -> bool:  # noqa: ARG002 - only the server knows
        """Return True: connecting shows it, and makes none."""
        return True

    def file_of(self, url: URL) -> Path | None:  # noqa: ARG002 - the others have a file
        """Return None: it is on a server."""
        return None

    def write_refusals(self, connection: Connection) -> Sequence[str]:
        """Ask the server: it may be a replica, and the user's rights on each table may lack some."""
        if connection.execute(sa.select(sa.func.pg_is_in_recovery())).scalar_one():
            return ["the server is a replica, which takes no writes"]
        found = [name for name in sa.inspect(connection).get_table_names() if name.startswith("crm_")]
        if not found:
            may = sa.func.has_schema_privilege(sa.func.current_schema(), "CREATE")
            return [] if connection.execute(sa.select(may)).scalar_one() else ["its user may not create tables"]
        rights = [sa.func.has_table_privilege(sa.func.quote_ident(name), right) for name in found for right in _RIGHTS]
        if connection.execute(sa.select(sa.and_(*rights))).scalar_one():
            return []
        return [f"its user lacks one of the rights {', '.join(_RIGHTS)} on the tables crm_..."]

    def cut(self, connection: Any) -> None:  # noqa: ANN401 - the driver's connection
        """Shut the socket down: a silent server answers no cancellation either."""
        with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as copy:
            copy.shutdown(socket.SHUT_RDWR)

    def limit_statements(self, connection: Connection, seconds: float) -> None:
        """Limit this transaction only: a pooler such as PgBouncer hands the connection on to others."""
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {seconds * 1000:.0f}")

    def plan_by_values(self, connection: Connection) -> None:
        """Reuse no plan that was made while the ledger was small: it may read all of it."""
        connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_custom_plan")

    def plan_for_all_rows(self, connection: Connection) -> None:
        """Expect of no cursor that it ends after the first tenth of its rows, which makes the whole slow."""
        connection.exec_driver_sql("SET LOCAL cursor_tuple_fraction = 1")

    def begin_snapshot(self, connection: Connection) -> None:
        """Read what the first query sees."""
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")

    def continue_ids(self, connection: Connection, table: sa.Table) -> None:
        """Set the sequence behind the number."""
        column = table.autoincrement_column
        if column is not None and isinstance(column.type, sa.BigInteger):
            sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
            largest = sa.select(sa.func.max(column)).scalar_subquery()
            connection.execute(sa.select(sa.func.setval(sequence, largest)).where(largest.is_not(None)))

    def now(self, connection: Connection) -> dt.datetime | None:
        """Return the server's time at this moment, not that of the transaction's beginning."""
        now: dt.datetime = connection.execute(_CLOCK).scalar_one()
        return now.astimezone(dt.UTC)

    def lock(self, connection: Connection, key: int) -> None:
        """Take an advisory lock."""
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})

    def lock_rows(self, query: sa.Select[Any], *order: sa.ColumnElement[str]) -> sa.Select[Any]:
        """Lock in the order of bytes, which is the same in every database."""
        return query.order_by(*(column.collate("C") for column in order)).with_for_update()

    def insert(self, table: sa.Table) -> Any:  # noqa: ANN401 - see Dialect
        """Return PostgreSQL's insert."""
        return postgresql.insert(table)

    def among(self, column: sa.ColumnElement[str], name: str) -> sa.ColumnElement[bool]:
        """Read the list as an array: PostgreSQL expects few texts in one, and uses the index."""
        texts = sa.select(
            sa.func.jsonb_array_elements_text(sa.cast(sa.bindparam(name, type_=sa.Text), postgresql.JSONB))
        )
        return column == sa.any_(sa.func.array(texts.scalar_subquery()))

    def json_rows(self, columns: Sequence[tuple[str, str]]) -> str:
        """Cast each column to its type."""
        items = (f"CAST(item ->> {index} AS {kind}) AS {name}" for index, (name, kind) in enumerate(columns))
        return f"SELECT {', '.join(items)} FROM jsonb_array_elements(CAST(:rows AS jsonb)) AS item"  # noqa: S608 - of constants only

    def text_columns(self, columns: Sequence[tuple[str, str]]) -> str:
        """Split the texts, which takes a fraction of the time of reading JSON.

        Each is behind a SELECT, so that PostgreSQL does not count its parts while it plans: it expects ten rows, and
        finds the rows of a table by an index instead of reading all of it.
        """
        split = (
            f"string_to_array((SELECT CAST(:column_{index} AS text)), '{SEPARATOR}', '')"
            for index in range(len(columns))
        )
        items = (f"CAST({name} AS {kind}) AS {name}" for name, kind in columns)
        names = ", ".join(name for name, _ in columns)
        rows = f"unnest({', '.join(split)}) WITH ORDINALITY AS given ({names}, ordinal)"
        return f"SELECT CAST(ordinal AS int) - 1 AS number, {', '.join(items)} FROM {rows}"  # noqa: S608 - of constants only

    def moment_text(self, moment: dt.datetime) -> str:
        """Return ISO 8601 in UTC."""
        return moment.astimezone(dt.UTC).isoformat()

    def text_before(self, column: sa.ColumnElement[str], separator: str) -> sa.ColumnElement[Any]:
        """Split the text."""
        return sa.func.split_part(column, separator, 1)

    def day_of(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[dt.date]:
        """Cast the moment in UTC, which takes a third of the time that writing it as text does."""
        return sa.cast(sa.func.timezone("UTC", column), sa.Date)

    def text_after(self, column: sa.ColumnElement[str], separator: str) -> sa.ColumnElement[Any]:
        """Cut the text after the separator's index, which is 0 if there is none."""
        return sa.func.substr(column, sa.func.strpos(column, separator) + 1)

    def replace_view(self, name: str, query: str) -> tuple[str, ...]:
        """Replace it in place: views of users may depend on it."""
        return (f"CREATE OR REPLACE VIEW {name} AS {query}",)

    def json_member(self, column: sa.ColumnElement[Any], key: str) -> sa.ColumnElement[Any]:
        """Read the member as text."""
        return sa.cast(column, sa.JSON).op("->>")(key)

    def json_number(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Read the number exactly."""
        return sa.case((column.collate("C").between(*_NUMBERS), sa.cast(column, sa.Numeric())))


DIALECTS: dict[str, Dialect] = {"postgresql": Postgresql(), "sqlite": Sqlite()}
"""The databases in which the ledger can be stored, by SQLAlchemy's name for them."""


def dialect_of(connection: Connection | Engine) -> Dialect:
    """Return what is special about the database behind a connection or an engine."""
    return DIALECTS[connection.dialect.name]


def temporary_engine() -> Engine:
    """Return an engine of a database in a temporary file of this process, which any of its threads may use."""
    # The empty name is SQLite's for a database that no other connection sees.
    return sa.create_engine(
        "sqlite://", creator=lambda: sqlite3.connect("", check_same_thread=False), poolclass=StaticPool
    )


def _configure_sqlite(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's connection
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={_SECONDS_TO_WAIT_FOR_A_LOCK * 1000}")
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=NORMAL")


def _write_ahead(connection: Any) -> None:  # noqa: ANN401 - the driver's connection
    """Give the file a write-ahead log, which it keeps.

    SQLite may refuse this at once while another connection does the same; it waits for the lock of a transaction only.
    """
    for _ in range(_REFUSALS):
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode=WAL")
            return
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    connection.execute("PRAGMA journal_mode=WAL")


def _begin_immediately(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _forbid_writes(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's connection
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA busy_timeout = {_SECONDS_A_READER_WAITS * 1000}")


def _configure_postgresql(dialect: sa.Dialect, connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's connection
    dialect.set_isolation_level(connection, "READ COMMITTED")
