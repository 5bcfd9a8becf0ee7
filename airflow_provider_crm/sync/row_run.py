"""One run of rows: from its source, through the guardrails, to the CRM, into the report and the rejects file."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import OutageError
from airflow_provider_crm.guardrails.limits import hold
from airflow_provider_crm.plan.spool import Spool
from airflow_provider_crm.report.guardrail_check import GuardrailCheck
from airflow_provider_crm.report.progress import Progress, Reading
from airflow_provider_crm.report.rejects_file import check_rejects_path
from airflow_provider_crm.report.report import SyncReport
from airflow_provider_crm.report.tally import Tally
from airflow_provider_crm.report.tolerance import Tolerance
from airflow_provider_crm.report.warnings import landing_warning
from airflow_provider_crm.sync.deferral import DeferralState
from airflow_provider_crm.sync.ends import CountedRows, ending, source_error
from airflow_provider_crm.sync.finished_rows import FinishedRows
from airflow_provider_crm.sync.object_files import open_rejects
from airflow_provider_crm.sync.spans import span
from airflow_provider_crm.values.opportunity import TRANSIENT_FAILURES, Outcome, OutcomeWord, Update

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.push.run import Push
    from airflow_provider_crm.report.rejects_file import WriteReject
    from airflow_provider_crm.sync.run_context import RunContext
    from airflow_provider_crm.sync.sources import Source
    from airflow_provider_crm.sync.task_run import TaskRun

_PREVIEWED = 20


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run of rows came to.

    Attributes:
        report: What became of the rows.
        stopped: Why it ended before its last row, or None.
        wait: Seconds after which the task is to go on, or None if it is over.
        carried: What it needs then.
    """

    report: SyncReport
    stopped: Exception | None
    wait: float | None
    carried: DeferralState


class RowRun:
    """Writes the rows of a task, as many as can be written now.

    Args:
        run: The task, and what it works with.
    """

    def __init__(self, run: TaskRun) -> None:
        self._run = run
        self._task = run.task
        self._settled = FinishedRows(run.carried.settled)
        self._held: tuple[GuardrailCheck, ...] = ()
        self._rereads_all_rows = False
        self._landed = False

    def write(self) -> RunResult:
        """Write the rows.

        Raises:
            CrmError: Not even the first one could be tried.
        """
        run, task = self._run, self._task
        if task.rejects_path is not None:
            check_rejects_path(task.rejects_path)
        rules = run.rules()
        if task.capture_before:
            run.ledger.required()
        source = task.source(run)
        self._rereads_all_rows = self._goes_through_all_rows_again(source)
        goes_on = run.resumed and not self._rereads_all_rows
        with open_rejects(task.rejects_path, resumed=goes_on) as write, run.work(source, rules) as work:
            return self._written(source, work, self._tally(write))

    def _written(self, source: Source, work: RunContext, tally: Tally) -> RunResult:
        """Write the rows; whatever ends that, what became of them is reported first."""
        from airflow_provider_crm.push.run import Push

        with Spool[Outcome]() as again:
            push: Push | None = None
            try:
                found = source.rows(work)
                probing = self._run.carried.outages > 0
                push = Push(work.session, work.catalogue, work.rules, work.ledger, found.inspect, probing=probing)
                stream = CountedRows(found.items)
                with (
                    span("crm.write"),
                    closing(self._outcomes(push, self._unsettled(stream, work, source))) as outcomes,
                ):
                    for outcome in self._progress(tally, work.session).watch(outcomes):
                        self._take(outcome, push, tally, again)
                ended = self._ended(work, push, stream, tally, again)
            except BaseException as err:
                self._report_end(err, work, push, tally, again)
                raise
            if ended.stopped is None and ended.wait is None and work.ledger is not None:
                found.finish()
            return ended

    def _ended(
        self, work: RunContext, push: Push, stream: CountedRows, tally: Tally, again: Spool[Outcome]
    ) -> RunResult:
        """Report the rows of a source that has no more of them, or broke."""
        broke = None if stream.broke is None else source_error(stream.broke, stream.rows)
        wait = self._wait(push, again, work.session)
        for outcome in again if wait is None else ():
            self._count(outcome, tally)
        report = self._report(work, tally, ended_early=None if broke is None else str(broke))
        if wait is None:
            report = self._with_warnings(report, tally)
        push.close(report.to_dict(), deferred=wait is not None)
        carried = self._carried(report, push, doubtful=len(again) > 0)
        return RunResult(report, push.stopped or broke, wait, carried)

    def _report_end(
        self, err: BaseException, work: RunContext, push: Push | None, tally: Tally, again: Spool[Outcome]
    ) -> None:
        """Report what became of the rows of a task that ends in their midst: in the log, the ledger and XCom."""
        for outcome in (*again, *(() if push is None else push.unreported)):
            self._count(outcome, tally)
        report = self._report(work, tally, ended_early=ending(err))
        self._task.log.error("%s %s.", report.ended_early, report.summary())
        if push is not None:
            push.close(report.to_dict())
        self._run.push_last_report(report.to_dict())

    def _goes_through_all_rows_again(self, source: Source) -> bool:
        """Whether a task that was deferred starts over: the ledger then makes what landed cost nothing.

        Where it would not, the task has to carry along which rows are settled.
        """
        task = self._task
        keeps = task.sends and self._run.ledger.engine is not None
        return keeps and task.changes_only and not task.retry_rejected and not source.inspects

    def _tally(self, write: WriteReject | None) -> Tally:
        earlier = self._run.carried.report
        landed = earlier.get("outcomes", {}).get(OutcomeWord.UPDATED, 0)
        if self._rereads_all_rows:
            return Tally(write, failures=self._task.failures(), landed=landed)
        return Tally(write, failures=self._task.failures(), earlier=earlier)

    def _unsettled(self, stream: CountedRows, work: RunContext, source: Source) -> Iterator[Update | Outcome]:
        """The rows that have no outcome yet, once all of them are known to stay within the guardrails."""
        rows: Iterable[Update | Outcome] = stream
        if self._task.guardrails is not None and not self._run.carried.report.get("rows"):
            rows = self._guarded(stream, work, source)
        return (row for row in rows if not self._settled.skip(row.record_id))

    def _guarded(self, stream: CountedRows, work: RunContext, source: Source) -> Iterator[Update | Outcome]:
        from airflow_provider_crm.guardrails.limits import Guardrails

        guardrails, measured = self._task.guardrails or Guardrails(), work.measured(source.names)
        guardrails.check()
        with Spool(stream) as spool:
            stream.raise_error()
            with span("crm.guardrails"):
                measured.add(spool)
                if guardrails.compares:
                    access = self._run.ledger
                    access.plan_store()  # makes the tables where a dry run is the first to ask
                    book = work.ledger or access.open_ledger(work.session, work.catalogue, work.account, work.run_key)
                    measured.compare(spool, book)
                self._held = guardrails.measurements(measured)
                hold(self._held)
            yield from spool

    def _outcomes(self, push: Push, rows: Iterable[Update | Outcome]) -> Generator[Outcome, None, None]:
        from airflow_provider_crm.push.write import shown_payload

        if self._task.sends:
            yield from push.run(rows)
            return
        for number, (outcome, calls) in enumerate(push.rehearse(rows)):
            if number < _PREVIEWED:
                for call in calls:
                    payload = shown_payload(call, push.catalogue)
                    self._task.log.info("Would send %s %s %s", call.method, call.path, payload)
            yield outcome

    def _progress(self, tally: Tally, session: Session) -> Progress:
        """What says every few seconds how far the run is."""

        def reading() -> Reading:
            return Reading(tally.rows, tally.refused, session.calls, session.used().used)

        task = self._task
        return Progress(reading, task.log.info, total=task.total_rows(), monotonic=session.clock.monotonic)

    def _take(self, outcome: Outcome, push: Push, tally: Tally, again: Spool[Outcome]) -> None:
        """Count an outcome, or put it aside: rows that failed for a reason that passes have another try to come."""
        if not self._task.sends or outcome.word not in TRANSIENT_FAILURES:
            self._landed |= outcome.word is OutcomeWord.UPDATED
            self._count(outcome, tally)
        elif outcome.word is not OutcomeWord.NOT_SENT or push.wait is None:
            again.append(outcome)

    def _count(self, outcome: Outcome, tally: Tally) -> None:
        if self._task.sends and not self._rereads_all_rows:  # a rehearsal is never deferred
            self._settled.add(outcome.record_id)
        tally.add(outcome)

    def _wait(self, push: Push, again: Spool[Outcome], session: Session) -> float | None:
        """Seconds after which rows are to be tried again; None if none of them are."""
        if push.wait is not None:
            return push.wait
        down = isinstance(push.stopped, OutageError)
        if push.stopped is None and self._task.sends and len(again):
            down = session.is_down()
        return self._run.outage_wait(self._outages, landed=self._landed) if down else None

    @property
    def _outages(self) -> int:
        """How often in a row the vendor was found to be down before."""
        return 0 if self._landed else self._run.carried.outages

    def _report(self, work: RunContext, tally: Tally, *, ended_early: str | None) -> SyncReport:
        run = self._run
        return SyncReport(
            run_key=run.key,
            vendor=run.account.vendor.name,
            account=work.account,
            rows=tally.rows,
            calls=run.calls,
            seconds=run.seconds,
            outcomes=tally.outcomes(),
            rejects=tuple(tally.rejects),
            rejects_path=self._task.rejects_path,
            budget=run.budget_used(work.session),
            causes=tally.causes(),
            guardrails=self._held or tuple(map(GuardrailCheck.from_dict, run.carried.report.get("guardrails", ()))),
            warnings=tuple(run.warnings),
            ended_early=ended_early,
        )

    def _with_warnings(self, report: SyncReport, tally: Tally) -> SyncReport:
        """The report of a run that may become green, with a warning if no row landed."""
        warnings = self._run.warnings
        landing = landing_warning(report, valueless=tally.codes["NOTHING_TO_WRITE"])
        if landing is not None and not Tolerance(self._task.max_rejected).exceeded(tally.refused, tally.rows):
            warnings.add(landing)
        return replace(report, warnings=tuple(warnings))

    def _carried(self, report: SyncReport, push: Push, *, doubtful: bool) -> DeferralState:
        return DeferralState(
            settled=self._settled.text(),
            report=report.to_dict(),
            outages=0 if push.wait is not None else self._outages + 1,
            doubtful=doubtful or self._run.carried.doubtful,
        )
