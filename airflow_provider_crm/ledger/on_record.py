"""What the ledger has on record of some opportunities: read it, and lock it in one order for all workers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.database.schema import field_states, rejects
from airflow_provider_crm.ledger.claims import FieldKey, PastRejection, StateOnRecord

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_TABLE = field_states.c


def read_states(
    connection: Connection, account: str, records: Sequence[str], *, lock: bool = False
) -> dict[FieldKey, StateOnRecord]:
    """Read the states of all fields of some records.

    Args:
        connection: In a transaction.
        account: Whose ledger.
        records: Ids of the records.
        lock: Whether the states stay as they are until the transaction ends. A holder whose lease ran out may be
            renewing its claim.
    """
    columns = [_TABLE[name] for name in ("record_id", "field", *StateOnRecord._fields)]
    query = sa.select(*columns).where(_TABLE.account == account, _TABLE.record_id.in_(records))
    if lock:
        query = dialect_of(connection).lock_rows(query, _TABLE.record_id, _TABLE.field)
    return {(record_id, key): StateOnRecord(*state) for record_id, key, *state in connection.execute(query)}


def read_rejections(connection: Connection, account: str, records: Sequence[str]) -> dict[str, PastRejection]:
    """Read when and why the CRM last rejected each of some records."""
    query = sa.select(rejects).where(rejects.c.account == account, rejects.c.record_id.in_(records))
    return {
        row.record_id: PastRejection(row.fingerprint, row.code, row.reason, row.attempts, row.first_at, row.rests)
        for row in connection.execute(query)
    }


def lock_rejections(connection: Connection, account: str, records: Iterable[str]) -> None:
    """Lock rejections that are to be changed: another thread may delete what this one counts."""
    dialect = dialect_of(connection)
    if dialect.locks_rows:
        query = sa.select(rejects.c.record_id)
        query = query.where(rejects.c.account == account, rejects.c.record_id.in_(list(records)))
        connection.execute(dialect.lock_rows(query, rejects.c.record_id))


def lock_claimed(
    connection: Connection, account: str, token: str, records: Iterable[str], whole: Iterable[str] = ()
) -> None:
    """Lock our rows in the same order as `read_states` does, so that two workers cannot deadlock.

    Args:
        connection: In a transaction.
        account: Whose ledger.
        token: Whose claims.
        records: Records of which the claimed rows are locked.
        whole: Records of which all rows are locked.
    """
    dialect = dialect_of(connection)
    if dialect.locks_rows:
        claimed = _TABLE.record_id.in_(list(records)) & (_TABLE.claim_token == token)
        query = sa.select(_TABLE.field).where(_TABLE.account == account, claimed | _TABLE.record_id.in_(list(whole)))
        connection.execute(dialect.lock_rows(query, _TABLE.record_id, _TABLE.field))


def claimed_records(connection: Connection, account: str, token: str, records: Iterable[str]) -> frozenset[str]:
    """Return the records of which a field is claimed with this token."""
    query = sa.select(_TABLE.record_id).where(
        _TABLE.account == account, _TABLE.record_id.in_(list(records)), _TABLE.claim_token == token
    )
    return frozenset(connection.execute(query).scalars())
