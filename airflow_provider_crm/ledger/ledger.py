"""Store what the CRM acknowledged, by account, record and field: the guard of order, the memory of a killed run.

A field is **claimed** with a lease before it is sent, and **acknowledged** after the CRM showed it as written. An older
data time never gets past a newer one that was claimed or acknowledged. A value is stored only when it is acknowledged.
Where no acknowledgement came (a killed worker, a lost answer), the value counts as unknown and is sent again. So does a
value that an answer disproves: the CRM does not find the record, or shows another value.

Over 300 lines because each transaction of a run has its method here: runs need no other way into the database.
"""

from __future__ import annotations

import copy
import datetime as dt
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.database.delayed_signals import delayed_signals
from airflow_provider_crm.database.field_hashes import FieldHashes
from airflow_provider_crm.ledger.claims import (
    Claim,
    ClaimBatch,
    ClaimedRow,
    DesiredRow,
    DesiredRows,
    FieldKey,
    FieldState,
    Settlement,
)
from airflow_provider_crm.ledger.on_record import (
    claimed_records,
    ended_rows,
    lock_claimed,
    log_line,
    of_records,
    read_held,
    read_rejections,
    read_states,
    store_rejections,
)
from airflow_provider_crm.ledger.overtaken import log_overtaken
from airflow_provider_crm.ledger.record_ids import RecordIds
from airflow_provider_crm.ledger.record_names import forget_names, store_names, unnamed_records
from airflow_provider_crm.ledger.row_sets import claim, confirm, end_claims
from airflow_provider_crm.ledger.statements import LOG, forget, observe, release, renew
from airflow_provider_crm.ledger.states import Renewed, StateOnRecord
from airflow_provider_crm.ledger.tries import begin_try, earlier_reports, end_try
from airflow_provider_crm.ledger.unchanged import confirm_unchanged, parts_to_compare
from airflow_provider_crm.ledger.uploads import HELD, LONGEST, Uploads

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.database.database import Database
    from airflow_provider_crm.ledger.tries import CombineReports
    from airflow_provider_crm.ledger.uploads import Upload
    from airflow_provider_crm.values.opportunity import Outcome


class Ledger:
    """The ledger of one account, used by one try of one run.

    Safe for many threads, processes and machines. Every method raises `LedgerUnavailableError` if the database cannot
    be reached or written: then nothing more may be sent, because it could not be recorded.

    Args:
        database: Where it is stored.
        account: Name of the account, see `Account.key`.
        run_key: Name of the run, the same for all its tries.
        lease: Seconds for which a claim keeps others away; longer than any call may take.
        clock: Time.
        combine: Makes the report of a run from the reports of its tries.
        hashes: Which fields are stored as hashes only, and with which key.
        keeps_names: Whether the names of records are kept, for the pages.

    Attributes:
        hashes: The same.
        keeps_names: The same.
        run_key: The same.
        token: Whose claims these are: another one for each try.
        uploads: The uploads of the account.
        record_ids: The record ids of the account, by key.
    """

    def __init__(
        self,
        database: Database,
        *,
        account: str,
        run_key: str,
        lease: float,
        clock: Clock,
        combine: CombineReports,
        hashes: FieldHashes | None = None,
        keeps_names: bool = False,
    ) -> None:
        self._database = database
        self._account = account
        self.run_key = run_key
        self._lease = lease
        self._clock = clock
        self._combine = combine
        self.hashes = hashes or FieldHashes()
        self.keeps_names = keeps_names
        self.token = uuid.uuid4().hex
        self.uploads = Uploads(database, account)
        self.record_ids = RecordIds(database, account)
        self._try = 1

    def open(self, as_of: dt.datetime | None, *, resumed: bool = False) -> None:
        """Open the database, and note that a try of the run begins.

        Args:
            as_of: Data time of the run.
            resumed: Whether the try goes on after a deferral.
        """
        with self._transaction() as connection:
            now = self._database.now(connection)
            self._try = begin_try(connection, self.run_key, self._account, as_of=as_of, now=now, resumed=resumed)
            if not self.keeps_names:
                forget_names(connection, self._account)

    def close(self, report: Mapping[str, Any], *, deferred: bool = False) -> Mapping[str, Any]:
        """Store the report of this try, and the one of the run, which is returned.

        Args:
            deferred: Whether the try goes on later.
        """
        with self._transaction() as connection:
            now = None if deferred else self._database.now(connection)
            key = (self.run_key, self._account, self._try)
            return end_try(connection, *key, report=report, combine=self._combine, now=now)

    def earlier_reports(self) -> list[Mapping[str, Any]]:
        """Return the reports of the earlier tries of the run; that of a killed try counts the rows that it wrote."""
        with self._transaction() as connection:
            return earlier_reports(connection, self.run_key, self._account, self._try)

    def claim(
        self, desired_rows: Sequence[DesiredRow], *, changes_only: bool = True, retry_rejected: bool = False
    ) -> list[Claim]:
        """Decide for each row what may be sent now, and claim it, in one transaction.

        Args:
            desired_rows: At most some hundreds at once.
            changes_only: Leave out what the CRM is known to hold already.
            retry_rejected: Claim also rows whose very values the CRM has rejected before.

        Returns:
            One claim per row, in order.
        """
        with self._transaction(exclusive=True) as connection:
            records = sorted({row.record_id for row in desired_rows})
            states = read_states(connection, self._account, records, lock=True)
            rejections = read_rejections(connection, self._account, records)
            deadline, now = self._clock.monotonic() + self._lease, self._database.now(connection)
            batch = ClaimBatch(now, states, rejections, self.hashes)
            claims = batch.decide_all(
                desired_rows, changes_only=changes_only, retry_rejected=retry_rejected, deadline=deadline
            )
            holder, until = {"token": self.token, "run_key": self.run_key}, now + dt.timedelta(seconds=self._lease)
            log_overtaken(connection, self._account, batch.overtaken, **holder, now=now)
            wanted = self.hashes.stored_rows(batch.wanted) if self.hashes.fields else batch.wanted
            claim(connection, self._account, batch.claimed, wanted, **holder, until=until)
            confirm(connection, self._account, batch.confirmed)
        return claims

    def unchanged_rows(self, desired_rows: DesiredRows) -> frozenset[int]:
        """Return the positions of the rows that want only what the CRM is known to hold, and confirm these fields.

        Older data does not get past confirmed fields any more; fields that are as wanted are confirmed in the other
        rows, too. A record that occurs twice is not among them: its rows have to be decided one after another.

        Args:
            desired_rows: Some thousands of rows.
        """
        stored = {
            key: [None if text is None else self.hashes.form_of(key)(text) for text in column]
            if key in self.hashes.fields
            else column
            for key, column in desired_rows.values.items()
        }
        wanted, unchanged = replace(desired_rows, values=stored), set[int]()
        for numbers in parts_to_compare(wanted, self._database.dialect.updates_apart):
            with self._transaction(exclusive=True) as connection:
                confirmed = confirm_unchanged(connection, self._account, wanted.at(numbers))
            unchanged.update(map(numbers.__getitem__, confirmed))
        return frozenset(unchanged)

    def renew_all(self, rows: Sequence[ClaimedRow]) -> Renewed:
        """Extend the claims of some rows, at most some hundreds, that are about to be sent together."""
        return self._renew(rows, self._lease)

    def _renew(self, rows: Sequence[ClaimedRow], lease: float) -> Renewed:
        records = {row.record_id for row in rows}
        fields = [(row.record_id, key) for row in rows for key in row.claim.fields]
        with self._transaction() as connection:
            lock_claimed(connection, self._account, self.token, records)
            started = self._clock.monotonic()
            until = self._database.now(connection) + dt.timedelta(seconds=lease)
            ours = of_records(self._account, records, of_token=self.token, rows=json.dumps(fields), until=until)
            renewed = connection.execute(renew(connection.dialect.name), ours)
            held = {(record_id, key) for record_id, key in renewed}
        lost = frozenset(record_id for record_id, key in fields if (record_id, key) not in held)
        return Renewed(started + lease, lost)

    def hold(self, rows: Sequence[ClaimedRow]) -> frozenset[str]:
        """Extend the claims of some rows, at most some hundreds, until an upload has ended, or for a day.

        Returns:
            Record ids of the rows of which another run has taken over a field: they are not held.
        """
        return self._renew(rows, LONGEST.total_seconds()).lost

    def renew(self, desired: DesiredRow, claim: Claim) -> float | None:
        """Extend a claim; return the new deadline in monotonic seconds, or None if another run has taken it over."""
        renewed = self.renew_all([ClaimedRow(desired, claim)])
        return None if renewed.lost else renewed.deadline

    def release(self, records: Iterable[str]) -> None:
        """Give back the claims of rows that were never sent, so that others may claim them at once.

        What is known of these records stays as it was before the claims. Claims of others stay, too.

        Args:
            records: At most some hundreds.
        """
        released = set(records)
        # Exclusive: a signal may have interrupted our own claim, which is then stored only now.
        with self._transaction(exclusive=True) as connection:
            lock_claimed(connection, self._account, self.token, released)
            ours = of_records(self._account, released, of_token=self.token)
            connection.execute(release(connection.dialect.name), ours)

    def settle(self, batch: Sequence[Settlement], *, once_more: bool = False) -> None:
        """Record the outcomes of claimed rows; they are stored when this returns.

        Args:
            batch: The rows.
            once_more: Whether a signal may have interrupted this when it was stored already. Then rows without a claim
                are left alone, so that none is logged twice.
        """
        gone = {settlement.row.record_id for settlement in batch if settlement.gone}
        disproved = {(settlement.row.record_id, key) for settlement in batch for key in settlement.disproved}
        with self._transaction() as connection:
            records = {settlement.row.desired.record_id for settlement in batch}
            whole = gone | {record_id for record_id, _ in disproved}
            lock_claimed(connection, self._account, self.token, records, whole=whole)
            if once_more:
                claimed = claimed_records(connection, self._account, self.token, records)
                batch = [settlement for settlement in batch if settlement.row.record_id in claimed]
            now, rows = self._database.now(connection), ended_rows(batch, self.hashes)
            end_claims(connection, self._account, rows, token=self.token, run_key=self.run_key, now=now)
            store_rejections(connection, self._account, batch, self.hashes, now)
            forget(connection, self._account, gone, disproved)
            if self.keeps_names:
                names = {one.row.record_id: one.name for one in batch if one.name is not None}
                store_names(connection, self._account, names, now)

    def name_records(self, names: Mapping[str, str | None]) -> None:
        """Keep the names of some records, at most some thousands; None for one that has none."""
        with self._transaction() as connection:
            store_names(connection, self._account, names, self._database.now(connection))

    def unnamed_records(self) -> Iterator[str]:
        """Yield the records of this run whose names were never asked for; the database is read until the last one."""
        with self._transaction() as connection:
            yield from unnamed_records(connection, self._account, self.run_key)

    def forget(self, records: Iterable[str]) -> None:
        """Count all values of these records as unknown: the CRM answered that it has no such records.

        Their next values are sent, whatever they are. No data time moves.
        """
        gone = set(records)
        if gone:
            with self._transaction() as connection:
                lock_claimed(connection, self._account, self.token, gone, whole=gone)
                forget(connection, self._account, gone)
            self.record_ids.forget(gone)

    def states(self, records: Iterable[str]) -> dict[FieldKey, FieldState]:
        """Read the state of each field of these records; at most some hundreds of records at once."""
        with self._transaction() as connection:
            states = read_states(connection, self._account, sorted(set(records)))
        return {
            (record_id, key): FieldState(row.value if self._is_known(row) else None, row.newest)
            for record_id, rows in states.items()
            for key, row in rows.items()
        }

    def _is_known(self, row: StateOnRecord) -> bool:
        """Return whether a state shows what the CRM holds; a hash that was made with another key does not."""
        return row.known and row.claim_token is None and row.value is not None and self.hashes.comparable(row.value)

    def observe(self, desired_rows: Sequence[DesiredRow], seen_at: dt.datetime) -> None:
        """Note values that the CRM was seen to hold already, so that older data does not get past them.

        Newer data on record stays, as do claims and values that were written since.

        Args:
            desired_rows: The values.
            seen_at: When they were seen.
        """
        rows = [
            {
                "account": self._account,
                "record_id": row.record_id,
                "field": key,
                "value": self.stored_form(key, value),
                "known": True,
                "as_of": row.as_of,
                "run_key": self.run_key,
                "acknowledged_at": seen_at,
            }
            for row in desired_rows
            for key, value in row.values.items()
        ]
        if rows:
            rows.sort(key=lambda row: (row["record_id"], row["field"]))
            with self._transaction(exclusive=True) as connection:
                connection.execute(observe(connection.dialect.name), rows)

    def note(self, outcomes: Iterable[tuple[Outcome, Iterable[str]]]) -> None:
        """Write outcomes of rows that were never claimed into the change log, with the keys they are about."""
        with self._transaction() as connection:
            now = self._database.now(connection)
            lines = [
                log_line(self.run_key, self._account, outcome, key, now)
                for outcome, keys in outcomes
                for key in tuple(keys) or ("",)
            ]
            if lines:
                connection.execute(LOG, lines)

    def holding(self, upload: Upload) -> Ledger:
        """Return the same ledger as the try has it that made an upload."""
        other = copy.copy(self)
        other.token, other.run_key = upload.claim_token, upload.run_key
        return other

    def held_rows(self, after: str, at_once: int) -> list[ClaimedRow]:
        """Return the next rows that are held for the upload of this try, by record id, as they were claimed.

        Rows of calls that were on their way are not among them: these are left to their leases.

        Args:
            after: Record id of the last row before them; empty for the first ones.
            at_once: Number of rows at most.
        """
        with self._transaction() as connection:
            until = self._database.now(connection) + HELD
            return read_held(connection, (self._account, self.token), after, at_once, until=until, hashes=self.hashes)

    def stored_form(self, key: str, value: str) -> str:
        """Return the form in which a value is stored: a hash, for the fields that were named for it."""
        return self.hashes.form_of(key)(value)

    @contextmanager
    def _transaction(self, *, exclusive: bool = False) -> Iterator[Connection]:
        """Begin a transaction that no signal interrupts.

        Args:
            exclusive: Whether it and the other exclusive ones of this account run one after another.
        """
        with delayed_signals(), self._database.transaction(lock=self._account if exclusive else None) as connection:
            yield connection
