"""Updates in, outcomes out: the loop that writes rows, with its threads, its half-applied rows and its stops."""

from __future__ import annotations

import datetime as dt
import logging
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from airflow_provider_crm.comparison import held_keys, shown_values, wanted_values
from airflow_provider_crm.exceptions import (
    ConfigurationError,
    CrmError,
    InvalidValueError,
    TransientError,
)
from airflow_provider_crm.ledger_claims import Claim, Settlement, Verdict, Wish
from airflow_provider_crm.opportunity import Outcome, OutcomeWord, Update, path_segment
from airflow_provider_crm.push_row import Budgeted, InFlight, Job, failure, not_sent, unsent, write_update
from airflow_provider_crm.push_rules import PushRules, check_won_date, dated
from airflow_provider_crm.session import Permit, always

if TYPE_CHECKING:
    from airflow_provider_crm.ledger import Ledger
    from airflow_provider_crm.session import Session
    from airflow_provider_crm.vendors import Call, Catalogue, Record

log = logging.getLogger(__name__)

_FORBIDDEN = 403
_OUTAGE_ROWS = 5
_COMPARED_AT_ONCE = 2_000
_CLAIMED_AT_ONCE = 200
_LONGEST_PAUSE = 1.0


class _Prepared(NamedTuple):
    """One row that passed its checks, and what it wants in the vendor's own keys and values."""

    update: Update
    wish: Wish


Inspect: TypeAlias = "Callable[[Update, Record], Outcome | None]"
"""Looks at the record before a row is written; the outcome of a row that is not to be written, else None."""


class Push:
    """Writes the rows of one run.

    Args:
        session: Where to.
        catalogue: What the account offers.
        rules: How.
        ledger: What the CRM has acknowledged so far; None writes every row, in whatever order runs come.
        inspect: If given, every record is read right before it is written: what it holds already is not sent, and this
            decides about the rest, whatever the ledger says the CRM holds.
        probing: Whether the vendor was down a while ago: one row that fails, and one call more, tell that it still is.

    Attributes:
        stopped: Why the run ended before its last row, or None: a `ConfigurationError` that no row survives, or a
            `TransientError` for an outage or a wait longer than a worker slot should be held.
    """

    def __init__(
        self,
        session: Session,
        catalogue: Catalogue,
        rules: PushRules,
        ledger: Ledger | None = None,
        inspect: Inspect | None = None,
        *,
        probing: bool = False,
    ) -> None:
        self.stopped: CrmError | None = None
        self.catalogue = catalogue
        self._session = session
        self._vendor = session.account.vendor
        self._rules = rules
        self._ledger = ledger
        self._inspect = inspect
        self._failed_in_a_row = 0
        self._probing = probing
        self._landed = False

    @property
    def wait(self) -> float | None:
        """Seconds that the vendor asks to wait, longer than a worker slot should be held; None if it asks nothing."""
        return self.stopped.retry_after if isinstance(self.stopped, TransientError) else None

    def run(self, rows: Iterable[Update | Outcome]) -> Iterator[Outcome]:
        """Write every update; pass on the outcomes that are already known.

        The first row goes alone, so that a key without rights is noticed before the second one is sent. Two rows of
        one record are never in flight together, so that the later one lands later.

        Args:
            rows: Updates and outcomes, in the order of the source; read as they are needed.

        Yields:
            Exactly one outcome for each row, in the order in which they become known.
        """
        work = self._work(iter(rows))
        yield from self._until_one_was_sent(work)
        # What is claimed already may as well wait with the threads, which then have work while more is claimed.
        ahead = _CLAIMED_AT_ONCE if self._ledger is not None else 0
        in_flight = InFlight(self._outcome, self._rules.concurrency, ahead, self._session.clock)
        try:
            for item in work:
                if isinstance(item, Outcome):
                    yield item
                    continue
                while not in_flight.accepts(item.update.record_id):
                    yield self._counted(in_flight.next())
                in_flight.add(item)
            while len(in_flight):
                yield self._counted(in_flight.next())
        finally:
            in_flight.close()

    def close(self, report: Mapping[str, Any]) -> None:
        """Store the report of the run in the ledger; a database that fails now stops the run, too."""
        if self._ledger is None or self._without_ledger():
            return
        try:
            self._ledger.close(report)
        except TransientError as err:
            self.stopped = self.stopped or err

    def rehearse(self, rows: Iterable[Update | Outcome]) -> Iterator[tuple[Outcome, tuple[Call, ...]]]:
        """Check every row and make its calls, and send none.

        Yields:
            The outcome (`not_sent` with code `DRY_RUN` where calls would be made) and those calls.
        """
        for row in rows:
            known = self._prepared(row)
            if isinstance(known, Outcome):
                yield known, ()
            else:
                update = known.update
                calls = self._vendor.calls(update, self.catalogue)
                yield Outcome(update.row, update.record_id, OutcomeWord.NOT_SENT, "DRY_RUN", "dry run"), calls

    def _until_one_was_sent(self, work: Iterator[Outcome | Job]) -> Iterator[Outcome]:
        for item in work:
            if isinstance(item, Outcome):
                yield item
            else:
                yield self._counted(self._outcome(item, Budgeted(self._session.clock)))
                return

    def _work(self, source: Iterator[Update | Outcome]) -> Iterator[Outcome | Job]:
        """Prepare and claim the rows batch by batch; rows whose record somebody else is writing come again later."""
        size = _COMPARED_AT_ONCE if self._ledger is not None else 1
        postponed: list[_Prepared] = []
        while batch := list(islice(source, size)):
            prepared = [self._prepared(row) for row in batch]
            known = [item for item in prepared if isinstance(item, Outcome)]
            self._note(outcome for outcome in known if outcome.word is OutcomeWord.INVALID)
            yield from known
            changed = yield from self._changed([item for item in prepared if isinstance(item, _Prepared)])
            for first in range(0, len(changed), _CLAIMED_AT_ONCE):
                postponed, _ = yield from self._claimed(postponed + changed[first : first + _CLAIMED_AT_ONCE])
        while postponed:
            postponed, seconds = yield from self._claimed(postponed)
            if postponed:
                self._session.clock.sleep(min(max(seconds, 0.05), 1.0))

    def _prepared(self, row: Update | Outcome) -> Outcome | _Prepared:
        """The outcome of a row that needs no call, else what it wants."""
        if isinstance(row, Outcome):
            return row
        if self.stopped is not None:
            return not_sent(row, self.stopped)
        try:
            update = dated(row, self._vendor, self.catalogue, self._rules)
            if self._ledger is None:
                check_won_date(update, self._vendor, self.catalogue, self._rules, self._now())
            path_segment(update.record_id)  # what cannot be in a path is no id for the ledger, either
            payload = self._vendor.payload(update, self.catalogue)
        except InvalidValueError as err:
            return Outcome(row.row, row.record_id, OutcomeWord.INVALID, err.code, str(err))
        except ConfigurationError as err:
            self.stopped = err
            return not_sent(row, err)
        if not payload:
            return Outcome(row.row, row.record_id, OutcomeWord.UNCHANGED, "NOTHING_TO_WRITE")
        return _Prepared(update, Wish(update.record_id, wanted_values(payload), update.as_of or self._now()))

    def _changed(self, rows: list[_Prepared]) -> Generator[Outcome, None, list[_Prepared]]:
        """Tell the rows of which the CRM holds everything already; returns the others."""
        if self._ledger is None or not self._changes_only or self.stopped is not None:
            return rows
        try:
            settled = self._ledger.settled([row.wish for row in rows])
        except TransientError as err:
            self.stopped = self.stopped or err
            return rows
        for number in sorted(settled):
            update = rows[number].update
            yield Outcome(update.row, update.record_id, OutcomeWord.UNCHANGED)
        return [row for number, row in enumerate(rows) if number not in settled]

    def _claimed(self, ready: list[_Prepared]) -> Generator[Outcome | Job, None, tuple[list[_Prepared], float]]:
        """Claim prepared rows; returns those that have to wait, and for how many seconds at least."""
        postponed, shortest = [], _LONGEST_PAUSE
        try:
            claims = self._claims([row.wish for row in ready])
        except TransientError as err:
            self.stopped = self.stopped or err
            claims = [None] * len(ready)
        for row, claim in zip(ready, claims, strict=True):
            if self.stopped is not None and (claim is None or claim.verdict is not Verdict.SEND):
                yield not_sent(row.update, self.stopped)
            elif claim is None:
                continue
            elif claim.verdict is Verdict.BUSY:
                postponed.append(row)
                shortest = min(shortest, claim.busy_seconds)
            elif claim.verdict is Verdict.SEND:
                yield self._job(row.update, row.wish, claim)
            else:
                yield unsent(row.update, claim)
        return postponed, shortest

    def _claims(self, wishes: list[Wish]) -> list[Claim | None]:
        if self._ledger is None or self.stopped is not None:
            everything = [Claim(Verdict.SEND, fields=frozenset(wish.values), deadline=math.inf) for wish in wishes]
            return [None] * len(wishes) if self.stopped is not None else list(everything)
        retry_rejected = self._rules.retry_rejected
        return list(self._ledger.claim(wishes, changes_only=self._changes_only, retry_rejected=retry_rejected))

    @property
    def _changes_only(self) -> bool:
        """An inspection reads every record, whatever the ledger says that it holds."""
        return self._rules.changes_only and self._inspect is None

    def _now(self) -> dt.datetime:
        return self._session.clock.now()

    def _job(self, update: Update, wish: Wish, claim: Claim) -> Outcome | Job:
        """Keep only the fields that were claimed; refuse a win whose date is open."""
        if self._ledger is None:
            return Job(update, self._vendor.calls(update, self.catalogue), wish, claim)
        smaller = update
        if len(claim.fields) < len(wish.values):
            targets = {name: self.catalogue.fields[name].target for name in update.fields}
            fields = {name: value for name, value in update.fields.items() if targets[name] in claim.fields}
            smaller = replace(update, fields=fields)
        try:
            if self.catalogue.fields["stage"].target in claim.fields:
                check_won_date(update, self._vendor, self.catalogue, self._rules, self._now())
            return Job(smaller, self._vendor.calls(smaller, self.catalogue), wish, claim)
        except InvalidValueError as err:
            outcome = Outcome(update.row, update.record_id, OutcomeWord.INVALID, err.code, str(err))
            return self._recorded(Job(smaller, (), wish, claim), outcome)

    def _outcome(self, job: Job, budgeted: Budgeted) -> Outcome:
        """Write one row and record what became of it; runs in a thread of its own but for the first row."""
        update = job.update
        if self.stopped is not None:
            return self._recorded(job, not_sent(update, self.stopped))
        doubtful = self._rules.resumed if self._ledger is None else bool(job.claim.doubtful)
        tried = False
        try:
            record = self._read_before(job)
            if record is not None:
                job = self._compared(job, record)
                if (known := self._known_from(job, record)) is not None:
                    return self._recorded(job, known, sent=False)
            tried = True
            write_update(
                self._session,
                job.calls,
                update.record_id,
                self._rules,
                doubtful=doubtful,
                permit=self._permit(job),
                seen=record,
                budgeted=budgeted,
            )
        except CrmError as err:
            if self._stops_the_run(err):
                self.stopped = err
                return self._recorded(job, not_sent(update, err), doubtful=err.maybe_written)
            sent = tried or not isinstance(err, TransientError)
            return self._recorded(job, failure(update, err), sent=sent, doubtful=err.maybe_written)
        self._landed = True
        return self._recorded(job, Outcome(update.row, update.record_id, OutcomeWord.UPDATED))

    def _read_before(self, job: Job) -> Record | None:
        """The record right before it is written, if anybody wants to know."""
        unknown = job.claim.fields - set(job.claim.before)
        if self._inspect is None and not (self._rules.capture_before and unknown):
            return None
        return self._session.read(job.update.record_id)

    def _compared(self, job: Job, record: Record) -> Job:
        """Note what the record showed; with an inspection, leave out what it holds already."""
        seen = shown_values(job.claim.fields, record, self._vendor, self.catalogue)
        held = held_keys(job.calls, record, self._vendor) if self._inspect is not None else frozenset()
        fields = {name: value for name, value in job.update.fields.items() if not self._targets((name,)) <= held}
        smaller = replace(job.update, fields=fields)
        calls = self._vendor.calls(smaller, self.catalogue) if held else job.calls
        return replace(job, update=smaller, calls=calls, held=held, seen=seen)

    def _known_from(self, job: Job, record: Record) -> Outcome | None:
        """The outcome of a row that needs no write after all, or must not be written."""
        if self._inspect is None:
            return None
        if not job.calls:
            return Outcome(job.update.row, job.update.record_id, OutcomeWord.UNCHANGED)
        return self._inspect(job.update, record)

    def _permit(self, job: Job) -> Permit:
        """Allow an attempt only while the claim outlasts it: a call that lands late could overwrite a newer value."""
        ledger = self._ledger
        if ledger is None:
            return always
        deadline = job.claim.deadline

        def permit() -> None:
            nonlocal deadline
            longest = 2 * self._session.account.timeout  # connecting and answering may take that long each
            if self._session.clock.monotonic() + longest < deadline:
                return
            renewed = ledger.renew(job.wish, job.claim)
            if renewed is None:
                msg = "Another run has taken this row over while it waited."
                raise TransientError(msg, code="TAKEN_OVER", record_id=job.update.record_id)
            if self._session.clock.monotonic() + longest >= renewed:
                msg = (
                    "The ledger cannot be used: its database is so slow that a claim runs out while it is renewed. "
                    "Nothing is sent that could not be recorded; run again when its database is back."
                )
                raise TransientError(msg, code="LEDGER", record_id=job.update.record_id)
            deadline = renewed

        return permit

    def _recorded(self, job: Job, outcome: Outcome, *, sent: bool = True, doubtful: bool = False) -> Outcome:
        """Store the outcome before it is told; if that fails, the run stops, and the row is sent again some day.

        Once the database has failed, rows that were not sent are left to their leases instead of waiting for it again.
        """
        gone = (outcome.word, outcome.code) == (OutcomeWord.NOT_SENT, "LEDGER") and not (doubtful or outcome.applied)
        if self._ledger is None or gone:
            return outcome
        written = frozenset(job.claim.fields) if outcome.word is OutcomeWord.UPDATED else self._targets(outcome.applied)
        try:
            self._ledger.settle(
                Settlement(
                    job.wish,
                    job.claim,
                    outcome,
                    written,
                    held=job.held,
                    seen=job.seen,
                    sent=sent,
                    doubtful=doubtful,
                )
            )
        except TransientError as err:
            self.stopped = self.stopped or err
        return outcome

    def _note(self, outcomes: Iterable[Outcome]) -> None:
        """Put refused rows on record that were never claimed."""
        refused = [(outcome, ()) for outcome in outcomes]
        if self._ledger is None or not refused or self._without_ledger():
            return
        try:
            self._ledger.note(refused)
        except TransientError as err:
            self.stopped = self.stopped or err

    def _without_ledger(self) -> bool:
        """Whether the ledger's database has failed in this run."""
        return self.stopped is not None and self.stopped.code == "LEDGER"

    def _targets(self, names: Iterable[str]) -> frozenset[str]:
        return frozenset(self.catalogue.fields[name].target for name in names)

    def _stops_the_run(self, err: CrmError) -> bool:
        if isinstance(err, TransientError):
            long = err.retry_after is not None and err.retry_after > self._session.retry.defer_after
            return long or err.code == "LEDGER"
        # A key that has just written other rows is good: what it may not do is about this row.
        about_this_row = err.status == _FORBIDDEN and self._landed
        return isinstance(err, ConfigurationError) and not about_this_row

    def _counted(self, outcome: Outcome) -> Outcome:
        """Stop the run after several rows in a row whose attempts were exhausted: the vendor is down."""
        failed = outcome.word in (OutcomeWord.FAILED, OutcomeWord.UNKNOWN) and outcome.code != "TAKEN_OVER"
        self._failed_in_a_row = self._failed_in_a_row + 1 if failed else 0
        self._probing = self._probing and failed and self._session.is_down()
        if self._failed_in_a_row >= (1 if self._probing else _OUTAGE_ROWS) and self.stopped is None:
            rows = "a row" if self._failed_in_a_row == 1 else f"{self._failed_in_a_row} rows one after another"
            msg = f"{self._vendor.title} failed {rows}, every attempt; {outcome.reason}"
            self.stopped = TransientError(msg, vendor=self._vendor.name, code="OUTAGE")
        return outcome
