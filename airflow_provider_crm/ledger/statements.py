"""The ledger's statements, built once: SQLAlchemy takes longer to build one than the database takes to run it."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import DIALECTS
from airflow_provider_crm.database.schema import changes, field_states, rejects, runs

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_FIELD_KEY = [field_states.c.account, field_states.c.record_id, field_states.c.field]

LOG = sa.insert(changes)

_CLAIMED = sa.update(field_states).where(
    field_states.c.account == sa.bindparam("of_account"),
    field_states.c.record_id.in_(sa.bindparam("of_records", expanding=True)),
    field_states.c.claim_token == sa.bindparam("of_token"),
)
RENEW = _CLAIMED.values(claimed_until=sa.bindparam("until")).returning(field_states.c.record_id, field_states.c.field)
"""Extend all claims with one token on some records; return the fields that are claimed with it."""
RELEASE = _CLAIMED.values(dict.fromkeys(("claim_token", "claim_as_of", "claim_run_key", "claimed_until")))
"""Give back all claims with one token on some records."""


@lru_cache(maxsize=4)
def begin_run(dialect: str, *, resumed: bool) -> sa.Executable:
    """Note that a try of a run begins, or goes on after a deferral; return how many there were."""
    insert: Any = DIALECTS[dialect].insert(runs)
    number = runs.c.tries if resumed else runs.c.tries + 1
    upsert: sa.Executable = insert.on_conflict_do_update(
        index_elements=[runs.c.run_key, runs.c.account], set_={"tries": number, "finished_at": None}
    ).returning(runs.c.tries)
    return upsert


@lru_cache(maxsize=2)
def observe(dialect: str) -> sa.Executable:
    """Note the value that a field was seen to have, unless it is claimed, has newer data, or was written since."""
    insert = DIALECTS[dialect].insert(field_states)
    names = ("value", "known", "as_of", "run_key", "acknowledged_at")
    upsert: sa.Executable = insert.on_conflict_do_update(
        index_elements=_FIELD_KEY,
        set_={name: insert.excluded[name] for name in names},
        where=field_states.c.claim_token.is_(None)
        & (field_states.c.as_of.is_(None) | (field_states.c.as_of <= insert.excluded.as_of))
        & (
            field_states.c.acknowledged_at.is_(None)
            | (field_states.c.acknowledged_at <= insert.excluded.acknowledged_at)
            | (field_states.c.value == insert.excluded.value)
        ),
    )
    return upsert


def forget(
    connection: Connection, account: str, records: Collection[str], fields: Collection[tuple[str, str]] = ()
) -> None:
    """Count the CRM's values as unknown, of whole records and of single fields.

    Args:
        connection: In a transaction that has locked all rows of these records.
        account: Whose ledger.
        records: Ids of the records.
        fields: Record id and key of the single fields.
    """
    known = sa.update(field_states).where(field_states.c.account == account, field_states.c.known).values(known=False)
    if records:
        connection.execute(known.where(field_states.c.record_id.in_(sorted(records))))
    if fields:
        field_key = sa.tuple_(field_states.c.record_id, field_states.c.field)
        connection.execute(known.where(field_key.in_(sorted(fields))))


@lru_cache(maxsize=2)
def refuse(dialect: str) -> sa.Executable:
    """Count a rejection; begin at one again if the values are others than the last time."""
    insert = DIALECTS[dialect].insert(rejects)
    again = rejects.c.fingerprint == insert.excluded.fingerprint
    upsert: sa.Executable = insert.on_conflict_do_update(
        index_elements=[rejects.c.account, rejects.c.record_id],
        set_={
            "fingerprint": insert.excluded.fingerprint,
            "outcome": insert.excluded.outcome,
            "code": insert.excluded.code,
            "reason": insert.excluded.reason,
            "rests": insert.excluded.rests,
            "attempts": sa.case((again, rejects.c.attempts + 1), else_=1),
            "first_at": sa.case((again, rejects.c.first_at), else_=insert.excluded.first_at),
            "last_at": insert.excluded.last_at,
        },
    )
    return upsert
