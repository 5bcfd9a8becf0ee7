"""Take back data times that shut out newer data, and note it in the change log."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from airflow_provider_crm.database.schema import changes, field_states
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.ledger.overtaken import log_cleared
from airflow_provider_crm.ledger.statements import NO_CLAIM

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.database.database import Database

RUN_KEY = "airflow crm fence clear"
"""Run key of these lines in the change log."""
OUTCOME = "fence_cleared"


class Fence(NamedTuple):
    """The newest data time of one field.

    Attributes:
        record_id: The opportunity.
        field: The vendor's key.
        as_of: The data time.
        busy: Whether a run is writing the field now, so that it was left as it is.
    """

    record_id: str
    field: str
    as_of: dt.datetime
    busy: bool


def clear_fences(
    database: Database, account: str, records: Collection[str], *, by: str, now: dt.datetime
) -> list[Fence]:
    """Take back the data times of some records, or all that lie in the future, so that the next run writes.

    The values stay known: a run that wants the same is `unchanged`, and sets the data time again. What a killed run has
    claimed with such a data time is free again, and counts as unknown.

    Args:
        database: The ledger's.
        account: Name of the account.
        records: Ids of the records, in the vendor's one spelling; empty for all data times after `now`.
        by: The user who does it.
        now: The time.

    Returns:
        The data times, and whether each could be taken back.

    Raises:
        ConfigurationError: The ledger has no such account, or none of one of the records.
        TransientError: The database cannot be used.
    """
    table = field_states.c
    if records:
        asked = table.record_id.in_(sorted(records)) & (table.as_of.is_not(None) | table.claim_as_of.is_not(None))
    else:
        asked = (table.as_of > now) | (table.claim_as_of > now)
    query = sa.select(table.record_id, table.field, table.as_of, table.claim_as_of, table.claimed_until)
    query = database.dialect.lock_rows(query.where(table.account == account, asked), table.record_id, table.field)
    with database.transaction() as connection:
        _check_known(connection, account, records)
        fences = [_fence(row, now) for row in connection.execute(query)]
        _clear(connection, account, [fence for fence in fences if not fence.busy], by, now)
    return fences


def _clear(connection: Connection, account: str, fences: Sequence[Fence], by: str, now: dt.datetime) -> None:
    """Take back these data times, and note that in the change log."""
    table = field_states.c
    fields = [(fence.record_id, fence.field) for fence in fences]
    log_cleared(connection, account, fields, by=by, now=now)
    for fence in fences:
        of_field = (table.account == account, table.record_id == fence.record_id, table.field == fence.field)
        claimed = table.claim_token.is_not(None)
        connection.execute(sa.update(field_states).where(*of_field, claimed).values(known=False, **NO_CLAIM))
        connection.execute(sa.update(field_states).where(*of_field).values(as_of=None))
    if fences:
        connection.execute(sa.insert(changes), [_line(account, fence, by, now) for fence in fences])


def _check_known(connection: Connection, account: str, records: Collection[str]) -> None:
    table = field_states.c
    known = set(
        connection.execute(
            sa.select(table.record_id).distinct().where(table.account == account, table.record_id.in_(sorted(records)))
        ).scalars()
    )
    if missing := sorted(set(records) - known):
        msg = f"The ledger knows no record {', '.join(map(repr, missing))} of account {account!r}; nothing was changed."
        raise ConfigurationError(msg)
    if (
        not records
        and connection.execute(sa.select(table.field).where(table.account == account).limit(1)).first() is None
    ):
        accounts = connection.execute(sa.select(table.account).distinct().order_by(table.account)).scalars().all()
        msg = f"The ledger knows no account {account!r}; it knows {', '.join(accounts) or 'none'}."
        raise ConfigurationError(msg)


def _fence(row: Any, now: dt.datetime) -> Fence:  # noqa: ANN401 - a row of the query
    newest = max(moment for moment in (row.as_of, row.claim_as_of) if moment is not None)
    return Fence(row.record_id, row.field, newest, row.claimed_until is not None and row.claimed_until > now)


def _line(account: str, fence: Fence, by: str, now: dt.datetime) -> dict[str, Any]:
    return {
        "run_key": RUN_KEY,
        "account": account,
        "record_id": fence.record_id,
        "field": fence.field,
        "before_known": False,
        "outcome": OUTCOME,
        "code": "FENCE_CLEARED",
        "reason": f"The data time {fence.as_of:%Y-%m-%d %H:%M} UTC was cleared by {by}.",
        "at": now,
    }
