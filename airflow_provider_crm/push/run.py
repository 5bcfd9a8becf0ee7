"""Updates in, outcomes out: the loop that writes rows, with its threads, its half-applied rows and its stops."""

from __future__ import annotations

import datetime as dt
import logging
import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from airflow_provider_crm.client.attempts import BeforeAttempt
from airflow_provider_crm.exceptions import (
    ClaimLostError,
    ConfigurationError,
    CrmError,
    InvalidValueError,
    LedgerUnavailableError,
    NotReachedError,
    TransientError,
)
from airflow_provider_crm.ledger.claims import Claim, DesiredRow, DesiredRows, Verdict
from airflow_provider_crm.push.concurrency import FirstError
from airflow_provider_crm.push.in_flight import InFlight
from airflow_provider_crm.push.outage import UNEXPECTED, OutageWatch
from airflow_provider_crm.push.rules import PushRules, check_won_date, dated
from airflow_provider_crm.push.write import (
    Ended,
    Job,
    approved_in_vain,
    disproved_keys,
    failure,
    is_gone,
    not_sent,
    rests,
    unsent,
    write_update,
)
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update
from airflow_provider_crm.values.record_ids import path_segment
from airflow_provider_crm.vendors.comparison import matching_keys, stored_values
from airflow_provider_crm.vendors.encoding import Writes, calls_of, calls_of_all, writes_of_all

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Record

log = logging.getLogger(__name__)

_NO_ANSWER = "It was sent, and the task was ended before the answer came."
_PATIENCE = 3.0
_COMPARED_AT_ONCE = 2_000
_RENEWALS = 5  # a database that is slow for a moment, as after a restart, stops no run
_ROWS_AT_ONCE = 200
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


class _Prepared(NamedTuple):
    """One row that passed its checks, and what it wants in the vendor's own keys and values."""

    update: Update
    writes: Writes
    desired: DesiredRow


class _Pause(NamedTuple):
    """Time that has to pass before rows are claimed that others have claimed."""

    seconds: float


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

    A run that ends before its last row has a reason in `stopped`: a `ConfigurationError` that no row survives, or a
    `TransientError` for an outage or a wait longer than a worker slot should be held.

    Attributes:
        unreported: After a run that was ended from outside: outcomes of rows that were on their way, which `run` did
            not yield.
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
        self.unreported: list[Outcome] = []
        self.catalogue = catalogue
        self._session = session
        self._vendor = session.account.vendor
        self._rules = rules
        self._ledger = ledger
        self._inspect = inspect
        self._reason = FirstError()
        self._outages = OutageWatch(session, probing=probing)
        self._in_flight = InFlight(self._written, rules.concurrency, session.waiting)
        self._claimed_records: set[str] = set()
        self._recorded_outcomes: deque[Outcome] = deque()
        self._ledger_failed = False
        self._unexpected: set[type[Exception]] = set()
        self._landed = False

    @property
    def stopped(self) -> CrmError | None:
        """Why the run ends before its last row, or None; the first reason, see `_stop`."""
        return self._reason.error

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
        in_flight = self._in_flight
        try:
            for item in self._work(iter(rows)):
                if isinstance(item, Outcome):
                    yield item
                elif isinstance(item, _Pause):
                    yield from self._paused(item)
                else:
                    while not in_flight.accepts(item.update.record_id):
                        yield from self._ended()
                    in_flight.add(item)
            while len(in_flight):
                yield from self._ended()
        except BaseException as err:
            self._end_early(err)
            raise
        in_flight.close()

    def _end_early(self, err: BaseException) -> None:
        """Leave everything in order when the run is ended from outside: by a signal, or by whoever reads its outcomes.

        Claims of rows that were not sent are given back at once. Rows that were sent are waited for: Airflow kills a
        task five seconds after SIGTERM. One without an answer then keeps its claim until its lease runs out, as it may
        land as long as that.
        """
        self._stop(NotReachedError("The run was ended before this row was sent."))
        never_sent = sorted(self._claimed_records - self._in_flight.end())
        if self._ledger is not None and never_sent and not self._without_ledger():
            try:
                self._ledger.release(never_sent)
            except TransientError as ledger_err:
                self._stop(ledger_err)
        calls = 2 * self._session.account.timeout  # connecting and answering may take that long each
        ended, unanswered = self._in_flight.wait(calls if isinstance(err, Exception) else _PATIENCE)
        self.unreported = [
            *self._recorded_outcomes,
            *(
                outcome
                for outcome in self._recorded(ended, once_more=True)
                if outcome.word is not OutcomeWord.NOT_SENT or outcome.applied
            ),
            *(
                Outcome(
                    job.update.row, job.update.record_id, OutcomeWord.UNKNOWN, NotReachedError.default_code, _NO_ANSWER
                )
                for job in unanswered
            ),
        ]

    def close(self, report: Mapping[str, Any], *, deferred: bool = False) -> None:
        """Store the report of the run in the ledger; a database that fails now stops the run, too.

        Args:
            report: What became of the rows.
            deferred: Whether the run goes on later.
        """
        if self._ledger is None or self._without_ledger():
            return
        try:
            self._ledger.close(report, deferred=deferred)
        except TransientError as err:
            self._stop(err)

    def rehearse(self, rows: Iterable[Update | Outcome]) -> Iterator[tuple[Outcome, tuple[Call, ...]]]:
        """Check every row and make its calls, and send none.

        Yields:
            The outcome (`not_sent` with code `DRY_RUN` where calls would be made) and those calls.
        """
        source = iter(rows)
        while batch := list(islice(source, _ROWS_AT_ONCE)):
            prepared = self._prepared(batch)
            sendable = [item for item in prepared if isinstance(item, _Prepared)]
            calls = calls_of_all([one.update.record_id for one in sendable], [one.writes for one in sendable])
            made = iter(calls)
            for known in prepared:
                if isinstance(known, Outcome):
                    yield known, ()
                    continue
                update = known.update
                yield Outcome(update.row, update.record_id, OutcomeWord.NOT_SENT, "DRY_RUN", "dry run"), next(made)

    def _paused(self, pause: _Pause) -> Iterator[Outcome]:
        """Let some time pass; rows that are in the way may be this run's own, which have to be put on record first."""
        if len(self._in_flight):
            yield from self._ended()
        else:
            self._session.clock.sleep(pause.seconds)

    def _ended(self) -> Iterator[Outcome]:
        """Put the rows on record that have ended, waiting for the first."""
        batch = self._in_flight.ended()
        outcomes = self._recorded(batch)
        self._in_flight.recorded(batch)
        self._recorded_outcomes.extend(outcomes)
        while self._recorded_outcomes:
            yield self._counted(self._recorded_outcomes.popleft())

    def _work(self, source: Iterator[Update | Outcome]) -> Iterator[Outcome | Job | _Pause]:
        """Prepare and claim the rows batch by batch; rows whose record somebody else is writing come again later."""
        size = _COMPARED_AT_ONCE if self._ledger is not None else 1
        postponed: list[_Prepared] = []
        while batch := list(islice(source, size)):
            prepared = self._prepared(batch)
            known = [item for item in prepared if isinstance(item, Outcome)]
            self._note(outcome for outcome in known if outcome.word is OutcomeWord.INVALID)
            yield from known
            changed = yield from self._changed([item for item in prepared if isinstance(item, _Prepared)])
            for first in range(0, len(changed), _ROWS_AT_ONCE):
                postponed, _ = yield from self._claimed(postponed + changed[first : first + _ROWS_AT_ONCE])
        while postponed:
            postponed, seconds = yield from self._claimed(postponed)
            if postponed:
                yield _Pause(min(max(seconds, _SHORTEST_PAUSE), _LONGEST_PAUSE))

    def _prepared(self, rows: Sequence[Update | Outcome]) -> list[Outcome | _Prepared]:
        """The outcome of each row that needs no call, else what it wants."""
        checked = [self._checked(row) for row in rows]
        try:
            updates = [row for row in checked if isinstance(row, Update)]
            writes = iter(writes_of_all(updates, self._vendor, self.catalogue))
        except ConfigurationError as err:
            reason = self._stop(err)
            return [row if isinstance(row, Outcome) else not_sent(row, reason) for row in checked]
        return [row if isinstance(row, Outcome) else self._wanted(row, next(writes)) for row in checked]

    def _checked(self, row: Update | Outcome) -> Update | Outcome:
        """The row with the date of its win, or why it is not written."""
        if isinstance(row, Outcome):
            return row
        if self.stopped is not None:
            return not_sent(row, self.stopped)
        try:
            update = dated(row, self._vendor, self.catalogue, self._rules)
            if self._ledger is None:
                check_won_date(update, self._vendor, self.catalogue, self._rules, self._now())
            path_segment(update.record_id)  # what cannot be in a path is no id for the ledger, either
        except InvalidValueError as err:
            return Outcome(row.row, row.record_id, OutcomeWord.INVALID, err.code, str(err))
        return update

    def _wanted(self, update: Update, writes: Writes | InvalidValueError) -> Outcome | _Prepared:
        if isinstance(writes, InvalidValueError):
            return Outcome(update.row, update.record_id, OutcomeWord.INVALID, writes.code, str(writes))
        if not writes.names:
            return Outcome(update.row, update.record_id, OutcomeWord.UNCHANGED, "NOTHING_TO_WRITE")
        return _Prepared(update, writes, DesiredRow(update.record_id, writes.texts, update.as_of or self._now()))

    def _changed(self, rows: list[_Prepared]) -> Generator[Outcome, None, list[_Prepared]]:
        """Tell the rows of which the CRM holds everything already; returns the others."""
        if self._ledger is None or not self._changes_only or self.stopped is not None:
            return rows
        try:
            settled = self._ledger.settled(DesiredRows.of([row.desired for row in rows]))
        except TransientError as err:
            self._stop(err)
            return rows
        for number in sorted(settled):
            update = rows[number].update
            yield Outcome(update.row, update.record_id, OutcomeWord.UNCHANGED)
        return [row for number, row in enumerate(rows) if number not in settled]

    def _claimed(self, ready: list[_Prepared]) -> Generator[Outcome | Job, None, tuple[list[_Prepared], float]]:
        """Claim prepared rows; returns those that have to wait, and for how many seconds at least."""
        postponed, shortest = [], _LONGEST_PAUSE
        try:
            claims = self._claims([row.desired for row in ready])
        except TransientError as err:
            self._stop(err)
            claims = [None] * len(ready)
        # Of a row that rests the log of this run would else know nothing.
        self._note(
            unsent(row.update, claim)
            for row, claim in zip(ready, claims, strict=True)
            if claim is not None and (claim.verdict is Verdict.REFUSED_BEFORE or _kept_out(row.update, claim))
        )
        to_send = self._to_send(ready, claims)
        for row, claim in zip(ready, claims, strict=True):
            if self.stopped is not None and (claim is None or claim.verdict is not Verdict.SEND):
                yield not_sent(row.update, self.stopped)
            elif claim is None:
                continue
            elif claim.verdict is Verdict.BUSY:
                postponed.append(row)
                shortest = min(shortest, claim.busy_seconds)
            elif claim.verdict is Verdict.SEND:
                yield self._job(row, claim, *next(to_send))
            else:
                yield unsent(row.update, claim)
        return postponed, shortest

    def _claims(self, desired_rows: list[DesiredRow]) -> list[Claim | None]:
        if self._ledger is None or self.stopped is not None:
            everything = [
                Claim(Verdict.SEND, fields=frozenset(desired.values), deadline=math.inf) for desired in desired_rows
            ]
            return [None] * len(desired_rows) if self.stopped is not None else list(everything)
        retry_rejected = self._rules.retry_rejected
        # Noted before: a signal may raise when they are claimed already and nobody knows yet.
        new = {desired.record_id for desired in desired_rows} - self._claimed_records
        self._claimed_records |= new
        claims = self._ledger.claim(desired_rows, changes_only=self._changes_only, retry_rejected=retry_rejected)
        to_send = {
            desired.record_id for desired, one in zip(desired_rows, claims, strict=True) if one.verdict is Verdict.SEND
        }
        self._claimed_records -= new - to_send
        return list(claims)

    @property
    def _changes_only(self) -> bool:
        """An inspection reads every record, whatever the ledger says that it holds."""
        return self._rules.changes_only and self._inspect is None

    def _now(self) -> dt.datetime:
        return self._session.clock.now()

    @staticmethod
    def _to_send(
        rows: Sequence[_Prepared], claims: Sequence[Claim | None]
    ) -> Iterator[tuple[Writes, tuple[Call, ...]]]:
        """What each row writes that is to be sent: only the fields that were claimed."""
        pairs = [(row, one) for row, one in zip(rows, claims, strict=True) if one and one.verdict is Verdict.SEND]
        writes = [row.writes.only(claim.fields) for row, claim in pairs]
        return zip(writes, calls_of_all([row.update.record_id for row, _ in pairs], writes), strict=True)

    def _job(self, row: _Prepared, claim: Claim, writes: Writes, calls: tuple[Call, ...]) -> Outcome | Job:
        """Refuse a win whose date is open."""
        update = row.update
        try:
            if self._ledger is not None and self.catalogue.fields["stage"].target in claim.fields:
                check_won_date(update, self._vendor, self.catalogue, self._rules, self._now())
        except InvalidValueError as err:
            outcome = Outcome(update.row, update.record_id, OutcomeWord.INVALID, err.code, str(err))
            return self._recorded([Ended(Job(update, writes, (), row.desired, claim), outcome)])[0]
        return Job(update, writes, calls, row.desired, claim)

    def _written(self, job: Job) -> Ended:
        """Write one row; runs in a thread."""
        try:
            return self._write_row(job)
        # One row must not end the run, whatever it meets: what the transport can raise is mapped, other code has bugs.
        except Exception as err:  # noqa: BLE001 - the reason above; reported as the row's outcome, and logged
            return Ended(job, self._failed_unexpectedly(job.update, err), doubtful=True)

    def _write_row(self, job: Job) -> Ended:
        update = job.update
        if self.stopped is not None:
            return Ended(job, not_sent(update, self.stopped))
        doubtful = self._rules.resumed if self._ledger is None else bool(job.claim.doubtful)
        tried = False
        try:
            record = self._read_before(job)
            if record is not None:
                job = self._compared(job, record)
                if (known := self._known_from(job, record)) is not None:
                    return Ended(job, known, sent=False)
            tried = True
            answer = write_update(
                self._session,
                job.calls,
                update.record_id,
                self._rules,
                doubtful=doubtful,
                before_attempt=self._permit(job),
                seen=record,
                attempts=self._outages.attempts,
            )
        except CrmError as err:
            if self._stops_the_run(err):
                reason = self._stop(err)
                return Ended(job, not_sent(update, reason, err.applied), doubtful=err.maybe_written)
            sent = tried or not isinstance(err, TransientError)
            gone = is_gone(err, self._vendor)
            return Ended(job, failure(update, err), sent=sent, doubtful=err.maybe_written, gone=gone, rests=rests(err))
        self._landed = True
        outcome = Outcome(update.row, update.record_id, OutcomeWord.UPDATED)
        kept_out = approved_in_vain(update, job.claim, tuple(job.writes.names.values()))
        disproved = disproved_keys(job, answer, self._vendor, self.catalogue)
        return Ended(job, kept_out or outcome, sent=kept_out is None, disproved=disproved)

    def _failed_unexpectedly(self, update: Update, err: Exception) -> Outcome:
        """Return the outcome of a row that met an exception which is none of this package; log the first of its type.

        The reason names the type only: nobody knows what such a message holds.
        """
        name = type(err).__name__
        if type(err) not in self._unexpected:
            self._unexpected.add(type(err))
            log.error("Row %s met an unexpected %s.", update.record_id, name, exc_info=err)
        reason = f"An unexpected {name} ended this row; the task's log has the traceback of the first of its kind."
        return Outcome(update.row, update.record_id, OutcomeWord.FAILED, UNEXPECTED, reason)

    def _stop(self, err: CrmError) -> CrmError:
        """End the run, unless it is ending for another reason already; return the reason that stands."""
        self._ledger_failed = self._ledger_failed or isinstance(err, LedgerUnavailableError)
        return self._reason.add(err)

    def _read_before(self, job: Job) -> Record | None:
        """The record right before it is written, if anybody wants to know."""
        unknown = job.claim.fields - set(job.claim.before)
        if self._inspect is None and not (self._rules.capture_before and unknown):
            return None
        return self._session.read(job.update.record_id)

    def _compared(self, job: Job, record: Record) -> Job:
        """Note what the record showed; with an inspection, leave out what it holds already."""
        seen = stored_values(job.claim.fields, record, self._vendor, self.catalogue)
        held = matching_keys(job.calls, record, self._vendor) if self._inspect is not None else frozenset()
        left = job.writes.only(job.claim.fields - held)
        calls = calls_of(job.update.record_id, left) if held else job.calls
        return replace(job, writes=left, calls=calls, held=held, seen=seen)

    def _known_from(self, job: Job, record: Record) -> Outcome | None:
        """The outcome of a row that needs no write after all, or must not be written."""
        if self._inspect is None:
            return None
        if not job.calls:
            unchanged = Outcome(job.update.row, job.update.record_id, OutcomeWord.UNCHANGED)
            return approved_in_vain(job.update, job.claim) or unchanged
        left = {name: job.update.fields[name] for name in job.writes.names.values()}
        return self._inspect(replace(job.update, fields=left), record)

    def _permit(self, job: Job) -> BeforeAttempt:
        """Allow an attempt only while the claim outlasts it: a call that lands late could overwrite a newer value."""
        ledger = self._ledger
        deadline = job.claim.deadline

        def before_attempt() -> None:
            nonlocal deadline
            if not self._in_flight.may_send(job):
                msg = "The run was ended before this row was sent."
                raise NotReachedError(msg, record_id=job.update.record_id)
            if ledger is None:
                return
            longest = 2 * self._session.account.timeout  # connecting and answering may take that long each
            if self._session.clock.monotonic() + longest < deadline:
                return
            for _ in range(_RENEWALS):
                renewed = ledger.renew(job.desired, job.claim)
                if renewed is None:
                    msg = "Another run has taken this row over while it waited."
                    raise ClaimLostError(msg, record_id=job.update.record_id)
                if self._session.clock.monotonic() + longest < renewed:
                    deadline = renewed
                    return
            msg = (
                "The ledger cannot be used: its database is so slow that a claim runs out while it is renewed. "
                "Nothing is sent that could not be recorded; run again when its database is back."
            )
            raise LedgerUnavailableError(msg, record_id=job.update.record_id)

        return before_attempt

    def _recorded(self, batch: Sequence[Ended], *, once_more: bool = False) -> list[Outcome]:
        """Store outcomes before they are told; if that fails, the run stops, and the rows are sent again some day.

        Once the database has failed, rows that were not sent are left to their leases instead of waiting for it again.
        """
        settlements = [ended.settlement(self._targets) for ended in batch if not ended.untouched]
        if self._ledger is not None and settlements:
            try:
                self._ledger.settle(settlements, once_more=once_more)
                self._claimed_records -= {settlement.row.record_id for settlement in settlements}
            except TransientError as err:
                self._stop(err)
        return [ended.outcome for ended in batch]

    def _note(self, outcomes: Iterable[Outcome]) -> None:
        """Put refused rows on record that were never claimed."""
        refused = [(outcome, ()) for outcome in outcomes]
        if self._ledger is None or not refused or self._without_ledger():
            return
        try:
            self._ledger.note(refused)
        except TransientError as err:
            self._stop(err)

    def _without_ledger(self) -> bool:
        """Whether the ledger's database has failed in this run."""
        return self._ledger_failed

    def _targets(self, names: Iterable[str]) -> frozenset[str]:
        return frozenset(self.catalogue.fields[name].target for name in names)

    def _stops_the_run(self, err: CrmError) -> bool:
        if isinstance(err, TransientError):
            long = err.retry_after is not None and err.retry_after > self._session.retry.defer_after
            return long or isinstance(err, (LedgerUnavailableError, NotReachedError))
        # A key that has just written other rows is good: what it may not do is about this row.
        about_this_row = err.status == HTTPStatus.FORBIDDEN and self._landed
        return isinstance(err, ConfigurationError) and not about_this_row

    def _counted(self, outcome: Outcome) -> Outcome:
        """Stop the run if the vendor is down."""
        if self.stopped is None and (outage := self._outages.add(outcome)) is not None:
            self._stop(outage)
        return outcome


def _kept_out(update: Update, claim: Claim) -> bool:
    """Whether newer data keeps out all of an approved change."""
    return claim.verdict is Verdict.STALE and approved_in_vain(update, claim) is not None
