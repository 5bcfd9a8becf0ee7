"""Read and lock the ledger's records of some opportunities, in one order for all workers, and settle them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.database.field_hashes import FieldHashes
from airflow_provider_crm.database.schema import field_states, rejects
from airflow_provider_crm.ledger.claims import Claim, ClaimedRow, DesiredRow, Settlement, Verdict
from airflow_provider_crm.ledger.row_sets import storable
from airflow_provider_crm.ledger.statements import (
    lock_states,
    refuse,
    select_claimed_records,
    select_rejections,
    select_states,
)
from airflow_provider_crm.ledger.states import EndedRow, PastRejection, StateOnRecord
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, SourceValue
from airflow_provider_crm.values.record_ids import LONGEST_RECORD_ID
from airflow_provider_crm.values.source_values import to_json

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


def of_records(account: str, records: Iterable[str], **others: object) -> dict[str, object]:
    """Return the parameters of a statement about some records, in an order that is always the same."""
    return {"of_account": account, "of_records": json.dumps(sorted(records)), **others}


def read_states(
    connection: Connection, account: str, records: Sequence[str], *, lock: bool = False
) -> dict[str, dict[str, StateOnRecord]]:
    """Read the states of all fields of some records, by record id and key.

    Args:
        connection: In a transaction.
        account: Whose ledger.
        records: Ids of the records.
        lock: Whether the states stay as they are until the transaction ends. A holder whose lease ran out may be
            renewing its claim.
    """
    states: dict[str, dict[str, StateOnRecord]] = {}
    query = select_states(connection.dialect.name, lock=lock)
    for row in connection.execute(query, of_records(account, records)).all():
        states.setdefault(row[0], {})[row[1]] = StateOnRecord._make(row[2:])
    return states


def read_rejections(connection: Connection, account: str, records: Sequence[str]) -> dict[str, PastRejection]:
    """Read when and why the CRM last rejected each of some records."""
    found = connection.execute(select_rejections(connection.dialect.name), of_records(account, records))
    return {
        row.record_id: PastRejection(row.fingerprint, row.code, row.reason, row.attempts, row.first_at, row.rests)
        for row in found
    }


def lock_rejections(connection: Connection, account: str, records: Iterable[str]) -> None:
    """Lock rejections that are to be changed: another thread may delete what this one counts."""
    dialect = dialect_of(connection)
    if dialect.locks_rows:
        query = sa.select(rejects.c.record_id)
        query = query.where(rejects.c.account == account, rejects.c.record_id.in_(list(records)))
        connection.execute(dialect.lock_rows(query, rejects.c.record_id))


def lock_claimed(
    connection: Connection, account: str, token: str, records: Iterable[str], whole: Collection[str] = ()
) -> None:
    """Lock our rows in the same order as `read_states` does, so that two workers cannot deadlock.

    Args:
        connection: In a transaction.
        account: Whose ledger.
        token: Whose claims.
        records: Records of which the claimed rows are locked.
        whole: Records of which all rows are locked.
    """
    if dialect_of(connection).locks_rows:
        wholes = {"of_whole": json.dumps(sorted(whole))} if whole else {}
        query = lock_states(connection.dialect.name, whole=bool(whole))
        connection.execute(query, of_records(account, records, of_token=token, **wholes))


def claimed_records(connection: Connection, account: str, token: str, records: Iterable[str]) -> frozenset[str]:
    """Return the records of which a field is claimed with this token."""
    query = select_claimed_records(connection.dialect.name)
    return frozenset(connection.execute(query, of_records(account, records, of_token=token)).scalars())


def read_held(
    connection: Connection,
    holder: tuple[str, str],
    after: str,
    at_once: int,
    *,
    until: dt.datetime,
    hashes: FieldHashes,
) -> list[ClaimedRow]:
    """Read the next rows that are claimed with a token for longer than a moment, in the order of their record ids.

    Args:
        connection: In a transaction.
        holder: Account and token.
        after: Record id of the last row before them.
        at_once: Number of rows at most.
        until: The moment.
        hashes: The form in which values are stored.
    """
    account, token = holder
    names = ("record_id", "field", "claim_value", "claim_as_of", "known", "value")
    of_holder = (field_states.c.account == account) & (field_states.c.claim_token == token)
    mine = of_holder & (field_states.c.claimed_until > until)
    ids = sa.select(field_states.c.record_id).distinct().where(mine, field_states.c.record_id > after)
    some = ids.order_by(field_states.c.record_id).limit(at_once).subquery()
    query = sa.select(*(field_states.c[name] for name in names)).where(
        mine, field_states.c.record_id.in_(sa.select(some))
    )
    by_record: dict[str, list[Any]] = {}
    for row in connection.execute(query.order_by(field_states.c.record_id, field_states.c.field)):
        by_record.setdefault(row.record_id, []).append(row)
    return [_claimed_row(record_id, rows, hashes) for record_id, rows in by_record.items()]


def _claimed_row(record_id: str, rows: Sequence[Any], hashes: FieldHashes) -> ClaimedRow:
    values = {row.field: row.claim_value for row in rows}
    before = {row.field: row.value for row in rows if row.known and row.value and hashes.comparable(row.value)}
    claim = Claim(Verdict.SEND, fields=frozenset(values), before=before)
    return ClaimedRow(DesiredRow(record_id, values, rows[0].claim_as_of), claim)


_STANDS = frozenset({OutcomeWord.UPDATED, OutcomeWord.UNCHANGED})
_UPDATED = OutcomeWord.UPDATED.value
_DOUBTFUL = frozenset({OutcomeWord.FAILED, OutcomeWord.UNKNOWN})


def ended_rows(batch: Sequence[Settlement], hashes: FieldHashes) -> list[EndedRow]:
    """Return what is to be stored of the claimed fields of some rows."""
    ended: list[EndedRow] = []
    for settlement in batch:
        if settlement.outcome.word is OutcomeWord.UPDATED and not settlement.row.matching_keys:  # as nearly always
            row = settlement.row
            values, is_new = row.desired.values, not (row.seen or row.claim.before or hashes.fields)
            if is_new and len(values) == len(row.claim.fields):
                fields: Sequence[tuple[str, str | None, str]] = list(zip(values, repeat(None), values.values()))
            else:
                fields = _ended_fields(row, row.claim.fields, hashes)
            ended.append(EndedRow(row.desired.record_id, fields, True, True, row.desired.as_of, _UPDATED, "", ""))  # noqa: FBT003 - stands, known
        else:
            ended += [
                _ended(settlement, word, keys, hashes, valid=valid)
                for (word, valid), keys in _keys_by_end(settlement).items()
            ]
    return ended


def _keys_by_end(settlement: Settlement) -> Mapping[tuple[OutcomeWord, bool], Collection[str]]:
    """Return the claimed keys by their outcome, and by whether the value on record is still the CRM's."""
    claim = settlement.row.claim
    keys: dict[tuple[OutcomeWord, bool], list[str]] = {}
    for key in claim.fields:
        word = _word(settlement, key)
        keys.setdefault((word, word in _STANDS or claim.still_valid(key, word)), []).append(key)
    return keys


def _ended(
    settlement: Settlement, word: OutcomeWord, keys: Collection[str], hashes: FieldHashes, *, valid: bool
) -> EndedRow:
    row, outcome, stands = settlement.row, settlement.outcome, word in _STANDS
    doubtful = not stands and (word in _DOUBTFUL or settlement.doubtful)
    return EndedRow(
        row.desired.record_id,
        _ended_fields(row, keys, hashes),
        stands,
        known=valid and not doubtful,
        as_of=row.desired.as_of if stands or doubtful else None,
        outcome=word.value,
        code="" if stands else storable(outcome.code),
        reason="" if stands else storable(outcome.reason),
        source=None if stands else stored_source(outcome),
    )


def _ended_fields(row: ClaimedRow, keys: Collection[str], hashes: FieldHashes) -> Sequence[tuple[str, str | None, str]]:
    values, before, seen = row.desired.values, row.claim.before, row.seen
    return [
        (key, stored_form(seen[key]) if key in seen else before.get(key), stored_form(values[key]))
        for key in keys
        for stored_form in (hashes.form_of(key),)
    ]


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
        for settlement in batch
        if settlement.outcome.word is OutcomeWord.REJECTED and settlement.sent
    ]
    rejected.sort(key=lambda row: str(row["record_id"]))
    accepted = [
        settlement.row.record_id
        for settlement in batch
        if settlement.row.claim.refused is not None and settlement.outcome.word.is_written
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
        "source": stored_source(outcome),
    }


def stored_source(outcome: Outcome) -> str | None:
    """Return the source's values of a refused row as the change log has them."""
    return to_json(SourceValue(one.field, one.text and storable(one.text)) for one in outcome.source)
