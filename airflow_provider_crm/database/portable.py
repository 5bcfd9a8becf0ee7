"""Write all rows of a ledger into one file, and read such a file into an empty ledger, of any kind of database.

The file is gzipped text with one JSON value a line: a header, then for each table its name and columns, and its rows as
lists in the order of the primary key. The last line has the number of rows, so that a file that was cut is noticed.
The same rows make the same file. Tokens stay encrypted, and hashed values stay hashes.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import UtcDateTime
from airflow_provider_crm.database.schema import VERSION, metadata, revisions, schema_version
from airflow_provider_crm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.database.database import Database

_KIND = "airflow-provider-crm ledger"
_ROWS_AT_ONCE = 1_000
_CONNECT_SECONDS = 30
_TABLES = tuple(table for table in metadata.sorted_tables if table not in (schema_version, revisions))


def export_ledger(database: Database, path: Path) -> Mapping[str, int]:
    """Write all rows into a new file; runs may write at the same time, and the file has what was stored at one moment.

    Args:
        database: The ledger's; tables of an older version are migrated first.
        path: The file; only its owner may read it.

    Returns:
        Number of rows by table.

    Raises:
        ConfigurationError: The file is there already, or cannot be written.
        LedgerUnavailableError: The database cannot be used.
    """
    if path.exists():
        msg = f"{path} is there already; name a new file. Nothing was written."
        raise ConfigurationError(msg)
    database.open()
    unfinished = path.with_name(f"{path.name}.part")
    dialect = database.dialect
    reading = dialect.reading_engine(database.engine.url, connect_seconds=_CONNECT_SECONDS, connections=1)
    try:
        with database.errors(), reading.connect() as connection, _written(unfinished) as file:
            dialect.begin_snapshot(connection)
            counted = _export(connection, file, dialect.byte_order)
        unfinished.rename(path)
    except OSError as err:
        msg = f"{path} cannot be written: {err.strerror}."
        raise ConfigurationError(msg) from err
    finally:
        unfinished.unlink(missing_ok=True)
        reading.dispose()
    return counted


@contextmanager
def _written(path: Path) -> Iterator[IO[bytes]]:
    """Open a new gzip file that only its owner may read, without the time, so that the same rows make the same file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as raw, gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as file:
        yield cast("IO[bytes]", file)


def _export(connection: Connection, file: IO[bytes], order: str) -> Mapping[str, int]:
    counted = {}
    file.write(_line({"kind": _KIND, "version": VERSION}))
    for table in _TABLES:
        file.write(_line({"table": table.name, "columns": [column.name for column in table.columns]}))
        key = (column.collate(order) if isinstance(column.type, sa.Text) else column for column in table.primary_key)
        query = sa.select(table).order_by(*key)
        counted[table.name] = 0
        for rows in connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query).partitions():
            file.write(b"".join([_line(list(row)) for row in rows]))
            counted[table.name] += len(rows)
    file.write(_line({"rows": counted}))
    return counted


def _line(value: object) -> bytes:
    return json.dumps(value, default=_moment_text, separators=(",", ":")).encode() + b"\n"


def _moment_text(value: object) -> str:
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="microseconds")
    raise TypeError(type(value).__name__)


def import_ledger(database: Database, path: Path) -> Mapping[str, int]:
    """Read a file of `export_ledger` into an empty ledger, as a whole or not at all.

    Args:
        database: The ledger's; its tables are created if there are none.
        path: The file.

    Returns:
        Number of rows by table.

    Raises:
        ConfigurationError: The ledger has rows or is of a newer version; or the file is none of `export_ledger`, was
            cut, or is of another version.
        LedgerUnavailableError: The database cannot be used.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file, database.transaction() as connection:
            _refuse_rows(connection)
            lines = (json.loads(line) for line in file)
            counted = _import(connection, path, lines)
            for table in _TABLES:
                database.dialect.continue_ids(connection, table)
    except (OSError, EOFError, UnicodeDecodeError, json.JSONDecodeError) as err:
        raise _unreadable(path, str(err)) from err
    return counted


def _refuse_rows(connection: Connection) -> None:
    for table in _TABLES:
        if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None:
            msg = f"The ledger is not empty: {table.name} has rows. Import into a new database. Nothing was changed."
            raise ConfigurationError(msg)


def _unreadable(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(f"{path} is no complete file of `airflow crm export`: {why}. Nothing was changed.")


def _import(connection: Connection, path: Path, lines: Iterator[Any]) -> Mapping[str, int]:
    header = next(lines, None)
    if not isinstance(header, dict) or header.get("kind") != _KIND:
        raise _unreadable(path, "its first line is another one")
    if header["version"] != VERSION:
        cure = "upgrade this package" if header["version"] > VERSION else "upgrade the other package, and export again"
        msg = f"{path} is of version {header['version']} of the tables, this package has {VERSION}; {cure}."
        raise ConfigurationError(msg)
    counted: dict[str, int] = {}
    end: object = None
    line = next(lines, None)
    while isinstance(line, dict):
        if "table" not in line:
            end = line.get("rows")
            break
        table = metadata.tables[line["table"]]
        counted[table.name], line = _import_rows(connection, table, line["columns"], lines)
    if end != counted:
        raise _unreadable(path, "it ends too early")
    return counted


def _import_rows(
    connection: Connection, table: sa.Table, names: Sequence[str], lines: Iterator[Any]
) -> tuple[int, object]:
    """Insert the rows of a table; return their number, and the line that follows them."""
    moments = [index for index, name in enumerate(names) if isinstance(table.c[name].type, UtcDateTime)]
    number, following = 0, None

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal following
        for line in lines:
            if not isinstance(line, list):
                following = line
                return
            for index in moments:
                if line[index] is not None:
                    line[index] = dt.datetime.fromisoformat(line[index])
            yield dict(zip(names, line, strict=True))

    source = rows()
    while batch := list(islice(source, _ROWS_AT_ONCE)):
        connection.execute(sa.insert(table), batch)
        number += len(batch)
    return number, following
