"""The ledger's statements, built once: SQLAlchemy takes longer to build one than the database takes to run it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import DIALECTS
from airflow_provider_crm.database.schema import changes, field_states, rejects, runs
from airflow_provider_crm.ledger.states import StateOnRecord

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_LOCK_ORDER = (field_states.c.record_id, field_states.c.field)
_FIELD_KEY = [field_states.c.account, field_states.c.record_id, field_states.c.field]

LOG = sa.insert(changes)
NO_CLAIM: Mapping[str, None] = dict.fromkeys(
    ("claim_token", "claim_as_of", "claim_run_key", "claimed_until", "claim_value")
)
"""The columns of a field that is not claimed."""

_OF_ACCOUNT = field_states.c.account == sa.bindparam("of_account")
_OURS = field_states.c.claim_token == sa.bindparam("of_token")


@lru_cache(maxsize=4)
def select_states(dialect: str, *, lock: bool) -> sa.Select[Any]:
    """Select record id, key and state of all fields of some records; `lock` keeps them as they are."""
    columns = [field_states.c[name] for name in ("record_id", "field", *StateOnRecord._fields)]
    query = sa.select(*columns).where(_OF_ACCOUNT, _of_records(dialect))
    return DIALECTS[dialect].lock_rows(query, *_LOCK_ORDER) if lock else query


@lru_cache(maxsize=4)
def lock_states(dialect: str, *, whole: bool) -> sa.Select[Any]:
    """Lock what is claimed with one token of some records, in the order of `select_states`.

    Args:
        dialect: Name of the database.
        whole: Whether the parameter `of_whole` lists records of which all fields are locked.
    """
    rows = _of_records(dialect) & _OURS
    rows = rows | DIALECTS[dialect].among(field_states.c.record_id, "of_whole") if whole else rows
    return DIALECTS[dialect].lock_rows(sa.select(field_states.c.field).where(_OF_ACCOUNT, rows), *_LOCK_ORDER)


@lru_cache(maxsize=2)
def renew(dialect: str) -> sa.Executable:
    """Extend the claims with one token on some fields, which the parameter `rows` lists; return these fields."""
    names = ("record_id", "field")
    fields = [field_states.c[name] for name in names]
    rows = sa.text(DIALECTS[dialect].json_rows([(name, "text") for name in names])).columns(*map(sa.column, names))
    claimed = _claimed(dialect).where(sa.tuple_(*fields).in_(rows))
    return claimed.values(claimed_until=sa.bindparam("until")).returning(*fields)


@lru_cache(maxsize=2)
def release(dialect: str) -> sa.Executable:
    """Give back all claims with one token on some records."""
    return _claimed(dialect).values(NO_CLAIM)


@lru_cache(maxsize=2)
def select_claimed_records(dialect: str) -> sa.Select[Any]:
    """Select the ids of those of some records of which a field is claimed with one token."""
    return sa.select(field_states.c.record_id).where(_OF_ACCOUNT, _of_records(dialect), _OURS)


@lru_cache(maxsize=2)
def select_rejections(dialect: str) -> sa.Select[Any]:
    """Select the last rejections of some records."""
    records = DIALECTS[dialect].among(rejects.c.record_id, "of_records")
    return sa.select(rejects).where(rejects.c.account == sa.bindparam("of_account"), records)


def _claimed(dialect: str) -> sa.Update:
    return sa.update(field_states).where(_OF_ACCOUNT, _of_records(dialect), _OURS)


def _of_records(dialect: str) -> sa.ColumnElement[bool]:
    return DIALECTS[dialect].among(field_states.c.record_id, "of_records")


# `{rows}` is replaced by the rows: a query of the fields that a statement is about.
CONFIRM_FIELDS = """
    INSERT INTO crm_field_states (account, record_id, field, known, as_of)
    SELECT :account, record_id, field, true, as_of FROM ({rows}) AS w WHERE true
    ON CONFLICT (account, record_id, field) DO UPDATE SET as_of = excluded.as_of
    WHERE crm_field_states.as_of IS NULL OR crm_field_states.as_of < excluded.as_of
"""
CLAIM_FIELDS = """
    INSERT INTO crm_field_states
        (account, record_id, field, known, claim_token, claim_as_of, claim_run_key, claimed_until, claim_value)
    SELECT :account, record_id, field, false, :token, as_of, :run_key, :until, after FROM ({rows}) AS w WHERE true
    ON CONFLICT (account, record_id, field) DO UPDATE SET
        known = crm_field_states.known AND crm_field_states.claim_token IS NULL,
        claim_token = excluded.claim_token, claim_as_of = excluded.claim_as_of, claim_run_key = excluded.claim_run_key,
        claimed_until = excluded.claimed_until, claim_value = excluded.claim_value
"""
# A claim that another one replaces may have been used: its write has no other line in the change log.
LOG_OVERTAKEN = """
    INSERT INTO crm_changes
        (run_key, account, record_id, field, before, before_known, after, outcome, code, reason, at)
    SELECT s.claim_run_key, s.account, s.record_id, s.field, CASE WHEN s.known THEN s.value END,
        s.known AND s.value IS NOT NULL, s.claim_value, :outcome, :code, :reason, :now
    FROM ({rows}) AS w JOIN crm_field_states AS s
        ON s.account = :account AND s.record_id = w.record_id AND s.field = w.field
    WHERE s.claim_token IS NOT NULL AND s.claim_token <> :token ORDER BY s.record_id, s.field
"""
END_CLAIMS_OF_FIELDS = """
    INSERT INTO crm_field_states (account, record_id, field, known, value, as_of, run_key, acknowledged_at)
    SELECT :account, record_id, field, :known, CASE WHEN :stands THEN after END, as_of,
        CASE WHEN :stands THEN :run_key END, CASE WHEN :stands THEN :now END
    FROM ({rows}) AS w WHERE true
    ON CONFLICT (account, record_id, field) DO UPDATE SET
        known = excluded.known AND (excluded.value IS NOT NULL OR crm_field_states.known),
        value = coalesce(excluded.value, crm_field_states.value),
        as_of = coalesce(excluded.as_of, crm_field_states.as_of),
        run_key = coalesce(excluded.run_key, crm_field_states.run_key),
        acknowledged_at = coalesce(excluded.acknowledged_at, crm_field_states.acknowledged_at),
        claim_token = NULL, claim_as_of = NULL, claim_run_key = NULL, claimed_until = NULL, claim_value = NULL
    WHERE crm_field_states.claim_token = :token
"""
LOG_FIELDS = """
    INSERT INTO crm_changes
        (run_key, account, record_id, field, before, before_known, after, outcome, code, reason, source, at)
    SELECT :run_key, :account, record_id, field, before, before IS NOT NULL, after, :outcome, code, reason, source, :now
    FROM ({rows}) AS w WHERE true
"""
LOG_FIELDS_WITHOUT_CAUSE = LOG_FIELDS.replace("code, reason, source, :now", "'', '', NULL, :now")
UNCHANGED = "s.record_id = w.record_id AND s.known AND s.claim_token IS NULL AND s.value = CASE s.field {wanted} END"
# OFFSET hides from PostgreSQL that there is one account only: else, while it knows nothing about states, it may take
# them for a handful, and look through the rows for each of them.
CONFIRM_UNCHANGED = """
    UPDATE crm_field_states AS s SET as_of = w.as_of
    FROM (SELECT CAST(:account AS text) AS account, given.* FROM ({rows}) AS given OFFSET 0) AS w
    WHERE s.account = w.account AND {unchanged} AND (s.as_of IS NULL OR s.as_of < w.as_of)
"""
CONFIRM_ROW = """
    UPDATE crm_field_states SET as_of = ? WHERE account = ? AND record_id = ?
    AND (as_of IS NULL OR as_of < ?) AND known AND claim_token IS NULL AND value = CASE field {wanted} END
"""
# The rows of a range that may be confirmed, and the same range once they were found to be those that were wanted.
SELECT_RANGE = """
    SELECT record_id, field, value FROM crm_field_states
    WHERE account = ? AND record_id BETWEEN ? AND ? AND field IN ({keys})
    AND known AND claim_token IS NULL AND (as_of IS NULL OR as_of < ?) ORDER BY record_id, field LIMIT ?
"""
CONFIRM_RANGE = """
    UPDATE crm_field_states SET as_of = ? WHERE account = ? AND record_id BETWEEN ? AND ? AND field IN ({keys})
"""
LEFT = """
    SELECT number FROM ({rows}) AS w WHERE {fields} <>
    (SELECT count(*) FROM crm_field_states AS s WHERE s.account = :account AND {unchanged} AND s.as_of = w.as_of)
"""


@lru_cache(maxsize=4)
def begin_run(dialect: str, *, resumed: bool) -> sa.Executable:
    """Note that a try of a run begins, or goes on after a deferral; return how many there were."""
    insert: Any = DIALECTS[dialect].insert(runs)
    number = runs.c.tries if resumed else runs.c.tries + 1
    upsert: sa.Executable = insert.on_conflict_do_update(
        index_elements=[runs.c.run_key, runs.c.account],
        set_={"tries": number, "finished_at": None, "verdict": None, "progress": None},
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
    if not records and not fields:
        return
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
