"""Read and lock the ledger's records of some opportunities, in one order for all workers, and settle them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.database.field_hashes import FieldHashes
from airflow_provider_crm.database.schema import field_states, rejects
from airflow_provider_crm.ledger.claims import FieldKey, Settlement
from airflow_provider_crm.ledger.row_sets import EndedField, storable
from airflow_provider_crm.ledger.statements import refuse
from airflow_provider_crm.ledger.states import PastRejection, StateOnRecord
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord
from airflow_provider_crm.values.record_ids import LONGEST_RECORD_ID

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


_STANDS = frozenset({OutcomeWord.UPDATED, OutcomeWord.UNCHANGED})
_DOUBTFUL = frozenset({OutcomeWord.FAILED, OutcomeWord.UNKNOWN})


def ended_fields(batch: Sequence[Settlement], hashes: FieldHashes) -> list[EndedField]:
    """Return what is to be stored of each claimed field of some rows."""
    return [_ended(settlement, key, hashes) for settlement in batch for key in settlement.row.claim.fields]


def _ended(settlement: Settlement, key: str, hashes: FieldHashes) -> EndedField:
    desired, claimed, outcome = settlement.row.desired, settlement.row.claim, settlement.outcome
    stored_form = hashes.form_of(key)
    after = stored_form(desired.values[key])
    word = _word(settlement, key)
    stands = word in _STANDS
    doubtful = not stands and (word in _DOUBTFUL or settlement.doubtful)
    seen = settlement.row.seen.get(key)
    return EndedField(
        desired.record_id,
        key,
        known=stands or (not doubtful and claimed.still_valid(key, word)),
        value=after if stands else None,
        as_of=desired.as_of if stands or doubtful else None,
        before=claimed.before.get(key) if seen is None else stored_form(seen),
        after=after,
        outcome=word.value,
        code="" if stands else outcome.code,
        reason="" if stands else outcome.reason,
    )


def _word(settlement: Settlement, key: str) -> OutcomeWord:
    """Return the outcome of one field: part of a failed row may have been written, or have been right already."""
    if key in settlement.row.matching_keys:
        return OutcomeWord.UNCHANGED
    if settlement.outcome.word is OutcomeWord.FAILED and not settlement.sent:
        return OutcomeWord.NOT_SENT
    return OutcomeWord.UPDATED if key in settlement.written else settlement.outcome.word


def store_rejections(
    connection: Connection, account: str, batch: Sequence[Settlement], hashes: FieldHashes, now: dt.datetime
) -> None:
    """Count the rows that the CRM has rejected, and delete the rejections of rows that it has accepted."""
    rejected = [
        _rejection(account, settlement, hashes, now)
        for settlement in sorted(batch, key=lambda settlement: settlement.row.record_id)
        if settlement.outcome.word is OutcomeWord.REJECTED and settlement.sent
    ]
    accepted = [
        settlement.row.record_id
        for settlement in batch
        if settlement.outcome.word.is_written and settlement.row.claim.refused is not None
    ]
    if not rejected and not accepted:
        return
    lock_rejections(connection, account, [*(row["record_id"] for row in rejected), *accepted])
    if rejected:
        connection.execute(refuse(connection.dialect.name), rejected)
    connection.execute(sa.delete(rejects).where(rejects.c.account == account, rejects.c.record_id.in_(accepted)))


def _rejection(account: str, settlement: Settlement, hashes: FieldHashes, now: dt.datetime) -> dict[str, Any]:
    desired, outcome = settlement.row.desired, settlement.outcome
    return {
        "account": account,
        "record_id": desired.record_id,
        "fingerprint": hashes.fingerprint(desired.values),
        "outcome": outcome.word.value,
        "code": storable(outcome.code),
        "reason": storable(outcome.reason),
        "rests": settlement.rests,
        "attempts": 1,
        "first_at": now,
        "last_at": now,
    }


def log_line(run_key: str, account: str, outcome: Outcome, key: str, now: dt.datetime) -> dict[str, Any]:
    """Return the line of the change log about one field of a row that was never claimed."""
    return {
        "run_key": run_key,
        "account": account,
        "record_id": storable(outcome.record_id[:LONGEST_RECORD_ID]),
        "field": key,
        "before_known": False,
        "outcome": outcome.word.value,
        "code": storable(outcome.code),
        "reason": storable(outcome.reason),
        "at": now,
    }
