"""Write one row: read the record first if need be, send its calls in order, and make results of the answers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from airflow_provider_crm.client.attempts import BeforeAttempt, always
from airflow_provider_crm.exceptions import ConfigurationError, CrmError, RejectedError, TransientError
from airflow_provider_crm.push.outcomes import (
    UnexpectedErrors,
    failure,
    is_about_values,
    is_gone,
    not_sent,
    outdated_approval,
)
from airflow_provider_crm.push.prepare import RowResult
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord
from airflow_provider_crm.vendors.comparison import is_written, repeated, still_shows
from airflow_provider_crm.vendors.deal_names import deal_name
from airflow_provider_crm.vendors.encoding import check_echo, leaves_values_out

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.push.prepare import Job
    from airflow_provider_crm.push.rules import PushRules
    from airflow_provider_crm.push.stops import Stops
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Record

log = logging.getLogger(__name__)


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
                    record = _with_all_values(session, call, record, record_id, catalogue)
                    check_echo(call, record, record_id, vendor, catalogue)
            except CrmError as err:
                err.applied = tuple(applied)
                session.label_fields(err)
                raise
            merged |= record
        applied += call.fields
    return merged


def _with_all_values(session: Session, call: Call, answer: Record, record_id: str, catalogue: Catalogue) -> Record:
    """Return the record in an answer; read it if the answer does not show all that was written."""
    route, vendor = call.route, session.account.vendor
    if route is None or (route.shows_values and not leaves_values_out(call, answer, vendor, catalogue)):
        return answer
    try:
        return session.read(record_id, route.keys)
    except CrmError as err:
        raise unread(err) from err.__cause__


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


def unread(err: CrmError) -> CrmError:
    """Return the error of a read after a write whose answer shows no values, as the error of the row."""
    err.args = (f"It was written, and what the CRM holds now could not be read: {err}",)
    err.maybe_written = True
    return err


_NONE = frozenset[str]()


class Results:
    """Makes the results of rows; safe for threads.

    Args:
        session: The account.
        catalogue: What the account offers.
        rules: How rows are written.
        stops: Why the run ends.
        keeps_names: Whether results have the names of their records.
    """

    def __init__(
        self, session: Session, catalogue: Catalogue, rules: PushRules, stops: Stops, *, keeps_names: bool
    ) -> None:
        self._session = session
        self._vendor = session.account.vendor
        self._catalogue = catalogue
        self._rules = rules
        self._stops = stops
        self._keeps_names = keeps_names
        self._unexpected = UnexpectedErrors()

    def all_answered(self, jobs: Sequence[Job], records: Sequence[Record]) -> list[RowResult]:
        """Return the results of rows of which a call for several shows the records."""
        record_ids = [job.update.record_id for job in jobs]
        known = [not self._rules.verify_echo] * len(jobs)
        if jobs and self._rules.verify_echo:
            known = repeated([job.calls[0] for job in jobs], record_ids, records, self._vendor)
        return [
            RowResult(
                job,
                Outcome(job.update.row, job.update.record_id, OutcomeWord.UPDATED),
                job.claim.fields,
                name=self._name(record),
            )
            if is_known and len(job.desired.values) == len(job.claim.fields)
            else self.answered(job, record, is_known=is_known)
            for job, record, is_known in zip(jobs, records, known, strict=True)
        ]

    def is_shown(self, job: Job, record: Record) -> bool:
        """Return whether the answer to the call of a row shows all that it has to be compared with."""
        return not self._rules.verify_echo or not leaves_values_out(job.calls[0], record, self._vendor, self._catalogue)

    def shows(self, job: Job, record: Record) -> bool:
        """Return whether a record that was read shows that the call of a row has taken effect."""
        return is_written(job.calls[0], record, self._vendor, self._catalogue)

    def answered(self, job: Job, record: Record, *, is_known: bool = False) -> RowResult:
        """Return the result of a row of which a call for several, or a read, shows the record.

        Args:
            job: The row.
            record: The record.
            is_known: Whether it is known to show what was sent.
        """
        try:
            if not is_known and self._rules.verify_echo:
                self._check(job, record)
            return self.landed(job, record)
        except CrmError as err:
            return self.failed(job, err)
        # One row must not end the run, whatever its vendor's adapter makes of its answer.
        except Exception as err:  # noqa: BLE001 - the reason above; reported as the row's outcome, and logged
            return self.unexpected(job, err)

    def landed(self, job: Job, record: Record) -> RowResult:
        """Return the result of a row whose calls were all acknowledged."""
        update, claim = job.update, job.claim
        disproved = self._disproved_keys(job, record) if len(job.desired.values) > len(claim.fields) else _NONE
        outdated = outdated_approval(update, claim, tuple(job.writes.names.values())) if claim.stale else None
        if outdated is not None:
            return RowResult(job, outdated, self._targets(outdated), sent=False, disproved=disproved)
        outcome = Outcome(update.row, update.record_id, OutcomeWord.UPDATED)
        return RowResult(job, outcome, claim.fields, disproved=disproved, name=self._name(record))

    def failed(self, job: Job, err: CrmError, *, tried: bool = True) -> RowResult:
        """Return the result of a row of which a call failed.

        Args:
            job: The row.
            err: The error.
            tried: Whether it was a call that writes.
        """
        doubtful = job.maybe_written or err.maybe_written
        if self._stops.ends_run(err):
            reason = self._stops.add(err)
            outcome = not_sent(job.update, reason, err.applied)
            return RowResult(job, outcome, self._targets(outcome), doubtful=doubtful, cause=reason)
        outcome = failure(job.update, err, self._catalogue.fields)
        return RowResult(
            job,
            outcome,
            self._targets(outcome),
            sent=tried or not isinstance(err, TransientError),
            doubtful=doubtful,
            gone=is_gone(err, self._vendor),
            rests=is_about_values(err),
            cause=err,
        )

    def left_over(self, job: Job, reason: CrmError) -> RowResult:
        """Return the result of a row that the end of the run left over."""
        return RowResult(job, not_sent(job.update, reason), doubtful=job.maybe_written, cause=reason)

    def unexpected(self, job: Job, err: Exception) -> RowResult:
        """Return the result of a row that met an exception from outside this package."""
        return RowResult(job, self._unexpected.outcome(job.update, err), doubtful=True, cause=err)

    def _check(self, job: Job, record: Record) -> None:
        """Compare a record with all calls of a row.

        Raises:
            IgnoredError: It does not show what one of them has sent; `applied` names the fields of those before.
        """
        applied: list[str] = []
        for call in job.calls:
            try:
                check_echo(call, record, job.update.record_id, self._vendor, self._catalogue)
            except CrmError as err:
                err.applied = tuple(applied)
                raise
            applied += call.fields

    def _name(self, record: Record) -> str | None:
        return deal_name(record, self._vendor, self._catalogue) if self._keeps_names else None

    def _targets(self, outcome: Outcome) -> frozenset[str]:
        """Return the keys that were written although the row failed."""
        return frozenset(key for name in outcome.applied for key in self._catalogue.fields[name].keys)

    def _disproved_keys(self, job: Job, record: Record) -> frozenset[str]:
        """Return the keys that were left out as unchanged, and that the answer shows with another value."""
        values, claim, vendor = job.desired.values, job.claim, self._vendor
        return frozenset(
            key
            for key in values.keys() - claim.fields - claim.stale
            if vendor.stored_value(key, record, self._catalogue)
            and not still_shows(key, values[key], record, vendor, self._catalogue)
        )
