"""The ledger's statements over many fields at once: compare, confirm, claim, settle.

The rows travel to the database as one JSON text, at a tenth of the cost of one set of parameters for each field. Every
statement that writes is an upsert by the primary key, even if all of its rows exist: a database may find the rows of an
update in a slower way.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, count, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import DIALECTS, UtcDateTime, dialect_of

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.ledger.claims import DesiredRows, FieldKey

_FIELD_KEY = (("record_id", "text"), ("field", "text"))
_DATED = (*_FIELD_KEY, ("as_of", "timestamptz"))
_STATE = (*_FIELD_KEY, ("known", "boolean"), ("value", "text"), ("as_of", "timestamptz"), ("run_key", "text"))
_LINE = (*_FIELD_KEY, *((name, "text") for name in ("before", "after", "outcome", "code", "reason")))
_CONFIRM = """
    INSERT INTO crm_field_states (account, record_id, field, known, as_of)
    SELECT :account, record_id, field, true, as_of FROM ({rows}) AS w WHERE true
    ON CONFLICT (account, record_id, field) DO UPDATE SET as_of = excluded.as_of
    WHERE crm_field_states.as_of IS NULL OR crm_field_states.as_of < excluded.as_of
"""
_CLAIM = """
    INSERT INTO crm_field_states
        (account, record_id, field, known, claim_token, claim_as_of, claim_run_key, claimed_until)
    SELECT :account, record_id, field, false, :token, as_of, :run_key, :until FROM ({rows}) AS w WHERE true
    ON CONFLICT (account, record_id, field) DO UPDATE SET
        known = crm_field_states.known AND crm_field_states.claim_token IS NULL,
        claim_token = excluded.claim_token, claim_as_of = excluded.claim_as_of, claim_run_key = excluded.claim_run_key,
        claimed_until = excluded.claimed_until
"""
_END_CLAIM = """
    INSERT INTO crm_field_states (account, record_id, field, known, value, as_of, run_key, acknowledged_at)
    SELECT :account, record_id, field, known, value, as_of, run_key, CASE WHEN run_key IS NOT NULL THEN :now END
    FROM ({rows}) AS w WHERE true
    ON CONFLICT (account, record_id, field) DO UPDATE SET
        known = excluded.known AND (excluded.value IS NOT NULL OR crm_field_states.known),
        value = coalesce(excluded.value, crm_field_states.value),
        as_of = coalesce(excluded.as_of, crm_field_states.as_of),
        run_key = coalesce(excluded.run_key, crm_field_states.run_key),
        acknowledged_at = coalesce(excluded.acknowledged_at, crm_field_states.acknowledged_at),
        claim_token = NULL, claim_as_of = NULL, claim_run_key = NULL, claimed_until = NULL
    WHERE crm_field_states.claim_token = :token
"""
_LOG = """
    INSERT INTO crm_changes
        (run_key, account, record_id, field, before, before_known, after, outcome, code, reason, at)
    SELECT :run_key, :account, record_id, field, before, before IS NOT NULL, after, outcome, code, reason, :now
    FROM ({rows}) AS w WHERE true
"""


class EndedField(NamedTuple):
    """A field whose claim ends: its state, then its line in the change log.

    Attributes:
        record_id: The opportunity.
        field: The vendor's key.
        known: Whether the CRM's value is known. Without an acknowledged value it stays unknown where an answer
            to another row has shown that what was on record is not true.
        value: The acknowledged value as it is stored, or None to leave the one on record.
        as_of: The new data time, or None to leave it.
        before: The value before, if that is known.
        after: The value that was to be written.
        outcome: The field's own word.
        code: Cause of a failure.
        reason: The same as a sentence.
    """

    record_id: str
    field: str
    known: bool
    value: str | None
    as_of: dt.datetime | None
    before: str | None
    after: str
    outcome: str
    code: str
    reason: str


def confirm(connection: Connection, account: str, data_times: Mapping[FieldKey, dt.datetime]) -> None:
    """Note newer data that agrees with the CRM, so that older data does not get past it.

    Args:
        connection: In a transaction that keeps claims of the account away.
        account: Whose ledger.
        data_times: Data time of each field; all of them are on record.
    """
    if data_times:
        execute_rows(connection, _CONFIRM, _DATED, _dated(connection, data_times), account=account)


def claim(
    connection: Connection,
    account: str,
    data_times: Mapping[FieldKey, dt.datetime],
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
        data_times: Data time of each field.
        token: Whose claim it is.
        run_key: The run.
        until: End of the lease.
    """
    names = {"account": account, "token": token, "run_key": run_key}
    if data_times:
        execute_rows(connection, _CLAIM, _DATED, _dated(connection, data_times), **names, until=until)


def end_claims(
    connection: Connection, account: str, fields: Sequence[EndedField], *, token: str, run_key: str, now: dt.datetime
) -> None:
    """Store the outcome of claimed fields, as far as the claims are still ours, and log it.

    Args:
        connection: In a transaction.
        account: Whose ledger.
        fields: One for each field.
        token: Whose claims they were.
        run_key: The run.
        now: The database's clock.
    """
    text = moment_texts(connection, {field.as_of for field in fields if field.as_of is not None})
    states = [
        (
            field.record_id,
            field.field,
            field.known,
            field.value,
            None if field.as_of is None else text[field.as_of],
            None if field.value is None else run_key,
        )
        for field in fields
    ]
    execute_rows(connection, _END_CLAIM, _STATE, json.dumps(states), account=account, token=token, now=now)
    lines = [(*field[:2], *field[5:8], storable(field.code), storable(field.reason)) for field in fields]
    execute_rows(connection, _LOG, _LINE, json.dumps(lines), account=account, run_key=run_key, now=now)


def storable(text: str) -> str:
    """Return a text from outside without what PostgreSQL does not store: NUL, and halves of characters."""
    return text if text.isascii() and "\0" not in text else text.replace("\0", " ").encode("utf-8", "replace").decode()


def _dated(connection: Connection, data_times: Mapping[FieldKey, dt.datetime]) -> str:
    text = moment_texts(connection, set(data_times.values()))
    return json.dumps([(record_id, key, text[as_of]) for (record_id, key), as_of in sorted(data_times.items())])


def execute_rows(
    connection: Connection, statement: str, columns: tuple[tuple[str, str], ...], rows: str, **values: object
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
def _text(statement: str, columns: tuple[tuple[str, str], ...], dialect: str) -> sa.TextClause:
    text = sa.text(statement.format(rows=DIALECTS[dialect].json_rows(columns)))
    moments = [sa.bindparam(name, type_=UtcDateTime) for name in ("now", "until") if f":{name}" in statement]
    return text.bindparams(*moments)


def moment_texts(connection: Connection, moments: Iterable[dt.datetime]) -> dict[dt.datetime, str]:
    """Return the text of each moment as a JSON row must have it."""
    dialect = dialect_of(connection)
    return {moment: dialect.moment_text(moment) for moment in moments}


_LONGEST_TEXT = 1 << 24  # characters in one statement; PostgreSQL reads no JSON beyond 16 times that
_ROW = (("number", "int"), ("record_id", "text"), ("as_of", "timestamptz"))
_UNCHANGED = "s.record_id = w.record_id AND s.known AND s.claim_token IS NULL AND s.value = CASE s.field {wanted} END"
# OFFSET hides from PostgreSQL that there is one account only: else, while it knows nothing about states, it may take
# them for a handful, and look through the rows for each of them.
_CONFIRM_UNCHANGED = """
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
        confirmed = execute_rows(connection, _CONFIRM_UNCHANGED.format(**names), columns, rows, account=account, **keys)
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
