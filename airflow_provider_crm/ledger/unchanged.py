"""Rows of which the CRM has all values already, compared and confirmed in one pass: most rows of most runs.

An update confirms every field that has the desired value. Where it met all fields of all rows, that was the
comparison, too; else a second statement returns the rows that are left. SQLite runs its update row by row: it may plan
one over many rows the wrong way round.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import chain, count, repeat
from typing import TYPE_CHECKING

from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.ledger.claims import DesiredRows
from airflow_provider_crm.ledger.row_sets import execute_rows, moment_texts

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_LONGEST_TEXT = 1 << 24  # characters in one statement; PostgreSQL reads no JSON beyond 16 times that
_ROW = (("number", "int"), ("record_id", "text"), ("as_of", "timestamptz"))
_UNCHANGED = "s.record_id = w.record_id AND s.known AND s.claim_token IS NULL AND s.value = CASE s.field {wanted} END"
# OFFSET hides from PostgreSQL that there is one account only: else, while it knows nothing about states, it may take
# them for a handful, and look through the rows for each of them.
_CONFIRM = """
    UPDATE crm_field_states AS s SET as_of = w.as_of
    FROM (SELECT CAST(:account AS text) AS account, given.* FROM ({rows}) AS given OFFSET 0) AS w
    WHERE s.account = w.account AND {unchanged} AND (s.as_of IS NULL OR s.as_of < w.as_of)
"""
_CONFIRM_ROW = """
    UPDATE crm_field_states SET as_of = ? WHERE account = ? AND record_id = ?
    AND (as_of IS NULL OR as_of < ?) AND known AND claim_token IS NULL AND value = CASE field {wanted} END
"""
_LEFT = """
    SELECT number FROM ({rows}) AS w WHERE {fields} <>
    (SELECT count(*) FROM crm_field_states AS s WHERE s.account = :account AND {unchanged} AND s.as_of = w.as_of)
"""


def confirm_unchanged(connection: Connection, account: str, desired_rows: DesiredRows) -> frozenset[int]:
    """Confirm the fields that are known to have the desired value in the CRM, and no newer data.

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
    if len(desired_rows) > 1 and sum(len(text) for text in texts if text is not None) > _LONGEST_TEXT:
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
        "unchanged": _UNCHANGED.format(
            wanted=" ".join(f"WHEN :key_{index} THEN w.value_{index}" for index in range(len(keys)))
        ),
        "fields": " + ".join(f"CASE WHEN w.value_{index} IS NULL THEN 0 ELSE 1 END" for index in range(len(keys))),
    }
    columns = (*_ROW, *((f"value_{index}", "text") for index in range(len(keys))))
    rows = json.dumps(list(zip(count(), desired_rows.record_ids, moments, *desired_rows.values.values(), strict=False)))
    if not dialect.updates_by_row:
        dialect.plan_by_values(connection)
        confirmed = execute_rows(connection, _CONFIRM.format(**names), columns, rows, account=account, **keys)
        if confirmed.rowcount == wanted:
            return frozenset()
    left = execute_rows(connection, _LEFT.format(**names), columns, rows, account=account, **keys)
    return frozenset(number for (number,) in left)


def _confirmed_by_row(connection: Connection, account: str, desired_rows: DesiredRows, moments: list[str]) -> int:
    """Confirm unchanged fields row by row; return how many there are."""
    statement = _CONFIRM_ROW.format(wanted="WHEN ? THEN ? " * len(desired_rows.values))
    wanted = chain.from_iterable((repeat(key), column) for key, column in desired_rows.values.items())
    rows = zip(moments, repeat(account), desired_rows.record_ids, moments, *wanted, strict=False)
    return connection.exec_driver_sql(statement, list(rows)).rowcount
