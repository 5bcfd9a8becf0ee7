"""Find rows of which the CRM is known to hold all values, and confirm their fields, many at once.

Where an update met all fields of all rows, that was the comparison, too; else a second statement returns the rows that
are left. SQLite updates row by row, as it may plan one statement over many rows the wrong way round; or a whole range
of records, where the rows are sorted and the ledger has no others between them.
"""

from __future__ import annotations

import json
import operator
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, count, islice, repeat
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import DIALECTS, SEPARATOR, dialect_of
from airflow_provider_crm.ledger.row_sets import moment_texts
from airflow_provider_crm.ledger.statements import (
    CONFIRM_RANGE,
    CONFIRM_ROW,
    CONFIRM_UNCHANGED,
    LEFT,
    SELECT_RANGE,
    UNCHANGED,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.ledger.claims import DesiredRows

_LONGEST_TEXT = 1 << 24  # characters in one statement; PostgreSQL reads no text beyond 64 times that
_COMPARED_TOGETHER = 500  # rows; fewer share one transaction
_NUMBER = ("number", "int")
_ROW = (("record_id", "text"), ("as_of", "timestamptz"))


def parts_to_compare(desired_rows: DesiredRows, transactions: int) -> list[Sequence[int]]:
    """Return the positions of rows that are compared in one transaction each.

    Rows without values are left out, and so are records that occur twice: their rows are decided one after another.

    Args:
        desired_rows: The rows.
        transactions: Number of transactions in which rows that follow each other are compared.
    """
    numbers = _comparable(desired_rows)
    step = transactions if len(numbers) > _COMPARED_TOGETHER else 1
    return [part for first in range(step) if (part := numbers[first::step])]


def confirm_unchanged(connection: Connection, account: str, desired_rows: DesiredRows) -> frozenset[int]:
    """Confirm the fields that are known to have the desired value in the CRM, and no newer data.

    Args:
        connection: In a transaction that keeps claims of the account away.
        account: Whose ledger.
        desired_rows: Rows of different records, each with a value, as the values are stored.

    Returns:
        Positions of the rows of which that is true for all fields.
    """
    unchanged: set[int] = set()
    for first, part in _parts(desired_rows):
        left = _left(connection, account, part)
        unchanged.update(first + index for index in range(len(part)) if index not in left)
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
    if dialect.updates_by_row and (
        _confirmed_range(connection, account, desired_rows, moments)
        or _confirmed_by_row(connection, account, desired_rows, moments) == wanted
    ):
        return frozenset()
    given = _columns_text(desired_rows, moments) if dialect.reads_columns else _rows_text(desired_rows, moments)
    if given is None:
        return frozenset(range(len(desired_rows)))
    keys = {f"key_{index}": key for index, key in enumerate(desired_rows.values)}
    parameters = {"account": account, **keys, **given}
    if not dialect.updates_by_row:
        dialect.plan_by_values(connection)
        confirmed = connection.execute(_statement(CONFIRM_UNCHANGED, len(keys), connection.dialect.name), parameters)
        if confirmed.rowcount == wanted:
            return frozenset()
    left = connection.execute(_statement(LEFT, len(keys), connection.dialect.name), parameters)
    return frozenset([number for (number,) in left])


@lru_cache(maxsize=32)
def _statement(statement: str, keys: int, name: str) -> sa.TextClause:
    """Return a statement over rows with so many values each.

    Args:
        statement: Its text.
        keys: Number of values.
        name: Name of the database.
    """
    dialect, columns = DIALECTS[name], (*_ROW, *((f"value_{index}", "text") for index in range(keys)))
    wanted = " ".join(f"WHEN :key_{index} THEN w.value_{index}" for index in range(keys))
    fields = " + ".join(f"CASE WHEN w.value_{index} IS NULL THEN 0 ELSE 1 END" for index in range(keys))
    rows = dialect.text_columns(columns) if dialect.reads_columns else dialect.json_rows((_NUMBER, *columns))
    return sa.text(statement.format(rows=rows, unchanged=UNCHANGED.format(wanted=wanted), fields=fields))


def _rows_text(desired_rows: DesiredRows, moments: Sequence[str]) -> Mapping[str, str]:
    """Return the rows as one parameter."""
    rows = zip(count(), desired_rows.record_ids, moments, *desired_rows.values.values(), strict=False)
    return {"rows": json.dumps(list(rows))}


def _columns_text(desired_rows: DesiredRows, moments: Sequence[str]) -> Mapping[str, str] | None:
    """Return the rows as a parameter for each column; None if a text has the separator in it, as some id might."""
    columns = (desired_rows.record_ids, moments, *desired_rows.values.values())
    texts = [SEPARATOR.join(["" if text is None else text for text in column]) for column in columns]
    between = len(desired_rows) - 1
    if any(text.count(SEPARATOR) != between for text in texts):
        return None
    return {f"column_{index}": text for index, text in enumerate(texts)}


def _confirmed_range(connection: Connection, account: str, desired_rows: DesiredRows, moments: list[str]) -> bool:
    """Confirm all fields between the first record and the last if they are unchanged, and those that were wanted."""
    record_ids, moment, columns = desired_rows.record_ids, moments[0], desired_rows.values
    if len(set(moments)) > 1 or any(None in column for column in columns.values()):
        return False
    if not all(map(operator.lt, record_ids, islice(record_ids, 1, None))):
        return False
    keys = sorted(columns)
    wanted = list(chain.from_iterable(zip(*(zip(record_ids, repeat(key), columns[key]) for key in keys), strict=True)))
    names, ends = ", ".join("?" * len(keys)), (account, record_ids[0], record_ids[-1], *keys)
    found = connection.exec_driver_sql(SELECT_RANGE.format(keys=names), (*ends, moment, len(wanted) + 1))
    if found.cursor is None or found.cursor.fetchall() != wanted:
        return False
    connection.exec_driver_sql(CONFIRM_RANGE.format(keys=names), (moment, *ends))
    return True


def _confirmed_by_row(connection: Connection, account: str, desired_rows: DesiredRows, moments: list[str]) -> int:
    """Confirm unchanged fields row by row; return how many there are."""
    statement = CONFIRM_ROW.format(wanted="WHEN ? THEN ? " * len(desired_rows.values))
    wanted = chain.from_iterable((repeat(key), column) for key, column in desired_rows.values.items())
    rows = zip(moments, repeat(account), desired_rows.record_ids, moments, *wanted, strict=False)
    return connection.exec_driver_sql(statement, list(rows)).rowcount
