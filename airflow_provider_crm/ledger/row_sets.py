"""The ledger's statements over many fields at once: confirm, claim, settle.

The rows travel to the database as one JSON text, at a tenth of the cost of one set of parameters for each field.
SQLite, to which nothing travels, takes them as parameters of one statement, at half the cost of reading a JSON text.
A statement that writes many rows is an upsert by the primary key, even if all of its rows exist: a database may find
the rows of an update in a slower way.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import DIALECTS, UtcDateTime, dialect_of
from airflow_provider_crm.ledger.statements import (
    CLAIM_FIELDS,
    CONFIRM_FIELDS,
    END_CLAIMS_OF_FIELDS,
    LOG_FIELDS,
    LOG_FIELDS_WITHOUT_CAUSE,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.ledger.claims import FieldKey
    from airflow_provider_crm.ledger.states import EndedRow

Columns: TypeAlias = tuple[tuple[str, str], ...]
"""Name and type of each column."""

_PARAMETERS = 30_000  # of one statement: SQLite allows 32,766
_NAME = re.compile(r"(?<!:):(\w+)")
FIELD_KEY: Columns = (("record_id", "text"), ("field", "text"))
_DATED = (*FIELD_KEY, ("as_of", "timestamptz"))
_ENDED = (*_DATED, ("after", "text"))
_CLAIMED = _ENDED
_LOGGED = (*FIELD_KEY, ("before", "text"), ("after", "text"))
_CAUSED = (*_LOGGED, ("code", "text"), ("reason", "text"), ("source", "text"))


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
    values: Mapping[str, Mapping[str, str]],
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
        values: The values to be written, as they are stored, in the same way; there may be more.
        token: Whose claim it is.
        run_key: The run.
        until: End of the lease.
    """
    if data_times:
        text = moment_texts(connection, {as_of for fields in data_times.values() for as_of in fields.values()})
        fields = [
            (record_id, key, text[as_of], wanted[key])
            for record_id in sorted(data_times)
            for wanted in (values[record_id],)
            for key, as_of in data_times[record_id].items()
        ]
        names = {"account": account, "token": token, "run_key": run_key}
        write_rows(connection, CLAIM_FIELDS, _CLAIMED, fields, **names, until=until)


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
    """Log fields that ended in the same way; causes travel only with those that have some.

    The first field of a row has the source's values of all.
    """
    if [row for row in rows if row.code or row.reason]:
        causes = [
            (row.record_id, *field, row.code, row.reason, None if number else row.source)
            for row in rows
            for number, field in enumerate(row.fields)
        ]
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
