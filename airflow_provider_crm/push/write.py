"""Write one row: read the record first if need be, send its calls in order, and return its result for the ledger."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_crm.client.attempts import BeforeAttempt, always
from airflow_provider_crm.exceptions import (
    ConfigurationError,
    CrmError,
    NotReachedError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.push.outcomes import (
    UnexpectedErrors,
    failure,
    is_about_values,
    is_gone,
    not_sent,
    outdated_approval,
    unchanged,
)
from airflow_provider_crm.push.prepare import RowResult
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord
from airflow_provider_crm.vendors.comparison import (
    is_written,
    matching_keys,
    still_shows,
    stored_values,
)
from airflow_provider_crm.vendors.encoding import calls_of, check_echo

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.push.outage import OutageWatch
    from airflow_provider_crm.push.prepare import Job
    from airflow_provider_crm.push.rules import Inspect, PushRules
    from airflow_provider_crm.push.stops import Stops
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Record

log = logging.getLogger(__name__)

MaySend: TypeAlias = "Callable[[Job], bool]"
"""Notes that a call of a row is sent now; False if none may be sent any more."""
Renewer: TypeAlias = "Callable[[Job, Callable[[], float], float], Callable[[], None]]"
"""Returns the function that renews the claim of a row before each attempt, see `RunLedger.renewer`."""


def write_update(
    session: Session,
    calls: tuple[Call, ...],
    record_id: str,
    rules: PushRules,
    catalogue: Catalogue,
    *,
    doubtful: bool = False,
    before_attempt: BeforeAttempt = always,
    seen: Record | None = None,
    attempts: int | None = None,
) -> Record:
    """Send the calls of one row, in order.

    Args:
        session: The account to write to.
        calls: The calls.
        record_id: The opportunity.
        rules: How rows are written.
        catalogue: What the account offers.
        doubtful: Whether an earlier attempt may have written part of the row. Then the record is read before a call
            that may not be sent twice.
        before_attempt: Called before each attempt; raises if the row may not be sent any more.
        seen: The record, if it was read a moment ago.
        attempts: How often each call is tried at most; default: the session's.

    Returns:
        The vendor's record: the values that all answers show, later ones on top.

    Raises:
        CrmError: A call failed; `applied` names the fields that earlier calls of the row have written.
    """
    vendor = session.account.vendor
    if all(call.replayable for call in calls):
        seen = None
    elif doubtful and seen is None:
        seen = _read_if_allowed(session, record_id, keys_of(calls))
    merged: Record = {}
    applied: list[str] = []
    for call in calls:
        if seen is not None and is_written(call, seen, vendor, catalogue):
            merged |= seen
        else:
            try:
                record = session.write(
                    call,
                    record_id,
                    catalogue,
                    timezone=rules.timezone,
                    before_attempt=before_attempt,
                    attempts=attempts,
                )
                if rules.verify_echo:
                    check_echo(call, record, record_id, vendor, catalogue)
            except CrmError as err:
                err.applied = tuple(applied)
                session.label_fields(err)
                raise
            merged |= record
        applied += call.fields
    return merged


def keys_of(calls: Iterable[Call]) -> tuple[str, ...]:
    """Return the vendor's keys that some calls write."""
    return tuple(key for call in calls if call.route is not None for key in call.route.keys)


def _read_if_allowed(session: Session, record_id: str, keys: tuple[str, ...]) -> Record | None:
    """Read the record before a resumed row is written; return None if this key may not read."""
    try:
        return session.read(record_id, keys)
    except (ConfigurationError, RejectedError) as err:
        log.warning("Row %s is written again, as it could not be read first: %s", record_id, err)
        return None


class RowWriter:
    """Writes one row at a time, in any of several threads.

    Args:
        session: The account.
        catalogue: What the account offers.
        rules: How rows are written.
        renewer: Renews claims.
        inspect: See `Push`.
        outages: Says how often a call is tried.
        stops: Why the run ends.
        resumed: Whether an earlier try may have written rows, of which no ledger knows.
    """

    def __init__(  # noqa: PLR0917 - the parts of one push
        self,
        session: Session,
        catalogue: Catalogue,
        rules: PushRules,
        renewer: Renewer,
        inspect: Inspect | None,
        outages: OutageWatch,
        stops: Stops,
        *,
        resumed: bool,
    ) -> None:
        self._session = session
        self._vendor = session.account.vendor
        self._catalogue = catalogue
        self._rules = rules
        self._renewer = renewer
        self._inspect = inspect
        self._outages = outages
        self._stops = stops
        self._resumed = resumed
        self._unexpected = UnexpectedErrors()

    def write(self, job: Job, may_send: MaySend) -> RowResult:
        """Write one row; whatever it meets becomes its outcome."""
        try:
            return self._write(job, may_send)
        # One row must not end the run, whatever it meets: what the transport can raise is mapped, other code has bugs.
        except Exception as err:  # noqa: BLE001 - the reason above; reported as the row's outcome, and logged
            outcome = self._unexpected.outcome(job.update, err)
            return RowResult(job, outcome, doubtful=True, cause=err)

    def _write(self, job: Job, may_send: MaySend) -> RowResult:
        if (reason := self._stops.reason) is not None:
            return RowResult(job, not_sent(job.update, reason), cause=reason)
        tried = False
        try:
            record = self._read_before(job)
            if record is not None:
                job = self._compared(job, record)
                if (known := self._known_outcome(job, record)) is not None:
                    return RowResult(job, known, sent=False)
            tried = True
            answer = write_update(
                self._session,
                job.calls,
                job.update.record_id,
                self._rules,
                self._catalogue,
                doubtful=self._resumed or bool(job.claim.doubtful),
                before_attempt=self._before_attempt(job, may_send),
                seen=record,
                attempts=self._outages.attempts,
            )
        except CrmError as err:
            return self._failed(job, err, tried=tried)
        self._stops.note_landed()
        return self._landed(job, answer)

    def _landed(self, job: Job, answer: Record) -> RowResult:
        """Return the result of a row whose calls were all acknowledged."""
        update, claim = job.update, job.claim
        disproved = _disproved_keys(job, answer, self._vendor, self._catalogue)
        outdated = outdated_approval(update, claim, tuple(job.writes.names.values())) if claim.stale else None
        if outdated is not None:
            return RowResult(job, outdated, self._targets(outdated), sent=False, disproved=disproved)
        outcome = Outcome(update.row, update.record_id, OutcomeWord.UPDATED)
        return RowResult(job, outcome, claim.fields, disproved=disproved)

    def _failed(self, job: Job, err: CrmError, *, tried: bool) -> RowResult:
        """Return the result of a row of which a call failed."""
        if self._stops.ends_run(err):
            reason = self._stops.add(err)
            outcome = not_sent(job.update, reason, err.applied)
            written = self._targets(outcome)
            return RowResult(job, outcome, written, doubtful=err.maybe_written, cause=reason)
        outcome = failure(job.update, err)
        return RowResult(
            job,
            outcome,
            self._targets(outcome),
            sent=tried or not isinstance(err, TransientError),
            doubtful=err.maybe_written,
            gone=is_gone(err, self._vendor),
            rests=is_about_values(err),
            cause=err,
        )

    def _targets(self, outcome: Outcome) -> frozenset[str]:
        """Return the keys that were written although the row failed."""
        return frozenset(key for name in outcome.applied for key in self._catalogue.fields[name].keys)

    def _read_before(self, job: Job) -> Record | None:
        """Read the record before writing it, for plans and for `capture_before`; else return None."""
        unknown = job.claim.fields - set(job.claim.before)
        if self._inspect is None and not (self._rules.capture_before and unknown):
            return None
        return self._session.read(job.update.record_id, job.update.read_keys(job.writes.names))

    def _compared(self, job: Job, record: Record) -> Job:
        """Note what the record showed; with an inspection, leave out the values that it shows already."""
        fields = job.claim.fields
        seen = stored_values(fields, record, self._vendor, self._catalogue)
        matching = (
            matching_keys(job.calls, record, self._vendor, self._catalogue)
            if self._inspect is not None
            else frozenset()
        )
        left = job.writes.only(fields - matching)
        calls = calls_of(job.update.record_id, left) if matching else job.calls
        return replace(job, writes=left, calls=calls, matching_keys=matching, seen=seen)

    def _known_outcome(self, job: Job, record: Record) -> Outcome | None:
        """Return the outcome of a row that needs no write after all, or must not be written."""
        if self._inspect is None:
            return None
        if not job.calls:
            return outdated_approval(job.update, job.claim) or unchanged(job.update)
        left = {name: job.update.fields[name] for name in job.writes.names.values()}
        return self._inspect(replace(job.update, fields=left), record)

    def _before_attempt(self, job: Job, may_send: MaySend) -> BeforeAttempt:
        """Allow an attempt only while the run goes on and the claim outlasts the attempt."""
        longest_call = 2 * self._session.account.timeout  # connecting and answering may take that long each
        renew = self._renewer(job, self._session.clock.monotonic, longest_call)

        def before_attempt() -> None:
            if not may_send(job):
                msg = "The run was ended before this row was sent."
                raise NotReachedError(msg, record_id=job.update.record_id)
            renew()

        return before_attempt


def _disproved_keys(job: Job, record: Record, vendor: Vendor, catalogue: Catalogue) -> frozenset[str]:
    """Return the keys that were left out as unchanged, and that the answer shows with another value."""
    desired, claim = job.desired, job.claim
    return frozenset(
        key
        for key in desired.values.keys() - claim.fields - claim.stale
        if vendor.stored_value(key, record, catalogue)
        and not still_shows(key, desired.values[key], record, vendor, catalogue)
    )
