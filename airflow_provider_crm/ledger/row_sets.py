"""The ledger's statements over many fields at once: compare, confirm, claim, settle.

The rows travel to the database as one JSON text, at a tenth of the cost of one set of parameters for each field.
SQLite, to which nothing travels, takes them as parameters of one statement, at half the cost of reading a JSON text.
A statement that writes many rows is an upsert by the primary key, even if all of its rows exist: a database may find
the rows of an update in a slower way.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, count, repeat
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import DIALECTS, UtcDateTime, dialect_of
from airflow_provider_crm.ledger.statements import (
    CLAIM_FIELDS,
    CONFIRM_FIELDS,
    CONFIRM_ROW,
    CONFIRM_UNCHANGED,
    END_CLAIMS_OF_FIELDS,
    LEFT,
    LOG_FIELDS,
    LOG_FIELDS_WITHOUT_CAUSE,
    UNCHANGED,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.ledger.claims import DesiredRows, FieldKey
    from airflow_provider_crm.ledger.states import EndedRow

Columns: TypeAlias = tuple[tuple[str, str], ...]
"""Name and type of each column."""

_PARAMETERS = 30_000  # of one statement: SQLite allows 32,766
_NAME = re.compile(r"(?<!:):(\w+)")
_FIELD_KEY = (("record_id", "text"), ("field", "text"))
_DATED = (*_FIELD_KEY, ("as_of", "timestamptz"))
_ENDED = (*_DATED, ("after", "text"))
_LOGGED = (*_FIELD_KEY, ("before", "text"), ("after", "text"))
_CAUSED = (*_LOGGED, ("code", "text"), ("reason", "text"))


def confirm(connection: Connection, account: str, data_times: Mapping[FieldKey, dt.datetime]) -> None:
    """Note newer data that agrees with the CRM, so that older data does not get past it.

    Args:
        connection: In a transaction that keeps claims of the account away.
        account: Whose ledger.
        data_times: Data time of each field; all of them are on record.
    """
    if data_times:
        text = moment_texts(connection, set(data_times.values()))
        fields = [(*field_key, text[as_of]) for field_key, as_of in sorted(data_times.items())]
        write_rows(connection, CONFIRM_FIELDS, _DATED, fields, account=account)


def claim(
    connection: Connection,
    account: str,
    data_times: Mapping[str, Mapping[str, dt.datetime]],
    *,
    token: str,
    run_key: str,
    until: dt.datetime,
) -> None:
    """Claim fields, known or not yet, also those that another run had claimed.

    That run may have sent them: such a field counts as unknown, also if this claim is given back.

    Args:
        connection: In a transaction that keeps other claims of the account away.
        account: Whose ledger.
        data_times: Data time of each field, by record id and key.
        token: Whose claim it is.
        run_key: The run.
        until: End of the lease.
    """
    if data_times:
        text = moment_texts(connection, {as_of for fields in data_times.values() for as_of in fields.values()})
        fields = [
            (record_id, key, text[as_of])
            for record_id in sorted(data_times)
            for key, as_of in data_times[record_id].items()
        ]
        names = {"account": account, "token": token, "run_key": run_key}
        write_rows(connection, CLAIM_FIELDS, _DATED, fields, **names, until=until)


def end_claims(
    connection: Connection, account: str, rows: Sequence[EndedRow], *, token: str, run_key: str, now: dt.datetime
) -> None:
    """Store the outcome of claimed fields, as far as the claims are still ours, and log it.

    Args:
        connection: In a transaction.
        account: Whose ledger.
        rows: The fields.
        token: Whose claims they were.
        run_key: The run.
        now: The database's clock.
    """
    text = moment_texts(connection, {row.as_of for row in rows if row.as_of is not None})
    for (stands, known, outcome), some in _by_end(rows).items():
        ended = [
            (row.record_id, key, as_of, after)
            for row in some
            for as_of in (row.as_of and text[row.as_of],)
            for key, _, after in row.fields
        ]
        names = {"account": account, "run_key": run_key, "now": now}
        ends = {"stands": stands, "known": known, "token": token}
        write_rows(connection, END_CLAIMS_OF_FIELDS, _ENDED, ended, **names, **ends)
        _log(connection, some, outcome=outcome, **names)


def _log(connection: Connection, rows: Sequence[EndedRow], **values: object) -> None:
    """Log fields that ended in the same way; causes travel only with those that have some."""
    if [row for row in rows if row.code or row.reason]:
        causes = [(row.record_id, *field, row.code, row.reason) for row in rows for field in row.fields]
        write_rows(connection, LOG_FIELDS, _CAUSED, causes, **values)
    else:
        lines = [(row.record_id, *field) for row in rows for field in row.fields]
        write_rows(connection, LOG_FIELDS_WITHOUT_CAUSE, _LOGGED, lines, **values)


def _by_end(rows: Sequence[EndedRow]) -> Mapping[tuple[bool, bool, str], list[EndedRow]]:
    by_end: dict[tuple[bool, bool, str], list[EndedRow]] = {}
    for row in rows:
        by_end.setdefault((row.stands, row.known, row.outcome), []).append(row)
    return by_end


def storable(text: str) -> str:
    """Return a text from outside without what PostgreSQL does not store: NUL, and halves of characters."""
    return text if text.isascii() and "\0" not in text else text.replace("\0", " ").encode("utf-8", "replace").decode()


def write_rows(
    connection: Connection, statement: str, columns: Columns, rows: Sequence[Sequence[object]], **values: object
) -> None:
    """Execute a statement that writes rows.

    Args:
        connection: In a transaction.
        statement: Its text; `{rows}` stands for a query of the rows.
        columns: Name and type of each column.
        rows: The rows; moments are texts, see `moment_texts`.
        values: The statement's other parameters.
    """
    dialect = dialect_of(connection)
    if not dialect.takes_parameters:
        execute_rows(connection, statement, columns, json.dumps(rows), **values)
        return
    fixed = [dialect.moment_text(one) if isinstance(one, dt.datetime) else one for one in values.values()]
    at_once = _PARAMETERS // len(columns)
    for first in range(0, len(rows), at_once):
        some = rows[first : first + at_once]
        text = _with_parameters(statement, columns, tuple(values), len(some))
        connection.exec_driver_sql(text, (*chain.from_iterable(some), *fixed))


@lru_cache(maxsize=32)
def _with_parameters(statement: str, columns: Columns, names: tuple[str, ...], rows: int) -> str:
    """Return a statement in which every value is a parameter: first those of the rows, then the named ones."""
    row = f"({', '.join('?' * len(columns))})"
    given = f"WITH given ({', '.join(name for name, _ in columns)}) AS (VALUES {', '.join([row] * rows)})"
    first = rows * len(columns) + 1
    text = _NAME.sub(lambda found: f"?{first + names.index(found[1])}", statement)
    return given + text.format(rows="SELECT * FROM given")


def execute_rows(
    connection: Connection, statement: str, columns: Columns, rows: str, **values: object
) -> sa.CursorResult[Any]:
    """Execute a statement of which `{rows}` are the rows that it is about.

    Args:
        connection: In a transaction.
        statement: Its text.
        columns: Name and type of each column.
        rows: JSON text: a list of lists, in the order of the columns.
        values: The statement's other parameters.
    """
    return connection.execute(_text(statement, columns, connection.dialect.name), {**values, "rows": rows})


@lru_cache(maxsize=16)
def _text(statement: str, columns: Columns, dialect: str) -> sa.TextClause:
    text = sa.text(statement.format(rows=DIALECTS[dialect].json_rows(columns)))
    moments = [sa.bindparam(name, type_=UtcDateTime) for name in ("now", "until") if f":{name}" in statement]
    return text.bindparams(*moments)


def moment_texts(connection: Connection, moments: Iterable[dt.datetime]) -> dict[dt.datetime, str]:
    """Return the text of each moment as a row must have it."""
    dialect = dialect_of(connection)
    return {moment: dialect.moment_text(moment) for moment in moments}


_LONGEST_TEXT = 1 << 24  # characters in one statement; PostgreSQL reads no JSON beyond 16 times that
_ROW = (("number", "int"), ("record_id", "text"), ("as_of", "timestamptz"))


def confirm_unchanged(connection: Connection, account: str, desired_rows: DesiredRows) -> frozenset[int]:
    """Confirm the fields that are known to have the desired value in the CRM, and no newer data.

    Where the update met all fields of all rows, that was the comparison, too; else a second statement returns the rows
    that are left. SQLite runs its update row by row: it may plan one over many rows the wrong way round.

    Args:
        connection: In a transaction that keeps claims of the account away.
        account: Whose ledger.
        desired_rows: The rows, with values as they are stored.

    Returns:
        Positions of the rows of which that is true for all fields.
    """
    numbers = _comparable(desired_rows)
    comparable = desired_rows if len(numbers) == len(desired_rows) else desired_rows.at(numbers)
    unchanged: set[int] = set()
    for first, part in _parts(comparable):
        left = _left(connection, account, part)
        own = enumerate(numbers[first : first + len(part)])
        unchanged.update(number for index, number in own if index not in left)
    return frozenset(unchanged)


def _comparable(desired_rows: DesiredRows) -> range | list[int]:
    """Return rows with values, of records that occur once: rows of one record are decided one after another."""
    everything, columns = range(len(desired_rows)), desired_rows.values.values()
    repeated = len(set(desired_rows.record_ids)) < len(desired_rows)
    if not repeated and not all(None in column for column in columns):
        return everything
    times = Counter(desired_rows.record_ids)
    some = [any(text is not None for text in row) for row in zip(*columns, strict=True)] or [False] * len(desired_rows)
    return [number for number in everything if some[number] and times[desired_rows.record_ids[number]] == 1]


def _parts(desired_rows: DesiredRows, first: int = 0) -> Iterator[tuple[int, DesiredRows]]:
    """Cut the rows into few parts, so that no statement grows without bound; each with the position of its first."""
    texts = chain(desired_rows.record_ids, *desired_rows.values.values())
    if len(desired_rows) > 1 and sum(map(len, filter(None, texts))) > _LONGEST_TEXT:
        half = len(desired_rows) // 2
        yield from _parts(desired_rows.at(range(half)), first)
        yield from _parts(desired_rows.at(range(half, len(desired_rows))), first + half)
    elif len(desired_rows):
        yield first, desired_rows


def _left(connection: Connection, account: str, desired_rows: DesiredRows) -> frozenset[int]:
    """Confirm unchanged fields; return the positions of the rows that have others, too."""
    text = moment_texts(connection, set(desired_rows.as_of))
    moments = [text[moment] for moment in desired_rows.as_of]
    wanted = sum(len(column) - column.count(None) for column in desired_rows.values.values())
    dialect = dialect_of(connection)
    if dialect.updates_by_row and _confirmed_by_row(connection, account, desired_rows, moments) == wanted:
        return frozenset()
    keys = {f"key_{index}": key for index, key in enumerate(desired_rows.values)}
    names = {
        "rows": "{rows}",
        "unchanged": UNCHANGED.format(
            wanted=" ".join(f"WHEN :key_{index} THEN w.value_{index}" for index in range(len(keys)))
        ),
        "fields": " + ".join(f"CASE WHEN w.value_{index} IS NULL THEN 0 ELSE 1 END" for index in range(len(keys))),
    }
    columns = (*_ROW, *((f"value_{index}", "text") for index in range(len(keys))))
    rows = json.dumps(list(zip(count(), desired_rows.record_ids, moments, *desired_rows.values.values(), strict=False)))
    if not dialect.updates_by_row:
        dialect.plan_by_values(connection)
        confirmed = execute_rows(connection, CONFIRM_UNCHANGED.format(**names), columns, rows, account=account, **keys)
        if confirmed.rowcount == wanted:
            return frozenset()
    left = execute_rows(connection, LEFT.format(**names), columns, rows, account=account, **keys)
    return frozenset([number for (number,) in left])


def _confirmed_by_row(connection: Connection, account: str, desired_rows: DesiredRows, moments: list[str]) -> int:
    """Confirm unchanged fields row by row; return how many there are."""
    statement = CONFIRM_ROW.format(wanted="WHEN ? THEN ? " * len(desired_rows.values))
    wanted = chain.from_iterable((repeat(key), column) for key, column in desired_rows.values.items())
    rows = zip(moments, repeat(account), desired_rows.record_ids, moments, *wanted, strict=False)
    return connection.exec_driver_sql(statement, list(rows)).rowcount
