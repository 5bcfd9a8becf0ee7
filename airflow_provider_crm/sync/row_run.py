"""Run rows from their source, through the guardrails, to the CRM, into the report and the rejects file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import GuardrailError, OutageError
from airflow_provider_crm.guardrails.canary import canary_rows
from airflow_provider_crm.guardrails.limits import enforce
from airflow_provider_crm.guardrails.measure import ImpactEstimate
from airflow_provider_crm.plan.spool import Spool
from airflow_provider_crm.push.ended_uploads import EndedUploads, settle_uploads
from airflow_provider_crm.push.prepare import shown_payload
from airflow_provider_crm.push.run import Push
from airflow_provider_crm.report.closing_lines import rows_of_all_tries
from airflow_provider_crm.report.guardrail_check import GuardrailCheck
from airflow_provider_crm.report.progress import Progress, Reading
from airflow_provider_crm.report.report import SyncReport
from airflow_provider_crm.report.tally import Tally
from airflow_provider_crm.report.warnings import landing_warning
from airflow_provider_crm.sync.deal_names import read_missing_names
from airflow_provider_crm.sync.deferral import DeferralState
from airflow_provider_crm.sync.ends import ending, source_error
from airflow_provider_crm.sync.finished_rows import FinishedRows
from airflow_provider_crm.sync.metrics import record_run, record_waits
from airflow_provider_crm.sync.noted_progress import NotedProgress
from airflow_provider_crm.sync.object_files import open_rejects
from airflow_provider_crm.sync.run_result import RunResult
from airflow_provider_crm.sync.spans import describe_run, span
from airflow_provider_crm.values.opportunity import TRANSIENT_FAILURES, WRITTEN, Outcome, OutcomeWord, Update

if TYPE_CHECKING:
    from airflow_provider_crm.guardrails.limits import Guardrails
    from airflow_provider_crm.hooks.sessions import Session
    from airflow_provider_crm.report.rejects_file import WriteReject
    from airflow_provider_crm.sync.row_stream import RowStream
    from airflow_provider_crm.sync.run_context import RunContext, Source
    from airflow_provider_crm.sync.task_run import TaskRun

_PREVIEWED_ROWS = 20


class RowRun:
    """One run that writes the rows of a task, as many as can be written now.

    Args:
        run: The segment of the task that is running.

    Raises:
        ConfigurationError: An argument is wrong, or there is no ledger although the run needs one.
    """

    def __init__(self, run: TaskRun) -> None:
        self._run = run
        self._segment = run.segment
        self._settings = run.segment.settings
        if run.segment.push_rules.capture_before:
            run.segment.ledger.required()
        self._finished = FinishedRows(run.segment.deferral.finished_rows)
        self._checks: tuple[GuardrailCheck, ...] = ()
        self._rereads_all_rows = False
        self._landed = False

    def write(self, source: Source, session: Session) -> RunResult:
        """Write the rows, and record the result in metrics and spans.

        Args:
            source: The source of the rows.
            session: The session to write with.

        Raises:
            CrmError: Not even the first row could be tried.
        """
        self._rereads_all_rows = self._can_reread_all_rows(source)
        self._run.applies_plan = source.inspects
        keep_rejects = self._segment.resumed and not self._rereads_all_rows
        with (
            open_rejects(self._settings.rejects_path, resumed=keep_rejects) as write,
            self._run.open_context(source, session) as run_context,
        ):
            uploads = self._ended_uploads(source, run_context)
            result = self._written(source, run_context, self._tally(write, uploads), uploads)
        describe_run(result.report)
        record_waits(self._segment.context, result.report.vendor, self._run.waited_seconds)
        self._run.log_limits(session)
        if result.wait is None:
            record_run(self._segment.context, result.report)
        return result

    def _ended_uploads(self, source: Source, run_context: RunContext) -> EndedUploads:
        """Settle what was uploaded before; a plan that is applied uploads nothing."""
        if run_context.ledger is None or source.inspects or not self._rereads_all_rows:
            return EndedUploads()
        session, catalogue = run_context.session, run_context.catalogue
        fields = [catalogue.fields[name] for name in source.names if name in catalogue.fields]
        keys = dict.fromkeys(key for field in fields for key in field.keys)
        calls = [one.upload for one in session.account.vendor.write_calls(tuple(keys)) if one.upload is not None]
        return settle_uploads(session, catalogue, calls[0], run_context.ledger) if calls else EndedUploads()

    def _written(self, source: Source, run_context: RunContext, tally: Tally, uploads: EndedUploads) -> RunResult:
        """Write the rows; if an exception ends that, report them before it is raised."""
        with Spool[Outcome]() as retryable:
            push: Push | None = None
            try:
                stream = source.rows(run_context)
                push = self._push(stream, run_context, uploads)
                rows = self._unfinished(stream, run_context, source)
                with span("crm.write"), closing(self._outcomes(push, rows)) as outcomes:
                    for outcome in self._progress(stream, tally, run_context).watch(outcomes):
                        self._add(outcome, push, tally, retryable)
                result = self._result(run_context, push, stream, tally, retryable)
            except BaseException as err:
                self._report_end(err, run_context, push, tally, retryable)
                raise
            if result.stopped is None and result.wait is None and run_context.ledger is not None:
                stream.finish()
            return result

    def _push(self, stream: RowStream, run_context: RunContext, uploads: EndedUploads) -> Push:
        probing = self._segment.deferral.outages > 0
        session, catalogue, ledger = run_context.session, run_context.catalogue, run_context.ledger
        canary = canary_rows(self._settings.guardrails, self._segment.deferral.report, ledger)
        rules = replace(run_context.rules, canary_rows=canary)
        return Push(session, catalogue, rules, ledger, stream.inspect, probing=probing, uploads=uploads)

    def _result(
        self, run_context: RunContext, push: Push, stream: RowStream, tally: Tally, retryable: Spool[Outcome]
    ) -> RunResult:
        """Report the rows of a source that has ended, or broke."""
        broke = None if stream.broke is None else source_error(stream.broke, stream.rows)
        wait = self._wait(push, stream, retryable, run_context.session)
        if wait is None and push.stopped is None:
            read_missing_names(run_context, self._segment.log)
        for outcome in retryable if wait is None else ():
            self._count(outcome, tally)
        early = push.stopped if isinstance(push.stopped, GuardrailError) else broke
        report = self._report(run_context, tally, ended_early=None if early is None else str(early))
        if wait is None:
            report = self._with_warnings(report, tally)
        run_report = push.close(report.to_dict(), deferred=wait is not None)
        self._run.result, self._run.all_tries = report.to_dict(), rows_of_all_tries(report.outcomes, run_report)
        deferral = self._deferral(report, push, resends_failed_rows=len(retryable) > 0)
        self._run.stopped = push.stopped or broke
        return RunResult(report, self._run.stopped, wait, deferral)

    def _report_end(
        self, err: BaseException, run_context: RunContext, push: Push | None, tally: Tally, retryable: Spool[Outcome]
    ) -> None:
        """Report the rows of a task that ends before its last row: in the ledger, in XCom, and for the log."""
        for outcome in (*retryable, *(() if push is None else push.unreported)):
            self._count(outcome, tally)
        report = self._report(run_context, tally, ended_early=ending(err))
        self._run.result = report.to_dict()
        if push is not None:
            push.close(report.to_dict())
        self._run.push_last_report(report.to_dict())

    def _can_reread_all_rows(self, source: Source) -> bool:
        """Return whether a task that was deferred can start over, as rows that landed then cost no call.

        Where they would cost one, the deferral state has to list the finished rows.
        """
        settings = self._settings
        has_ledger = settings.sends and self._segment.ledger.database is not None
        return has_ledger and settings.changes_only and not settings.retry_rejected and not source.inspects

    def _tally(self, write: WriteReject | None, uploads: EndedUploads) -> Tally:
        earlier = self._segment.deferral.report
        if self._rereads_all_rows:
            landed = Counter(earlier.get("outcomes", {}))
            landed[OutcomeWord.UPDATED.value] += uploads.landed
            return Tally(write, failures=self._settings.failures, landed=landed)
        return Tally(write, failures=self._settings.failures, earlier=earlier)

    def _unfinished(self, stream: RowStream, run_context: RunContext, source: Source) -> Iterator[Update | Outcome]:
        """Return the rows without an outcome, after all of them were checked against the guardrails."""
        rows: Iterable[Update | Outcome] = stream
        guardrails = self._settings.guardrails
        if guardrails is not None and guardrails.measures and not self._segment.deferral.report.get("rows"):
            rows = self._guarded(guardrails, stream, run_context, source)
        if not self._segment.deferral.finished_rows:
            return iter(rows)
        return (row for row in rows if not self._finished.skip(row.record_id))

    def _guarded(
        self, guardrails: Guardrails, stream: RowStream, run_context: RunContext, source: Source
    ) -> Iterator[Update | Outcome]:
        """Check all rows against the guardrails, then yield them."""
        vendor = run_context.session.account.vendor
        estimate = ImpactEstimate(source.names, vendor, run_context.catalogue, run_context.rules)
        with Spool(stream) as spool:
            stream.raise_error()
            with span("crm.guardrails"):
                estimate.add(spool)
                if guardrails.compares:
                    access = self._segment.ledger
                    access.plan_store()  # makes the tables where a dry run is the first to ask
                    ledger = run_context.ledger or access.open_ledger(
                        run_context.session, run_context.catalogue, run_context.account, run_context.run_key
                    )
                    estimate.compare(spool, ledger)
                self._checks = estimate.checks(guardrails)
                enforce(self._checks)
            yield from spool

    def _outcomes(self, push: Push, rows: Iterable[Update | Outcome]) -> Generator[Outcome, None, None]:
        return push.run(rows) if self._settings.sends else self._rehearsed(push, rows)

    def _rehearsed(self, push: Push, rows: Iterable[Update | Outcome]) -> Generator[Outcome, None, None]:
        for number, (outcome, calls) in enumerate(push.rehearse(rows)):
            if number < _PREVIEWED_ROWS:
                for call in calls:
                    payload = shown_payload(call, push.catalogue)
                    self._segment.log.info("Would send %s %s %s", call.method, call.path, payload)
            yield outcome

    def _progress(self, stream: RowStream, tally: Tally, run_context: RunContext) -> Progress:
        """Return the progress, which is logged and noted in the ledger every few seconds."""
        session, log = run_context.session, self._segment.log
        noted = NotedProgress(self._segment.ledger, run_context, stream.total, log)

        def reading() -> Reading:
            return Reading(tally.rows, tally.refused, session.calls, session.used().used)

        return Progress(reading, log.info, total=stream.total, monotonic=session.clock.monotonic, note=noted.note)

    def _add(self, outcome: Outcome, push: Push, tally: Tally, retryable: Spool[Outcome]) -> None:
        """Count an outcome, or store it as retryable if its row failed for a temporary reason."""
        if outcome.word not in TRANSIENT_FAILURES or not self._settings.sends:
            self._landed = self._landed or outcome.word in WRITTEN
            self._count(outcome, tally)
        elif outcome.word is not OutcomeWord.NOT_SENT or push.wait is None:
            retryable.append(outcome)

    def _count(self, outcome: Outcome, tally: Tally) -> None:
        if not self._rereads_all_rows and self._settings.sends:  # a rehearsal is never deferred
            self._finished.add(outcome.record_id)
        tally.add(outcome)

    def _wait(self, push: Push, stream: RowStream, retryable: Spool[Outcome], session: Session) -> float | None:
        """Return the seconds after which rows are to be tried again; None if no row is."""
        if push.wait is not None:
            return push.wait
        if push.stopped is None and stream.wait is not None and self._rereads_all_rows:
            return stream.wait
        down = isinstance(push.stopped, OutageError)
        if push.stopped is None and self._settings.sends and len(retryable):
            down = session.is_down()
        return self._run.outage_wait(self._outages, landed=self._landed) if down else None

    @property
    def _outages(self) -> int:
        """Number of times in a row that the vendor was down before."""
        return 0 if self._landed else self._segment.deferral.outages

    def _report(self, run_context: RunContext, tally: Tally, *, ended_early: str | None) -> SyncReport:
        run, earlier = self._run, self._segment.deferral.report
        return SyncReport(
            run_key=run_context.run_key,
            vendor=self._segment.account.vendor.name,
            account=run_context.account,
            rows=tally.rows,
            calls=run.calls,
            seconds=run.seconds,
            outcomes=tally.outcomes(),
            rejects=tuple(tally.rejects),
            rejects_path=self._settings.rejects_path,
            budget=run.budget_used(run_context.session),
            causes=tally.causes(),
            guardrails=self._checks or tuple(map(GuardrailCheck.from_dict, earlier.get("guardrails", ()))),
            warnings=tuple(run.warnings),
            ended_early=ended_early,
        )

    def _with_warnings(self, report: SyncReport, tally: Tally) -> SyncReport:
        """Return the report of a run that may succeed, with a warning if no row landed, or many did not."""
        warnings, tolerance = self._run.warnings, self._settings.tolerance
        found = (
            landing_warning(report, valueless=tally.codes["NOTHING_TO_WRITE"]),
            tolerance.warning(tally.refused, tally.rows),
        )
        for warning in () if tolerance.exceeded(tally.refused, tally.rows) else found:
            if warning is not None:
                warnings.add(warning)
        return replace(report, warnings=tuple(warnings))

    def _deferral(self, report: SyncReport, push: Push, *, resends_failed_rows: bool) -> DeferralState:
        return DeferralState(
            finished_rows=self._finished.text(),
            report=report.to_dict(),
            outages=0 if push.wait is not None else self._outages + 1,
            resends_failed_rows=resends_failed_rows or self._segment.deferral.resends_failed_rows,
        )
