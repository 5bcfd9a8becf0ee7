"""Operators that show changes before they are written: a plan of updates, and an undo, which is a plan as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.operators.opportunity_operator import Flag, OpportunityOperator
from airflow_provider_crm.operators.source_data import DataRows, as_source_data

if TYPE_CHECKING:
    from airflow_provider_crm.sync.arguments import Check
    from airflow_provider_crm.sync.run_context import Source
    from airflow_provider_crm.sync.task_run import Segment, TaskRun


class PlanningOperator(OpportunityOperator):
    """An operator that stores a plan and writes nothing to the CRM, with the arguments of `OpportunityOperator`."""

    def store_plan(self, run: TaskRun) -> dict[str, Any]:
        """Store a plan of the rows; the result is that of `PlanRun.store`."""
        from airflow_provider_crm.sync.plan_run import PlanRun

        plan_run = PlanRun(run)
        with closing(self.source(run.segment)) as source, self.session_for(run.segment.account) as session:
            return plan_run.store(source, session)


class PlanOpportunityUpdatesOperator(DataRows, PlanningOperator):
    """Compare rows with the CRM and the ledger, and store the difference as a plan; write nothing to the CRM.

    The plan has for each field its present value, the value that would be written, and a verdict. Verdicts: `update`,
    `unchanged`, `stale` (newer data was written), `invalid`, `missing` (no such record), or `conflict` (changed in the
    CRM since it was last written from here). `UpdateOpportunityOperator(plan=...)` applies it. The task succeeds with
    any verdicts. It reads the CRM, by list pages where that takes fewer calls than one per record.

    Args:
        data: A DataFrame, a list of dicts, the output of another task (`XComArg`), or a path, as for
            `UpdateOpportunityOperator`.
        kwargs: The arguments of `OpportunityOperator`, then Airflow's own. Those about writing have no effect here.
    """

    template_fields: Sequence[str] = ("data", *OpportunityOperator.template_fields)

    def __init__(self, *, data: Any, **kwargs: Any) -> None:  # noqa: ANN401 - a frame, a list, a path or an XComArg
        super().__init__(**kwargs)
        self.data = as_source_data(data, rendered=False)

    def argument_checks(self) -> Mapping[str, Check | None]:
        """Return the check of each argument by its name."""
        from airflow_provider_crm.sync.arguments import DATA

        return {**super().argument_checks(), **DATA}

    @property
    def sends(self) -> bool:
        """Always True: also in a dry run a plan is written to the ledger."""
        return True

    def perform(self, run: TaskRun) -> dict[str, Any]:
        """Make the plan.

        Raises:
            ConfigurationError: A canary is given, which a plan does not send.
        """
        if self.guardrails is not None and self.guardrails.canary_rows is not None:
            msg = (
                "guardrails has canary_rows, and a plan writes no row: pass Guardrails(canary_rows=...) to the "
                "UpdateOpportunityOperator that applies the plan."
            )
            raise ConfigurationError(msg)
        return self.store_plan(run)


class RevertOpportunityUpdatesOperator(PlanningOperator):
    """Restore the values that the CRM had before a run, where the CRM still has the values of that run.

    The earlier values come from the run's plan, else from the value that was last acknowledged before it, else
    from a read before its first write (`capture_before=True`). If one field of a record is not known, or was changed
    since, the whole record is left alone and reported. The undo is stored as a plan, and applied at once or later.

    Args:
        run_key: Key of the run to undo, `dag/task/run`, as in its report.
        plan_only: Store the plan and write nothing; `UpdateOpportunityOperator(plan=...)` applies it.
        on_conflict: The treatment of a record that was changed since: "fail" (`rejected`, code `CONFLICT`) or "skip"
            (`skipped`, no failure).
        kwargs: The arguments of `OpportunityOperator` except `id_column` and `fields`, then Airflow's own.
    """

    template_fields: Sequence[str] = ("run_key", "plan_only", *OpportunityOperator.template_fields)

    def __init__(self, *, run_key: str, plan_only: Flag = False, on_conflict: str = "fail", **kwargs: Any) -> None:
        super().__init__(id_column="", fields={}, **kwargs)
        self.run_key = run_key
        self.plan_only = plan_only
        self.on_conflict = on_conflict

    def argument_checks(self) -> Mapping[str, Check | None]:
        """Return the check of each argument by its name."""
        from airflow_provider_crm.sync.arguments import REVERTING

        return {**super().argument_checks(), **REVERTING}

    def source(self, segment: Segment) -> Source:
        """Open the values that records had before the run."""
        from airflow_provider_crm.sync.plan_sources import UndoSource

        return UndoSource(segment.ledger.plan_store(), self.run_key, self.on_conflict, resumed=segment.resumed)

    def perform(self, run: TaskRun) -> dict[str, Any]:
        """Make the plan, and apply it unless it is only to be stored."""
        self._check_arguments()
        if self.plan_only:
            return self.store_plan(run)
        report = super().perform(run)
        plan = run.segment.ledger.plan_store().applied_by(run.segment.run_key)
        return report if plan is None else {**report, "plan_id": plan.plan_id}

    def _check_arguments(self) -> None:
        """Refuse arguments that have no meaning in an undo."""
        if self.on_conflict not in ("fail", "skip"):
            msg = f"on_conflict is {self.on_conflict!r}; write 'fail' or 'skip': an undo overwrites no later change."
            raise ConfigurationError(msg)
        if not self.sends:
            msg = "dry_run has no meaning in an undo; pass plan_only=True to see what it would do."
            raise ConfigurationError(msg)
        if self.guardrails is not None or self.as_of is not None:
            msg = "guardrails and as_of have no meaning in an undo, whose data time is now; leave them out."
            raise ConfigurationError(msg)
