"""Updates in, outcomes out: the loop that writes rows, with its threads, its half-applied rows and its stops."""

from __future__ import annotations

import datetime as dt
import json
import logging
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from airflow_provider_crm.comparison import held_keys, shown_values, wanted_values
from airflow_provider_crm.concurrency import Concurrency, Workers, Written
from airflow_provider_crm.exceptions import (
    ConfigurationError,
    CrmError,
    IgnoredError,
    InvalidValueError,
    OutcomeUnknownError,
    RejectedError,
    TransientError,
    UnknownFieldError,
)
from airflow_provider_crm.ledger_claims import Claim, Settlement, Verdict, Wish
from airflow_provider_crm.opportunity import Outcome, OutcomeWord, Update, local_date, path_segment
from airflow_provider_crm.session import LARGEST_POOL, Permit, always, check_echo

if TYPE_CHECKING:
    from airflow_provider_crm.budget import Clock
    from airflow_provider_crm.ledger import Ledger
    from airflow_provider_crm.session import Session
    from airflow_provider_crm.vendors import Call, Catalogue, Record, Vendor

log = logging.getLogger(__name__)

DATE_WON_DEFAULTS = ("server", "as_of")
_LATE = dt.timedelta(days=1)
_INSTANT = dt.timedelta(microseconds=1)
_FORBIDDEN = 403
_OUTAGE_ROWS = 5
_COMPARED_AT_ONCE = 2_000
_CLAIMED_AT_ONCE = 200
_LONGEST_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class PushRules:
    """How rows are written.

    Attributes:
        timezone: IANA zone of the run, or None when nobody named one (then the offset header says UTC).
        verify_echo: Whether the record that comes back is compared with what was sent.
        concurrency: Rows in flight at once, at most; how many there are is found on the way, see `Concurrency`.
        date_won_default: What a won stage without a date means in a late run: "server" lets the vendor set its today,
            "as_of" sends the date of the row's data, None refuses the row.
        resumed: Whether an earlier try of this run may have written some rows already: without a ledger, what may
            not be written twice is then read first.
        changes_only: With a ledger, send only what the CRM is not known to hold.
        retry_rejected: With a ledger, send also the very values that the CRM has refused before.
        capture_before: Read a record before it is written for the first time, so that the change log knows what stood
            there.
        interval_end: End of the run's data interval. As an `as_of` it is the first moment that is no longer part of the
            data, so the date of the data is the one before it.
    """

    timezone: str | None = None
    verify_echo: bool = True
    concurrency: int = LARGEST_POOL
    date_won_default: str | None = None
    resumed: bool = False
    interval_end: dt.datetime | None = None
    changes_only: bool = True
    retry_rejected: bool = False
    capture_before: bool = False

    def __post_init__(self) -> None:
        """Check the words and numbers.

        Raises:
            ConfigurationError: Saying what to write instead.
        """
        if self.date_won_default not in (None, *DATE_WON_DEFAULTS):
            msg = f"date_won_default is {self.date_won_default!r}; write 'server' or 'as_of', or leave it out."
            raise ConfigurationError(msg)
        if type(self.concurrency) is not int or not 1 <= self.concurrency <= LARGEST_POOL:
            msg = f"concurrency is {self.concurrency!r}; write a whole number from 1 to {LARGEST_POOL}."
            raise ConfigurationError(msg)

    def day_of(self, as_of: dt.datetime) -> dt.date:
        """The date of the data, in the run's zone."""
        last = as_of - _INSTANT if as_of == self.interval_end else as_of
        return local_date(last, self.timezone or "UTC")


def check_fields(fields: Mapping[str, str], vendor: Vendor, catalogue: Catalogue) -> None:
    """Refuse a mapping that names unknown fields, or one field twice.

    Args:
        fields: Field name by column.
        vendor: The adapter, for the message.
        catalogue: What the account offers.

    Raises:
        UnknownFieldError: Naming every unknown field and what may be written.
        ConfigurationError: Naming the columns that would overwrite each other.
    """
    unknown = [vendor.unknown_field(name, catalogue) for name in fields.values() if name not in catalogue.fields]
    if unknown:
        raise UnknownFieldError("; ".join(unknown) + ".", vendor=vendor.name, code="UNKNOWN_FIELD")
    columns: dict[str, str] = {}
    for column, name in fields.items():
        target = catalogue.fields[name].target
        if target in columns:
            msg = (
                f"columns {columns[target]!r} and {column!r} both write {vendor.title}'s {target!r}; keep one of them."
            )
            raise ConfigurationError(msg, vendor=vendor.name)
        columns[target] = column


def dated(update: Update, vendor: Vendor, catalogue: Catalogue, rules: PushRules) -> Update:
    """The update with the date of its data as the date of the win, if the rules say so and it names none itself.

    Raises:
        InvalidValueError: If the vendor lets nobody write that date.
    """
    as_of = update.as_of
    if rules.date_won_default == "as_of" and as_of is not None and vendor.wins_without_date(update, catalogue):
        return vendor.dated(update, rules.day_of(as_of))
    return update


def check_won_date(update: Update, vendor: Vendor, catalogue: Catalogue, rules: PushRules, now: dt.datetime) -> None:
    """Refuse a win whose date is open.

    A stage that wins a deal lets the vendor set today's date. A run whose data is more than a day old would so write
    the wrong date; it must say which one it means.

    Raises:
        InvalidValueError: Naming both ways out.
    """
    if rules.date_won_default is not None or update.as_of is None or now - update.as_of <= _LATE:
        return
    if vendor.wins_without_date(update, catalogue):
        msg = (
            f"the stage wins the deal without a date, and the data is from {rules.day_of(update.as_of)}: "
            f"{vendor.title} would set today's date. {vendor.late_win_advice}"
        )
        raise InvalidValueError(msg, vendor=vendor.name, code="DATE_WON", record_id=update.record_id)


class Budgeted:
    """Notes how long the calls of one row wait for the budget.

    Args:
        clock: Time.

    Attributes:
        waited: Seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: float | None = None
        self.waited = 0.0

    def permit(self, permit: Permit) -> Permit:
        """The same permit, of a call that asks for the budget now: it is asked once the budget lets the call go."""
        self._asked = self._clock.monotonic()

        def told() -> None:
            if self._asked is not None:
                self.waited += self._clock.monotonic() - self._asked
                self._asked = None
            permit()

        return told


def write_update(
    session: Session,
    calls: tuple[Call, ...],
    record_id: str,
    rules: PushRules,
    *,
    doubtful: bool = False,
    permit: Permit = always,
    seen: Record | None = None,
    budgeted: Budgeted | None = None,
) -> Record:
    """Send the calls of one row, in order.

    Args:
        session: Where to.
        calls: What.
        record_id: The opportunity.
        rules: How.
        doubtful: Whether an earlier attempt may have written some of it: what may not be written twice is then read
            first.
        permit: Asked before each attempt; raises if the row may not be sent any more.
        seen: The record, if it was read a moment ago.
        budgeted: Told how long the calls waited for the budget.

    Returns:
        The vendor's record: what all answers show, later ones on top.

    Raises:
        CrmError: A call failed; `applied` names the fields that earlier calls of the row have written.
    """
    vendor = session.account.vendor
    if all(call.replayable for call in calls):
        seen = None
    elif doubtful and seen is None:
        seen = _read_if_allowed(session, record_id)
    merged: Record = {}
    applied: list[str] = []
    for call in calls:
        if seen is not None and vendor.applied(call, seen):
            merged |= seen
        else:
            try:
                asked = permit if budgeted is None else budgeted.permit(permit)
                record = session.write(call, record_id, timezone=rules.timezone, permit=asked)
                if rules.verify_echo:
                    check_echo(vendor, call, record, record_id)
            except CrmError as err:
                err.applied = tuple(applied)
                raise
            merged |= record
        applied += call.fields
    return merged


def _read_if_allowed(session: Session, record_id: str) -> Record | None:
    """The record before a resumed row is written; None if this key may not read."""
    try:
        return session.read(record_id)
    except (ConfigurationError, RejectedError) as err:
        log.warning("Row %s is written again, as it could not be read first: %s", record_id, err)
        return None


class _Prepared(NamedTuple):
    """One row that passed its checks, and what it wants in the vendor's own keys and values."""

    update: Update
    wish: Wish


@dataclass(frozen=True, slots=True)
class _Job:
    """One row on its way: what it wants, what is sent, and under which claim."""

    update: Update
    calls: tuple[Call, ...]
    wish: Wish
    claim: Claim
    held: frozenset[str] = frozenset()
    seen: Mapping[str, str] = field(default_factory=dict)


class _InFlight:
    """The rows that threads are writing, or that wait for one of them.

    Args:
        write: Writes one row.
        largest: Rows that are written at once, at most.
        ahead: Rows that wait for a thread; at least as many as are written.
        clock: Time.
    """

    def __init__(self, write: Callable[[_Job, Budgeted], Outcome], largest: int, ahead: int, clock: Clock) -> None:
        self._write = write
        self._ahead = ahead
        self._clock = clock
        self._concurrency = Concurrency(largest)
        self._record_ids: set[str] = set()
        self._workers: Workers[_Job, tuple[Outcome, Written]] = Workers(self._timed, "crm-push")

    def __len__(self) -> int:
        return len(self._record_ids)

    def accepts(self, record_id: str) -> bool:
        """Whether a row may come now: not too many wait already, and none of the same record is here."""
        size = self._concurrency.size
        return len(self._record_ids) < size + max(size, self._ahead) and record_id not in self._record_ids

    def add(self, job: _Job) -> None:
        """Have one more written."""
        self._record_ids.add(job.update.record_id)
        self._workers.add(job, self._concurrency.size)

    def next(self) -> Outcome:
        """The next one that ends, waiting for it."""
        outcome, written = self._workers.next()
        self._record_ids.remove(outcome.record_id)
        self._concurrency.ended(written)
        return outcome

    def close(self) -> None:
        """Let those end that are being written, and drop the others."""
        self._workers.close()

    def _timed(self, job: _Job) -> tuple[Outcome, Written]:
        began, budgeted = self._clock.monotonic(), Budgeted(self._clock)
        outcome = self._write(job, budgeted)
        ended = self._clock.monotonic()
        return outcome, Written(ended, ended - began, budgeted.waited)


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
    ) -> None:
        self.stopped: CrmError | None = None
        self.catalogue = catalogue
        self._session = session
        self._vendor = session.account.vendor
        self._rules = rules
        self._ledger = ledger
        self._inspect = inspect
        self._failed_in_a_row = 0
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
        in_flight = _InFlight(self._outcome, self._rules.concurrency, ahead, self._session.clock)
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

    def _until_one_was_sent(self, work: Iterator[Outcome | _Job]) -> Iterator[Outcome]:
        for item in work:
            if isinstance(item, Outcome):
                yield item
            else:
                yield self._counted(self._outcome(item, Budgeted(self._session.clock)))
                return

    def _work(self, source: Iterator[Update | Outcome]) -> Iterator[Outcome | _Job]:
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
            return _not_sent(row, self.stopped)
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
            return _not_sent(row, err)
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

    def _claimed(self, ready: list[_Prepared]) -> Generator[Outcome | _Job, None, tuple[list[_Prepared], float]]:
        """Claim prepared rows; returns those that have to wait, and for how many seconds at least."""
        postponed, shortest = [], _LONGEST_PAUSE
        try:
            claims = self._claims([row.wish for row in ready])
        except TransientError as err:
            self.stopped = self.stopped or err
            claims = [None] * len(ready)
        for row, claim in zip(ready, claims, strict=True):
            if self.stopped is not None and (claim is None or claim.verdict is not Verdict.SEND):
                yield _not_sent(row.update, self.stopped)
            elif claim is None:
                continue
            elif claim.verdict is Verdict.BUSY:
                postponed.append(row)
                shortest = min(shortest, claim.busy_seconds)
            elif claim.verdict is Verdict.SEND:
                yield self._job(row.update, row.wish, claim)
            else:
                yield _unsent(row.update, claim)
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

    def _job(self, update: Update, wish: Wish, claim: Claim) -> Outcome | _Job:
        """Keep only the fields that were claimed; refuse a win whose date is open."""
        if self._ledger is None:
            return _Job(update, self._vendor.calls(update, self.catalogue), wish, claim)
        smaller = update
        if len(claim.fields) < len(wish.values):
            targets = {name: self.catalogue.fields[name].target for name in update.fields}
            fields = {name: value for name, value in update.fields.items() if targets[name] in claim.fields}
            smaller = replace(update, fields=fields)
        try:
            if self.catalogue.fields["stage"].target in claim.fields:
                check_won_date(update, self._vendor, self.catalogue, self._rules, self._now())
            return _Job(smaller, self._vendor.calls(smaller, self.catalogue), wish, claim)
        except InvalidValueError as err:
            outcome = Outcome(update.row, update.record_id, OutcomeWord.INVALID, err.code, str(err))
            return self._recorded(_Job(smaller, (), wish, claim), outcome)

    def _outcome(self, job: _Job, budgeted: Budgeted) -> Outcome:
        """Write one row and record what became of it; runs in a thread of its own but for the first row."""
        update = job.update
        if self.stopped is not None:
            return self._recorded(job, _not_sent(update, self.stopped))
        doubtful = self._rules.resumed if self._ledger is None else bool(job.claim.doubtful)
        try:
            record = self._read_before(job)
            if record is not None:
                job = self._compared(job, record)
                if (known := self._known_from(job, record)) is not None:
                    return self._recorded(job, known, sent=False)
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
                return self._recorded(job, _not_sent(update, err), doubtful=err.maybe_written)
            return self._recorded(job, _failure(update, err), doubtful=err.maybe_written)
        self._landed = True
        return self._recorded(job, Outcome(update.row, update.record_id, OutcomeWord.UPDATED))

    def _read_before(self, job: _Job) -> Record | None:
        """The record right before it is written, if anybody wants to know."""
        unknown = job.claim.fields - set(job.claim.before)
        if self._inspect is None and not (self._rules.capture_before and unknown):
            return None
        return self._session.read(job.update.record_id)

    def _compared(self, job: _Job, record: Record) -> _Job:
        """Note what the record showed; with an inspection, leave out what it holds already."""
        seen = shown_values(job.claim.fields, record, self._vendor, self.catalogue)
        held = held_keys(job.calls, record, self._vendor) if self._inspect is not None else frozenset()
        fields = {name: value for name, value in job.update.fields.items() if not self._targets((name,)) <= held}
        smaller = replace(job.update, fields=fields)
        calls = self._vendor.calls(smaller, self.catalogue) if held else job.calls
        return replace(job, update=smaller, calls=calls, held=held, seen=seen)

    def _known_from(self, job: _Job, record: Record) -> Outcome | None:
        """The outcome of a row that needs no write after all, or must not be written."""
        if self._inspect is None:
            return None
        if not job.calls:
            return Outcome(job.update.row, job.update.record_id, OutcomeWord.UNCHANGED)
        return self._inspect(job.update, record)

    def _permit(self, job: _Job) -> Permit:
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

    def _recorded(self, job: _Job, outcome: Outcome, *, sent: bool = True, doubtful: bool = False) -> Outcome:
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
        failed = outcome.word is OutcomeWord.FAILED and outcome.code != "TAKEN_OVER"
        self._failed_in_a_row = self._failed_in_a_row + 1 if failed else 0
        if self._failed_in_a_row >= _OUTAGE_ROWS and self.stopped is None:
            msg = f"{self._vendor.title} failed {_OUTAGE_ROWS} rows one after another, every attempt; {outcome.reason}"
            self.stopped = TransientError(msg, vendor=self._vendor.name, code="OUTAGE")
        return outcome


def _unsent(update: Update, claim: Claim) -> Outcome:
    """The outcome of a row for which the ledger says that nothing is to be sent."""
    if claim.verdict is Verdict.STALE:
        reason = f"Newer data was written or claimed for {', '.join(sorted(claim.stale))}."
        return Outcome(update.row, update.record_id, OutcomeWord.STALE, "NEWER_DATA", reason)
    if claim.refused is not None:
        reason = (
            f"{claim.refused.reason} The same values were refused since {claim.refused.first_at:%Y-%m-%d}, "
            f"{claim.refused.attempts} times; they are sent again when they change, or with retry_rejected=True."
        )
        return Outcome(update.row, update.record_id, OutcomeWord.REJECTED, claim.refused.code, reason)
    return Outcome(update.row, update.record_id, OutcomeWord.UNCHANGED)


_WORDS: tuple[tuple[type[CrmError], OutcomeWord], ...] = (
    (InvalidValueError, OutcomeWord.INVALID),
    (IgnoredError, OutcomeWord.IGNORED),
    (RejectedError, OutcomeWord.REJECTED),
    (ConfigurationError, OutcomeWord.REJECTED),
    (OutcomeUnknownError, OutcomeWord.UNKNOWN),
    (TransientError, OutcomeWord.FAILED),
)


def _failure(update: Update, err: CrmError) -> Outcome:
    word = next(word for kind, word in _WORDS if isinstance(err, kind))
    return Outcome(update.row, update.record_id, word, err.code, _reason(err), err.applied)


def _not_sent(update: Update, err: CrmError) -> Outcome:
    return Outcome(update.row, update.record_id, OutcomeWord.NOT_SENT, err.code, _reason(err), err.applied)


def _reason(err: CrmError) -> str:
    return f"{', '.join(err.applied)} landed, the rest did not: {err}" if err.applied else str(err)


def shown_payload(call: Call, catalogue: Catalogue) -> str:
    """The body of a call for a log, with the values of personal fields left out."""
    personal = {field.target for field in catalogue.fields.values() if field.personal}
    return json.dumps({key: "(hidden)" if key in personal else value for key, value in (call.json or {}).items()})
