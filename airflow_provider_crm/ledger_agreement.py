"""Which rows want only what the CRM is known to hold: compared in the database, so that a quiet row costs little.

The rows travel to the database as one JSON text, and only those come back that need a closer look.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.ledger_claims import Place, Wish

_WISHES = {
    "sqlite": """
        SELECT json_extract(wish.value, '$[0]') AS number, json_extract(wish.value, '$[1]') AS record_id,
            json_extract(wish.value, '$[2]') AS field, json_extract(wish.value, '$[3]') AS value,
            json_extract(wish.value, '$[4]') AS as_of
        FROM json_each(:wishes) AS wish
    """,
    "postgresql": """
        SELECT CAST(wish ->> 0 AS int) AS number, wish ->> 1 AS record_id, wish ->> 2 AS field, wish ->> 3 AS value,
            CAST(wish ->> 4 AS timestamptz) AS as_of
        FROM jsonb_array_elements(CAST(:wishes AS jsonb)) AS wish
    """,
}
_DIFFERENT = """
    WITH wishes AS ({wishes}) SELECT DISTINCT number FROM wishes AS w
    LEFT JOIN crm_field_states AS s ON s.account = :account AND s.record_id = w.record_id AND s.field = w.field
    WHERE s.record_id IS NULL OR NOT s.known OR s.claim_token IS NOT NULL OR s.value IS NULL OR s.value <> w.value
        OR s.as_of IS NULL OR s.as_of > w.as_of
"""
# Every row of it is there already: an upsert, as no database then looks for the rows in another way than by their key.
_CONFIRM = """
    INSERT INTO crm_field_states (account, record_id, field, known, as_of)
    SELECT :account, record_id, field, true, as_of FROM ({wishes}) AS w WHERE true
    ON CONFLICT (account, record_id, field) DO UPDATE SET as_of = excluded.as_of
    WHERE crm_field_states.as_of < excluded.as_of
"""


def different(
    connection: Connection, account: str, wishes: Mapping[int, Wish], kept: Callable[[str, str], str]
) -> list[int]:
    """The numbers of the rows of which some field is not known to stand in the CRM as wanted, or has newer data.

    Args:
        connection: In a transaction that keeps claims of the account away.
        account: Whose ledger.
        wishes: The rows by any number.
        kept: The form in which the value of a key is kept.
    """
    moments = {moment: _moment_text(moment, connection) for moment in {wish.as_of for wish in wishes.values()}}
    rows = [
        (number, wish.record_id, key, kept(key, value), moments[wish.as_of])
        for number, wish in wishes.items()
        for key, value in wish.values.items()
    ]
    return [number for (number,) in _execute(connection, _DIFFERENT, account, rows)]


def confirm(connection: Connection, account: str, places: Mapping[Place, dt.datetime]) -> None:
    """Note newer data that agrees with what the CRM holds, so that older data does not get past it.

    Args:
        connection: In a transaction that keeps claims of the account away.
        account: Whose ledger.
        places: Data time of each field; all of them are on record.
    """
    moments = {moment: _moment_text(moment, connection) for moment in set(places.values())}
    rows = [(0, record_id, key, None, moments[as_of]) for (record_id, key), as_of in sorted(places.items())]
    _execute(connection, _CONFIRM, account, rows)


def _execute(
    connection: Connection, statement: str, account: str, rows: Sequence[tuple[object, ...]]
) -> Iterable[sa.Row[Any]]:
    if not rows:
        return ()
    sql = statement.format(wishes=_WISHES[connection.dialect.name])
    return connection.execute(sa.text(sql), {"account": account, "wishes": json.dumps(rows)})


def _moment_text(moment: dt.datetime, connection: Connection) -> str:
    """As the database reads it; SQLite keeps moments as text, see `UtcDateTime`."""
    utc = moment.astimezone(dt.UTC)
    if connection.dialect.name == "sqlite":
        return utc.replace(tzinfo=None).isoformat(" ", "microseconds")
    return utc.isoformat()
