"""The ledger's statements over many fields at once: confirm, claim, settle.

The rows travel to the database as one JSON text, which costs a tenth of what one set of parameters for each field does.
Every statement that writes is an upsert by the primary key, also where all of its rows are there already: a database
may look for the rows of an update in a slower way.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import DIALECTS, UtcDateTime, dialect_of

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.ledger.claims import FieldKey

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
