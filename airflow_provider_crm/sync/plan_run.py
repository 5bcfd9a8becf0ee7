"""Run a task that plans: compare rows with the CRM, store the plan, and write nothing to the CRM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_crm.exceptions import GuardrailError, LedgerUnavailableError
from airflow_provider_crm.guardrails.limits import Guardrails, enforce
from airflow_provider_crm.guardrails.measure import ImpactEstimate
from airflow_provider_crm.plan.spool import Spool
from airflow_provider_crm.report.report import SyncReport
from airflow_provider_crm.sync.ends import ending
from airflow_provider_crm.sync.plan_sources import UndoSource, planner_of, store_plan
from airflow_provider_crm.sync.spans import describe, span

if TYPE_CHECKING:
    from airflow_provider_crm.hooks.sessions import Session
    from airflow_provider_crm.plan.stored_plan import Plan
    from airflow_provider_crm.report.guardrail_check import GuardrailCheck
    from airflow_provider_crm.sync.run_context import RunContext, Source
    from airflow_provider_crm.sync.task_run import TaskRun

_XCOMS = ("plan_id", "digest", "counts", "summary")
"""The parts of the result that are XComs of their own."""


class PlanRun:
    """One run that stores a plan of a task's rows.

    Args:
        run: The segment of the task that is running.

    Raises:
        ConfigurationError: An argument is wrong, or there is no ledger.
    """

    def __init__(self, run: TaskRun) -> None:
        self._run = run
        self._segment = run.segment
        self._store = run.segment.ledger.plan_store()
        self._rules = run.segment.push_rules
        self._checks: tuple[GuardrailCheck, ...] = ()

    def store(self, source: Source, session: Session) -> dict[str, Any]:
        """Store the plan.

        Args:
            source: The rows to plan, or the run to undo.
            session: The session to read with.

        Returns:
            `plan_id`, `digest`, `counts` of fields by verdict, `rows`, `account`, `run_key`, `calls`, `seconds`,
            `budget` and `guardrails` as in a report, and `summary`: Markdown for `ApprovalOperator(body=...)`. The
            first three and the summary are also XComs of their own, so that `plan.output["plan_id"]` is one.
        """
        run, segment = self._run, self._segment
        with run.open_context(source, session) as run_context:
            try:
                with span("crm.plan"):
                    plan, summary = self._plan(source, run_context)
            except BaseException as err:
                self._report_end(err, run_context)
                raise
            if plan.rows == 0:
                run.warnings.add("Nothing to plan: 0 rows.")
            run.result = result = self._result(plan, run_context)
            if run_context.ledger is not None:
                run_context.ledger.close(result)
        attributes = {name: result[name] for name in ("plan_id", "account", "run_key", "rows", "calls")}
        describe(attributes | {"vendor": segment.account.vendor.name, "waited": run.waited_seconds})
        counts = ", ".join(f"{count} {verdict}" for verdict, count in plan.counts.items() if count) or "nothing to do"
        segment.log.info("Plan %s of %d rows, fields: %s; %d calls.", plan.plan_id, plan.rows, counts, result["calls"])
        run.log_limits(session)
        result["summary"] = summary
        for key in _XCOMS if segment.settings.do_xcom_push else ():
            segment.context["ti"].xcom_push(key=key, value=result[key])
        return result

    def _plan(self, source: Source, run_context: RunContext) -> tuple[Plan, str]:
        """Make and store the plan; return it with its summary."""
        if isinstance(source, UndoSource):
            return source.plan(run_context)
        planner, vendor = planner_of(run_context), run_context.session.account.vendor
        estimate = ImpactEstimate(source.names, vendor, run_context.catalogue, self._rules)
        stream = source.rows(run_context)
        with Spool(stream) as rows:
            stream.raise_error()
            estimate.add(rows)
            self._enforce_guardrails(estimate, run_context)
            with Spool(planner.updates(rows)) as planned:
                estimate.compare_plan(planned)
                self._enforce_guardrails(estimate, run_context)
                return store_plan(self._store, planned, run_context)

    def _enforce_guardrails(self, estimate: ImpactEstimate, run_context: RunContext) -> None:
        """Enforce the guardrails, and store their checks for the report.

        Raises:
            GuardrailError: The run would break a limit. The ledger then has a report of it, with 0 rows.
        """
        guardrails = self._segment.settings.guardrails or Guardrails()
        self._checks = estimate.checks(guardrails)
        try:
            enforce(self._checks)
        except GuardrailError as err:
            if run_context.ledger is not None:
                report = SyncReport(
                    run_key=run_context.run_key,
                    vendor=run_context.session.account.vendor.name,
                    account=run_context.account,
                    rows=0,
                    calls=self._run.calls,
                    seconds=self._run.seconds,
                    outcomes={},
                    guardrails=self._checks,
                    warnings=tuple(run_context.warnings),
                    ended_early=str(err),
                )
                self._run.result = report.to_dict()
                run_context.ledger.close(self._run.result)
            raise

    def _result(self, plan: Plan, run_context: RunContext) -> dict[str, Any]:
        run = self._run
        return {
            "plan_id": plan.plan_id,
            "digest": plan.digest,
            "account": plan.account,
            "run_key": plan.run_key,
            "rows": plan.rows,
            "counts": dict(plan.counts),
            "calls": run.calls,
            "seconds": round(run.seconds, 3),
            "budget": run.budget_used(run_context.session).to_dict(),
            "guardrails": [check.to_dict() for check in self._checks],
            "warnings": list(run.warnings),
        }

    def _report_end(self, err: BaseException, run_context: RunContext) -> None:
        """Note in the ledger why no plan was made; a guardrail did so already, and a ledger that fails cannot."""
        if run_context.ledger is not None and not isinstance(err, (GuardrailError, LedgerUnavailableError)):
            run = self._run
            report = {"rows": 0, "calls": run.calls, "seconds": round(run.seconds, 3), "ended_early": ending(err)}
            run_context.ledger.close({**report, "warnings": list(run.warnings)})
