"""What was acknowledged by the CRM, by account, record and field: the guard of order, the memory of a killed run.

A field is **claimed** with a lease before it is sent, and **acknowledged** after the CRM showed it as written. An older
data time never gets past a newer one that was claimed or acknowledged. A value is stored only with its acknowledgement;
where the last word is missing (a killed worker, an answer that never came), the value counts as unknown and is sent
again. So does a value that an answer shows to be no longer true: of a record that the CRM does not find, or shows with
another value.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_crm.database.field_hashes import FieldHashes
from airflow_provider_crm.database.held_signals import held_signals
from airflow_provider_crm.database.schema import field_states, migrate, plan_reads, plans, rejects
from airflow_provider_crm.exceptions import LedgerUnavailableError
from airflow_provider_crm.ledger.claims import (
    Claim,
    ClaimBatch,
    DesiredRow,
    DesiredRows,
    FieldState,
    Place,
    Refusal,
    Settlement,
    StateOnRecord,
)
from airflow_provider_crm.ledger.row_sets import EndedField, claim, confirm, end_claims, storable
from airflow_provider_crm.ledger.statements import LOG, forget, observe, refuse
from airflow_provider_crm.ledger.tries import begin_try, end_try
from airflow_provider_crm.ledger.unchanged import confirm_unchanged
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord
from airflow_provider_crm.values.record_ids import LONGEST_RECORD_ID

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

    from airflow_provider_crm.clock import Clock


class Ledger:
    """The ledger of one account, in the hands of one try of one run.

    Safe for many threads, processes and machines. Every method raises `LedgerUnavailableError` if the database cannot
    be reached or written: then nothing more may be sent, because it could not be recorded.

    Args:
        engine: The database, prepared by `ledger_schema.prepare_engine`.
        account: Name of the account, see `Account.key`.
        run_key: Name of the run, the same for all its tries.
        lease: Seconds for which a claim keeps others away; longer than any call may take.
        clock: Time.
        hashes: Which fields are kept as hashes only, and with which key.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        account: str,
        run_key: str,
        lease: float,
        clock: Clock,
        hashes: FieldHashes | None = None,
    ) -> None:
        self._engine = engine
        self._account = account
        self._run_key = run_key
        self._lease = lease
        self._clock = clock
        self.hashes = hashes or FieldHashes()
        self._token = uuid.uuid4().hex
        self._try = 1

    def open(self, as_of: dt.datetime | None, *, resumed: bool = False) -> None:
        """Create or migrate the tables, and note that a try of the run begins.

        Args:
            as_of: Data time of the run.
            resumed: Whether the try goes on after a deferral.
        """
        with held_signals(), self._errors():
            migrate(self._engine)
        with self._transaction() as connection:
            now = self._now(connection)
            self._try = begin_try(connection, self._run_key, self._account, as_of=as_of, now=now, resumed=resumed)

    def close(self, report: Mapping[str, Any], *, deferred: bool = False) -> None:
        """Store the report of this try, and what all tries of the run come to.

        Args:
            report: Of this try.
            deferred: Whether the try goes on later.
        """
        with self._transaction() as connection:
            now = None if deferred else self._now(connection)
            end_try(connection, self._run_key, self._account, self._try, report=report, now=now)

    def claim(
        self, desired_rows: Sequence[DesiredRow], *, changes_only: bool = True, retry_rejected: bool = False
    ) -> list[Claim]:
        """Say for each row what may be sent now, and claim it, in one transaction.

        Args:
            wishes: One per row; at most some hundreds at once.
            changes_only: Leave out what the CRM is known to hold already.
            retry_rejected: Claim also rows whose very values the CRM has refused before.

        Returns:
            One claim per wish, in order.
        """
        with self._transaction() as connection:
            self._serialize(connection)
            records = sorted({desired.record_id for desired in desired_rows})
            states, refusals = self._states(connection, records, lock=True), self._refusals(connection, records)
            started, now = self._clock.monotonic(), self._now(connection)
            batch = ClaimBatch(now, states, refusals, self.hashes)
            claims = [
                batch.decide(
                    desired, changes_only=changes_only, retry_rejected=retry_rejected, deadline=started + self._lease
                )
                for desired in desired_rows
            ]
            claim(
                connection,
                self._account,
                batch.claimed,
                token=self._token,
                run_key=self._run_key,
                until=now + dt.timedelta(seconds=self._lease),
            )
            confirm(connection, self._account, batch.confirmed)
        return claims

    def settled(self, desired_rows: DesiredRows) -> frozenset[int]:
        """Which rows want only what the CRM is known to hold, by position.

        Older data does not get past them any more, nor past those fields of other rows that are held as wanted. A
        record that occurs twice is not among them: its rows have to be decided one after another.

        Args:
            wishes: Some thousands of rows.
        """
        kept = {
            key: [None if text is None else self.stored_form(key, text) for text in column]
            if key in self.hashes.fields
            else column
            for key, column in desired_rows.values.items()
        }
        with self._transaction() as connection:
            self._serialize(connection)
            return confirm_unchanged(connection, self._account, replace(desired_rows, values=kept))

    def renew(self, desired: DesiredRow, claim: Claim) -> float | None:
        """Extend a claim; the new deadline in monotonic seconds, or None if somebody has taken it over."""
        with self._transaction() as connection:
            self._lock_mine(connection, [desired.record_id])
            started = self._clock.monotonic()
            until = self._now(connection) + dt.timedelta(seconds=self._lease)
            renewed = connection.execute(
                sa.update(field_states)
                .where(
                    field_states.c.account == self._account,
                    field_states.c.record_id == desired.record_id,
                    field_states.c.field.in_(claim.fields),
                    field_states.c.claim_token == self._token,
                )
                .values(claimed_until=until)
            ).rowcount
        return started + self._lease if renewed == len(claim.fields) else None

    def release(self, records: Iterable[str]) -> None:
        """Give back the claims of rows that were never sent, so that others may claim them at once.

        What is known of these records stays as it was before the claims. What this holder has not claimed stays, too.

        Args:
            records: At most some hundreds.
        """
        released = list(records)
        with self._transaction() as connection:
            self._serialize(connection)  # a claim that a signal has interrupted may be stored only now
            self._lock_mine(connection, released)
            connection.execute(
                sa.update(field_states)
                .where(
                    field_states.c.account == self._account,
                    field_states.c.record_id.in_(released),
                    field_states.c.claim_token == self._token,
                )
                .values(claim_token=None, claim_as_of=None, claim_run_key=None, claimed_until=None)
            )

    def settle(self, batch: Sequence[Settlement], *, once_more: bool = False) -> None:
        """Record what became of claimed rows; returns when it is stored.

        Args:
            batch: The rows.
            once_more: Whether a signal may have interrupted this when it was stored already; then rows without a claim
                are left alone, so that none stands twice in the change log.
        """
        gone = {settlement.row.record_id for settlement in batch if settlement.gone}
        disproved = {(settlement.row.record_id, key) for settlement in batch for key in settlement.disproved}
        with self._transaction() as connection:
            records = {settlement.row.record_id for settlement in batch}
            self._lock_mine(connection, records, whole=gone | {record_id for record_id, _ in disproved})
            if once_more:
                claimed = self._claimed_of(connection, records)
                batch = [settlement for settlement in batch if settlement.row.record_id in claimed]
            now = self._now(connection)
            ended = [self._ended(settlement, key) for settlement in batch for key in settlement.row.claim.fields]
            end_claims(connection, self._account, ended, token=self._token, run_key=self._run_key, now=now)
            self._store_refusals(connection, batch, now)
            forget(connection, self._account, gone, disproved)

    def forget(self, records: Iterable[str]) -> None:
        """Count what these records hold as unknown: the CRM said that there are none of these ids.

        What is written to them next is sent, whatever it is. No data time moves.
        """
        gone = set(records)
        if gone:
            with self._transaction() as connection:
                self._lock_mine(connection, gone, whole=gone)
                forget(connection, self._account, gone)

    def states(self, records: Iterable[str]) -> dict[Place, FieldState]:
        """What is on record for these opportunities, by record and key; at most some hundreds of records at once."""
        with self._transaction() as connection:
            rows = self._states(connection, sorted(set(records)))
        return {place: FieldState(row.value if self._says(row) else None, row.newest) for place, row in rows.items()}

    def _says(self, row: StateOnRecord) -> bool:
        """Whether a state says what the CRM holds; a hash that was made with another key says nothing."""
        if row.value is None or not row.known or row.claim_token is not None:
            return False
        return self.hashes.comparable(row.value)

    def observe(self, desired_rows: Sequence[DesiredRow], seen_at: dt.datetime) -> None:
        """Note values that the CRM was seen to hold already, so that older data does not get past them.

        Where newer data is on record, a claim, or what was written since, that stays.

        Args:
            wishes: The values.
            seen_at: When they were seen.
        """
        with self._transaction() as connection:
            self._serialize(connection)
            rows = [
                {
                    "account": self._account,
                    "record_id": desired.record_id,
                    "field": key,
                    "value": self.stored_form(key, value),
                    "known": True,
                    "as_of": desired.as_of,
                    "run_key": self._run_key,
                    "acknowledged_at": seen_at,
                }
                for desired in desired_rows
                for key, value in desired.values.items()
            ]
            rows.sort(key=lambda row: (row["record_id"], row["field"]))
            _each(connection, observe(connection.dialect.name), rows)

    def note(self, outcomes: Iterable[tuple[Outcome, Iterable[str]]]) -> None:
        """Write outcomes of rows that were never claimed into the change log, with the keys they are about."""
        with self._transaction() as connection:
            now = self._now(connection)
            rows = [self._line(outcome, key, now) for outcome, keys in outcomes for key in tuple(keys) or ("",)]
            _each(connection, LOG, rows)

    def _line(self, outcome: Outcome, key: str, now: dt.datetime) -> dict[str, Any]:
        return {
            "run_key": self._run_key,
            "account": self._account,
            "record_id": storable(outcome.record_id[:LONGEST_RECORD_ID]),
            "field": key,
            "before_known": False,
            "outcome": outcome.word.value,
            "code": storable(outcome.code),
            "reason": storable(outcome.reason),
            "at": now,
        }

    def stored_form(self, key: str, value: str) -> str:
        """The form in which a value is kept: a hash, for the fields that were named for it."""
        return self.hashes.stored_form(key, value)

    def _ended(self, settlement: Settlement, key: str) -> EndedField:
        """What is to be stored of one field."""
        desired, claimed, outcome = settlement.row.desired, settlement.row.claim, settlement.outcome
        after = self.stored_form(key, desired.values[key])
        unsent = outcome.word is OutcomeWord.FAILED and not settlement.sent
        word = OutcomeWord.UPDATED if key in settlement.written else outcome.word
        word = OutcomeWord.NOT_SENT if unsent else word
        word = OutcomeWord.UNCHANGED if key in settlement.row.matching_keys else word
        held = word in _HELD
        doubtful = not held and (word in _DOUBTFUL or settlement.doubtful)
        seen = settlement.row.seen.get(key)
        return EndedField(
            desired.record_id,
            key,
            known=held or (not doubtful and claimed.still_valid(key, word)),
            value=after if held else None,
            as_of=desired.as_of if held or doubtful else None,
            before=claimed.before.get(key) if seen is None else self.stored_form(key, seen),
            after=after,
            outcome=word.value,
            code="" if held else outcome.code,
            reason="" if held else outcome.reason,
        )

    def _store_refusals(self, connection: Connection, batch: Sequence[Settlement], now: dt.datetime) -> None:
        refused = [
            self._refusal(settlement, now)
            for settlement in sorted(batch, key=lambda settlement: settlement.row.record_id)
            if settlement.outcome.word is OutcomeWord.REJECTED and settlement.sent
        ]
        healed = [
            settlement.row.record_id
            for settlement in batch
            if settlement.outcome.word is OutcomeWord.UPDATED and settlement.row.claim.refused is not None
        ]
        if not refused and not healed:
            return
        self._lock_rejects(connection, [*(row["record_id"] for row in refused), *healed])
        _each(connection, refuse(connection.dialect.name), refused)
        connection.execute(
            sa.delete(rejects).where(rejects.c.account == self._account, rejects.c.record_id.in_(healed))
        )

    def _refusal(self, settlement: Settlement, now: dt.datetime) -> dict[str, Any]:
        desired, outcome = settlement.row.desired, settlement.outcome
        return {
            "account": self._account,
            "record_id": desired.record_id,
            "fingerprint": self.hashes.fingerprint(desired.values),
            "outcome": outcome.word.value,
            "code": storable(outcome.code),
            "reason": storable(outcome.reason),
            "rests": settlement.rests,
            "attempts": 1,
            "first_at": now,
            "last_at": now,
        }

    def _states(
        self, connection: Connection, records: Sequence[str], *, lock: bool = False
    ) -> dict[Place, StateOnRecord]:
        columns = [field_states.c[name] for name in ("record_id", "field", *StateOnRecord._fields)]
        query = sa.select(*columns).where(
            field_states.c.account == self._account, field_states.c.record_id.in_(records)
        )
        if lock and connection.dialect.name == "postgresql":
            # What is decided here stays true until it is written: a holder whose lease ran out may be renewing it.
            order = field_states.c.record_id.collate("C"), field_states.c.field.collate("C")
            query = query.order_by(*order).with_for_update()
        return {(record_id, key): StateOnRecord(*state) for record_id, key, *state in connection.execute(query)}

    def _refusals(self, connection: Connection, records: Sequence[str]) -> dict[str, Refusal]:
        query = sa.select(rejects).where(rejects.c.account == self._account, rejects.c.record_id.in_(records))
        return {
            row.record_id: Refusal(row.fingerprint, row.code, row.reason, row.attempts, row.first_at, row.rests)
            for row in connection.execute(query)
        }

    def _lock_rejects(self, connection: Connection, records: Iterable[str]) -> None:
        """The same for the rejects that are to be changed: one thread may refuse what another one heals."""
        if connection.dialect.name == "postgresql":
            connection.execute(
                sa.select(rejects.c.record_id)
                .where(rejects.c.account == self._account, rejects.c.record_id.in_(list(records)))
                .order_by(rejects.c.record_id.collate("C"))
                .with_for_update()
            )

    def _lock_mine(self, connection: Connection, records: Iterable[str], whole: Iterable[str] = ()) -> None:
        """Lock the rows that we have claimed, in the order of `claim`, so that two workers cannot deadlock.

        Args:
            connection: In a transaction.
            records: Whose rows.
            whole: Records of which all rows are locked.
        """
        if connection.dialect.name == "postgresql":
            mine = field_states.c.record_id.in_(list(records)) & (field_states.c.claim_token == self._token)
            connection.execute(
                sa.select(field_states.c.field)
                .where(field_states.c.account == self._account, mine | field_states.c.record_id.in_(list(whole)))
                .order_by(field_states.c.record_id.collate("C"), field_states.c.field.collate("C"))
                .with_for_update()
            )

    def _claimed_of(self, connection: Connection, records: Iterable[str]) -> frozenset[str]:
        """Return the records of which we have a claim."""
        query = sa.select(field_states.c.record_id).where(
            field_states.c.account == self._account,
            field_states.c.record_id.in_(list(records)),
            field_states.c.claim_token == self._token,
        )
        return frozenset(connection.execute(query).scalars())

    def _serialize(self, connection: Connection) -> None:
        """Let claims of one account happen one after another; SQLite's write lock does so by itself."""
        if connection.dialect.name == "postgresql":
            key = int.from_bytes(hashlib.blake2b(self._account.encode(), digest_size=8).digest(), signed=True)
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})

    def _now(self, connection: Connection) -> dt.datetime:
        """The database's clock, which all workers share; SQLite is on this machine and has the machine's."""
        if connection.dialect.name == "postgresql":
            now: dt.datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
            return now
        return self._clock.now()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with held_signals(), self._errors(), self._engine.begin() as connection:
            yield connection

    def _errors(self) -> AbstractContextManager[None]:
        return ledger_errors(self._engine)


def has_seen_host(engine: Engine, place: str) -> bool:
    """Whether a vendor's host has ever shown a record to a run.

    Args:
        engine: The ledger's database.
        place: See `Account.place`.

    Raises:
        LedgerUnavailableError: The database cannot be used.
    """
    shown = (
        sa.select(field_states.c.account).where(field_states.c.acknowledged_at.is_not(None)),
        sa.select(plan_reads.c.account).where(plan_reads.c.record_id != ""),
        sa.select(plans.c.account),
    )
    with ledger_errors(engine):
        migrate(engine)
        with engine.begin() as connection:
            there = (query.where(query.selected_columns.account.startswith(place, autoescape=True)) for query in shown)
            return any(connection.execute(query.limit(1)).first() is not None for query in there)


@contextmanager
def ledger_errors(engine: Engine) -> Iterator[None]:
    """Turn what goes wrong with the database into an error of this package that names the database.

    Raises:
        LedgerUnavailableError: For any error of the database.
    """
    try:
        yield
    except SQLAlchemyError as err:
        cause = str(getattr(err, "orig", None) or type(err).__name__).strip().splitlines()[0]
        msg = (
            f"The ledger cannot be used: {cause} ({engine.dialect.name}, {_place(engine.url)}). Nothing is sent that "
            "could not be recorded; run again when its database is back."
        )
        raise LedgerUnavailableError(msg) from err


def _place(url: URL) -> str:
    """Where a database is, without its user, password and certificates."""
    host = url.host or url.query.get("host")
    return f"{url.database} on {host}" if host else str(url.database)


_HELD = frozenset({OutcomeWord.UPDATED, OutcomeWord.UNCHANGED})
_DOUBTFUL = frozenset({OutcomeWord.FAILED, OutcomeWord.UNKNOWN})


def _each(connection: Connection, statement: sa.Executable, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(statement, rows)
