"""Operators that see before they write: a plan of updates, and an undo, which is a plan as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.exceptions import ConfigurationError, GuardrailError, LedgerUnavailableError
from airflow_provider_crm.operators.opportunity_operator import Flag, OpportunityOperator
from airflow_provider_crm.operators.source_data import DataOperator, shielded

if TYPE_CHECKING:
    from airflow_provider_crm.plan.store import Plan, PlanStore
    from airflow_provider_crm.report.guardrail_check import GuardrailCheck
    from airflow_provider_crm.sync.arguments import Check
    from airflow_provider_crm.sync.run_context import RunContext
    from airflow_provider_crm.sync.sources import Source, UndoSource
    from airflow_provider_crm.sync.task_run import TaskRun

_OWN_XCOMS = ("plan_id", "digest", "counts", "summary")


class PlanningOperator(OpportunityOperator):
    """What operators that store a plan have in common; all arguments are those of `OpportunityOperator`."""

    _held: tuple[GuardrailCheck, ...] = ()

    def made(self, source: Source, work: RunContext, store: PlanStore) -> tuple[Plan, str]:
        """Make and store the plan; returns it with its summary."""
        raise NotImplementedError

    def planned(self, run: TaskRun) -> dict[str, Any]:
        """Store a plan, and write nothing to the CRM.

        Returns:
            `plan_id`, `digest`, `counts` of fields by verdict, `rows`, `account`, `run_key`, `calls`, `seconds`,
            `budget` and `guardrails` as in a report, and `summary`: Markdown for `ApprovalOperator(body=...)`. The
            first three and the summary are also XComs of their own, so that `plan.output["plan_id"]` is one.
        """
        from airflow_provider_crm.sync.spans import describe, span

        store, rules = run.ledger.plan_store(), run.rules()
        source = self.source(run)
        with run.work(source, rules) as work:
            try:
                with span("crm.plan"):
                    plan, summary = self.made(source, work, store)
            except BaseException as err:
                _report_end(err, run, work)
                raise
            if plan.rows == 0:
                run.warnings.add("Nothing to plan: 0 rows.")
            result: dict[str, Any] = {
                "plan_id": plan.plan_id,
                "digest": plan.digest,
                "account": plan.account,
                "run_key": plan.run_key,
                "rows": plan.rows,
                "counts": dict(plan.counts),
                "calls": run.calls,
                "seconds": round(run.seconds, 3),
                "budget": run.budget_used(work.session).to_dict(),
                "guardrails": [one.to_dict() for one in self._held],
                "warnings": list(run.warnings),
            }
            if work.ledger is not None:
                work.ledger.close(result)
        told_by_span = {name: result[name] for name in ("plan_id", "account", "run_key", "rows", "calls")}
        describe(told_by_span | {"vendor": run.account.vendor.name, "waited": run.waited_seconds})
        told = ", ".join(f"{count} {verdict}" for verdict, count in plan.counts.items() if count) or "nothing to do"
        self.log.info("Plan %s of %d rows, fields: %s; %d calls.", plan.plan_id, plan.rows, told, result["calls"])
        result["summary"] = summary
        for key in _OWN_XCOMS if self.do_xcom_push else ():
            run.context["ti"].xcom_push(key=key, value=result[key])
        return result


class PlanOpportunityUpdatesOperator(DataOperator, PlanningOperator):
    """Compare rows with what the CRM and the ledger hold, and store the difference as a plan; write nothing to the CRM.

    The plan says for each field what it is now, what it would be, and a verdict: `update`, `unchanged`, `stale` (newer
    data was written), `invalid`, `missing` (no such record), `conflict` (changed in the CRM since it was last written
    from here). `UpdateOpportunityOperator(plan=...)` applies it. The task succeeds whatever the verdicts are. It reads
    the CRM, by list pages where that takes fewer calls than one per record.

    Args:
        data: A DataFrame, a list of dicts, the output of another task (`XComArg`), or a path, as for
            `UpdateOpportunityOperator`.
        kwargs: The arguments of `OpportunityOperator`, then Airflow's own. Those about writing have no effect here.
    """

    def __init__(self, *, data: Any, **kwargs: Any) -> None:  # noqa: ANN401 - a frame, a list, a path or an XComArg
        super().__init__(**kwargs)
        self.data = shielded(data, rendered=False)

    @property
    def sends(self) -> bool:
        """A plan is made in the ledger, also in a dry run."""
        return True

    def made(self, source: Source, work: RunContext, store: PlanStore) -> tuple[Plan, str]:
        """Compare the rows, within the guardrails."""
        from airflow_provider_crm.guardrails.limits import Guardrails
        from airflow_provider_crm.plan.spool import Spool
        from airflow_provider_crm.sync.ends import CountedRows
        from airflow_provider_crm.sync.guarded import held
        from airflow_provider_crm.sync.sources import stored

        guardrails, measured, planner = self.guardrails or Guardrails(), work.measured(source.names), work.planner()
        guardrails.check()
        stream = CountedRows(source.rows(work).items)
        with Spool(stream) as rows:
            stream.raise_error()
            measured.add(rows)
            held(guardrails, measured, work)
            with Spool(planner.updates(rows)) as planned:
                measured.compare_plan(planned)
                self._held = held(guardrails, measured, work)
                return stored(store, planned, work)

    def perform(self, run: TaskRun) -> dict[str, Any]:
        """Make the plan."""
        return self.planned(run)


class RevertOpportunityUpdatesOperator(PlanningOperator):
    """Put back what stood in the CRM before a run, where the CRM still holds what that run wrote.

    What stood before is known from the run's plan, else from the value that was last acknowledged before it, else
    from a read before its first write (`capture_before=True`). A record of which one field is not known, or was changed
    since by anybody, is left alone as a whole and reported. The undo is stored as a plan, and applied at once or later.

    Args:
        run_key: Key of the run to take back, `dag/task/run`, as its report tells it.
        plan_only: Store the plan and write nothing; `UpdateOpportunityOperator(plan=...)` applies it.
        on_conflict: What becomes of a record that was changed since: "fail" (`rejected`, code `CONFLICT`) or "skip"
            (`skipped`, no failure).
        kwargs: The arguments of `OpportunityOperator` except `id_column` and `fields`, then Airflow's own.
    """

    template_fields: Sequence[str] = ("run_key", "plan_only", *OpportunityOperator.template_fields)

    def __init__(self, *, run_key: str, plan_only: Flag = False, on_conflict: str = "fail", **kwargs: Any) -> None:
        super().__init__(id_column="", fields={}, **kwargs)
        self.run_key = run_key
        self.plan_only = plan_only
        self.on_conflict = on_conflict

    def argument_checks(self) -> Mapping[str, Check]:
        """The check of each argument, by its name."""
        from airflow_provider_crm.sync.arguments import REVERTING

        return {**super().argument_checks(), **REVERTING}

    def source(self, run: TaskRun) -> UndoSource:
        """What stood before the run."""
        from airflow_provider_crm.sync.sources import UndoSource

        return UndoSource(run.ledger.plan_store(), self.run_key, self.on_conflict, resumed=run.resumed)

    def made(self, source: Source, work: RunContext, store: PlanStore) -> tuple[Plan, str]:  # noqa: ARG002 - part of the interface
        """Compare what the run wrote with what the CRM holds."""
        from airflow_provider_crm.sync.sources import UndoSource

        if not isinstance(source, UndoSource):
            raise TypeError(type(source).__name__)
        return source.plan(work)

    def perform(self, run: TaskRun) -> dict[str, Any]:
        """Make the plan, and apply it unless it is only to be stored."""
        self._check_arguments()
        if self.plan_only:
            return self.planned(run)
        report = super().perform(run)
        plan = run.ledger.plan_store().applied_by(run.key)
        return report if plan is None else {**report, "plan_id": plan.plan_id}

    def _check_arguments(self) -> None:
        """Refuse what has no meaning in an undo."""
        if self.on_conflict not in ("fail", "skip"):
            msg = f"on_conflict is {self.on_conflict!r}; write 'fail' or 'skip': an undo overwrites nobody's changes."
            raise ConfigurationError(msg)
        if not self.sends:
            msg = "dry_run has no meaning in an undo; pass plan_only=True to see what it would do."
            raise ConfigurationError(msg)
        if self.guardrails is not None or self.as_of is not None:
            msg = "guardrails and as_of have no meaning in an undo, whose data time is now; leave them out."
            raise ConfigurationError(msg)


def _report_end(err: BaseException, run: TaskRun, work: RunContext) -> None:
    """Note in the ledger why a plan was not made; a guardrail has done so, and a ledger that fails cannot."""
    from airflow_provider_crm.sync.ends import ending

    if work.ledger is not None and not isinstance(err, (GuardrailError, LedgerUnavailableError)):
        report = {"rows": 0, "calls": run.calls, "seconds": round(run.seconds, 3), "ended_early": ending(err)}
        work.ledger.close({**report, "warnings": list(run.warnings)})
