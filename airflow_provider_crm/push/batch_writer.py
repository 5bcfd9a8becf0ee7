"""Send one call of a run: the rows that share it, or the calls of one row, and return what became of each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from http import HTTPStatus
from itertools import compress
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_crm.exceptions import (
    ClaimLostError,
    ConfigurationError,
    CrmError,
    NotReachedError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.push.in_flight import sharing
from airflow_provider_crm.push.inspection import Inspection, read_records
from airflow_provider_crm.push.prepare import RowResult
from airflow_provider_crm.push.write import Results, unread, write_update

if TYPE_CHECKING:
    from airflow_provider_crm.client.attempts import BeforeAttempt
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.push.in_flight import MaySend
    from airflow_provider_crm.push.outage import OutageWatch
    from airflow_provider_crm.push.prepare import Batch, Job
    from airflow_provider_crm.push.rules import Inspect, PushRules
    from airflow_provider_crm.push.stops import Stops
    from airflow_provider_crm.vendors.calls import RowAnswer
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Record

Renewer: TypeAlias = "Callable[[Batch, Callable[[], float], float], Callable[[], frozenset[str]]]"
"""Returns the function that renews the claims of a call's rows before each attempt, see `RunLedger.renewer`."""


class BatchWriter:
    """Writes the rows of one call at a time, in any of several threads.

    | what became of a call for several rows | its rows |
    |---|---|
    | an answer says what became of a row | have an outcome each |
    | an answer says that a row failed for now | are sent once more, alone |
    | an answer says nothing about a row | the same; if it is about several, unless a read shows them as written |
    | an answer leaves a value of a row out | have an outcome after a read |
    | it was refused as a whole | are sent once more, in two halves |
    | a record of it stays locked | are sent once more, each alone |
    | another run has taken over some of its rows | are sent once more, without those |
    | every attempt failed | have failed, and may have been written |
    | no other row should be tried after its error | are not sent |

    Args:
        session: The account.
        catalogue: What the account offers.
        rules: How rows are written.
        renewer: Renews claims.
        inspect: See `Push`.
        outages: Says how often a call is tried.
        stops: Why the run ends.
        resumed: Whether an earlier try may have written rows, of which no ledger knows.
        keeps_names: Whether results have the names of their records.
        reads_back: Whether each row is read after it was written, whatever the answer shows, and compared.
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
        keeps_names: bool,
        reads_back: bool = False,
    ) -> None:
        self._session = session
        self._catalogue = catalogue
        self._rules = rules
        self._renewer = renewer
        self._inspection = Inspection(session, catalogue, rules, inspect)
        self._results = Results(session, catalogue, rules, stops, keeps_names=keeps_names)
        self._outages = outages
        self._stops = stops
        self._resumed = resumed
        self._reads_back = reads_back
        self._rules_alone = replace(rules, verify_echo=False) if reads_back else rules

    def write(self, jobs: Batch, may_send: MaySend) -> tuple[list[RowResult], list[Batch]]:
        """Send the call of some rows; whatever a row meets becomes its outcome.

        Returns:
            The results of the rows that have ended, and the calls that send the others once more.
        """
        results: list[RowResult] = []
        again: list[Batch] = []
        try:
            self._write(jobs, may_send, results, again)
        # One row must not end the run, whatever it meets: what the transport can raise is mapped, other code has bugs.
        except Exception as err:  # noqa: BLE001 - the reason above; reported as the row's outcome, and logged
            known = {result.row.record_id for result in results} | {job.record_id for rest in again for job in rest}
            results += [self._results.unexpected(job, err) for job in jobs if job.record_id not in known]
        return results, again

    def _write(self, jobs: Batch, may_send: MaySend, results: list[RowResult], again: list[Batch]) -> None:
        if (reason := self._stops.reason) is not None:
            results += [self._results.left_over(job, reason) for job in jobs]
            return
        seen = self._inspection.records(jobs) if self._inspection.reads else {}
        batches = sharing(self._compared(jobs, seen, results)) if seen else [jobs]
        again += batches[1:]
        for batch in batches[:1]:
            if len(batch) == 1:
                self._write_alone(batch[0], seen.get(batch[0].record_id), may_send, results)
            else:
                self._write_together(batch, may_send, results, again)

    def _compared(self, jobs: Batch, seen: dict[str, Record | CrmError], results: list[RowResult]) -> list[Job]:
        """Return the rows that are to be written still, without the values that are in place."""
        left = []
        for job in jobs:
            record = seen.get(job.record_id)
            if record is None:
                left.append(job)
            elif isinstance(record, CrmError):
                results.append(self._results.failed(job, record, tried=False))
            else:
                compared = self._inspection.compared(job, record)
                if (known := self._inspection.known_outcome(compared, record)) is None:
                    left.append(compared)
                else:
                    results.append(RowResult(compared, known, sent=False))
        return left

    def _write_alone(
        self, job: Job, seen: Record | CrmError | None, may_send: MaySend, results: list[RowResult]
    ) -> None:
        """Send the calls of one row."""
        try:
            answer = write_update(
                self._session,
                job.calls,
                job.update.record_id,
                self._rules_alone,
                self._catalogue,
                doubtful=self._resumed or bool(job.claim.doubtful),
                before_attempt=self._before_attempt((job,), may_send, set()),
                seen=None if isinstance(seen, CrmError) else seen,
                attempts=self._outages.attempts,
            )
        except CrmError as err:
            results.append(self._results.failed(job, err))
            return
        self._stops.note_landed()
        if self._reads_back:
            self._compare_with_read([job], results)
        else:
            results.append(self._results.landed(job, answer))

    def _write_together(self, jobs: Batch, may_send: MaySend, results: list[RowResult], again: list[Batch]) -> None:
        """Send one call for some rows."""
        lost: set[str] = set()
        try:
            answers = self._session.write_batch(
                [job.calls[0] for job in jobs],
                [job.update.record_id for job in jobs],
                timezone=self._rules.timezone,
                before_attempt=self._before_attempt(jobs, may_send, lost),
                attempts=self._outages.attempts,
                is_compared=self._rules.verify_echo,
            )
        except CrmError as err:
            self._session.label_fields(err)
            self._refused(jobs, err, lost, results, again)
        else:
            self._answered(jobs, answers, results, again)

    def _refused(
        self, jobs: Batch, err: CrmError, lost: set[str], results: list[RowResult], again: list[Batch]
    ) -> None:
        """Decide about the rows of a call that has no answer, or was refused as a whole."""
        if lost:
            results += [self._results.failed(job, err) for job in jobs if job.record_id in lost]
            rest = [job for job in jobs if job.record_id not in lost]
            again += [_noted(rest, err)] if rest else []
        elif isinstance(err, (RejectedError, ConfigurationError)) and not self._stops.ends_run(err):
            middle = len(jobs) // 2
            again += [_noted(jobs[:middle], err), _noted(jobs[middle:], err)]
        elif err.status == HTTPStatus.LOCKED and not self._stops.ends_run(err):
            again += [(job,) for job in _noted(jobs, err)]
        else:
            results += [self._results.failed(job, err) for job in jobs]

    def _answered(
        self, jobs: Batch, answers: Sequence[RowAnswer], results: list[RowResult], again: list[Batch]
    ) -> None:
        """Decide about the rows of a call that was answered, each by what the answer says about it."""
        shown: list[tuple[Job, Record]] = []
        unnamed: list[Job] = []
        shows_values = not self._reads_back and (not self._rules.verify_echo or _shows_values(jobs[0]))
        if any(answer is not None and not isinstance(answer, CrmError) for answer in answers):
            self._stops.note_landed()
        for job, answer in zip(jobs, answers, strict=True):
            if answer is None:
                unnamed.append(replace(job, maybe_written=True))
            elif isinstance(answer, TransientError):
                again.append((replace(job, maybe_written=True),))
            elif isinstance(answer, CrmError):
                self._session.label_fields(answer)
                results.append(self._results.failed(job, answer))
            else:
                shown.append((job, answer))
        landed, records = [job for job, _ in shown], [record for _, record in shown]
        if shows_values:
            whole = [self._results.is_shown(job, record) for job, record in shown]
            results += self._results.all_answered([*compress(landed, whole)], [*compress(records, whole)])
            landed = [job for job, is_whole in zip(landed, whole, strict=True) if not is_whole]
        if landed:
            self._compare_with_read(landed, results)
        again += [(job,) for job in self._not_written(unnamed, results)]

    def _not_written(self, jobs: list[Job], results: list[RowResult]) -> list[Job]:
        """Return the rows that have to be sent once more, of those about which an answer says nothing.

        Where several can be read in one call, that takes fewer calls than sending each of them again.
        """
        if len(jobs) <= 1 or self._session.account.vendor.batch_read is None:
            return jobs
        left = []
        records = read_records(self._session, jobs)
        for job in jobs:
            record = records[job.update.record_id]
            if isinstance(record, CrmError) or not self._results.shows(job, record):
                left.append(job)
            else:
                results.append(self._results.answered(job, record))
        return left

    def _compare_with_read(self, jobs: list[Job], results: list[RowResult]) -> None:
        """Compare what was written with the records, as the answer did not show it, or is not trusted."""
        records = read_records(self._session, jobs)
        for err in {id(one): one for one in records.values() if isinstance(one, CrmError)}.values():
            self._session.label_fields(unread(err))  # once, though it may stand for many rows
        for job in jobs:
            record = records[job.update.record_id]
            if isinstance(record, CrmError):
                results.append(self._results.failed(job, record))
            else:
                results.append(self._results.answered(job, record))

    def _before_attempt(self, jobs: Batch, may_send: MaySend, lost: set[str]) -> BeforeAttempt:
        """Allow an attempt only while the run goes on and the claims outlast the attempt; note claims that are lost."""
        longest_call = 2 * self._session.account.timeout  # connecting and answering may take that long each
        renew = self._renewer(jobs, self._session.clock.monotonic, longest_call)

        def before_attempt() -> None:
            if not may_send(jobs):
                msg = "The run was ended before this row was sent."
                raise NotReachedError(msg)
            lost.update(renew())
            if lost:
                msg = "Another run has taken this row over while it waited."
                raise ClaimLostError(msg)

        return before_attempt


def _shows_values(job: Job) -> bool:
    """Return whether the answer to a call for several rows shows their values."""
    route = job.calls[0].route
    return route is None or route.batch is None or route.batch.shows_values


def _noted(jobs: Batch, err: CrmError) -> Batch:
    """Return rows that are sent once more, with the doubt that an attempt without an answer has left."""
    return [replace(job, maybe_written=True) for job in jobs] if err.maybe_written else jobs
