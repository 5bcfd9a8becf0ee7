"""The operator that writes opportunities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.operators.opportunity_operator import OpportunityOperator
from airflow_provider_crm.operators.source_data import DataRows, as_source_data

if TYPE_CHECKING:
    from airflow_provider_crm.sync.arguments import Check
    from airflow_provider_crm.sync.run_context import Source
    from airflow_provider_crm.sync.task_run import Segment


class UpdateOpportunityOperator(DataRows, OpportunityOperator):
    """Write the rows of a frame, a list or a file into CRM opportunities; or apply a plan that was made of them.

    Args:
        data: A DataFrame, a list of dicts, the output of another task (`XComArg`), or a path to parquet, CSV or JSON
            lines on any object store. One row per opportunity.
        plan: Id of a plan, instead of `data`, `id_column` and `fields`: exactly that plan is written. Each record is
            read first (one call more). A record that the CRM changed since the plan, or that was in conflict in the
            plan itself, is not written.
        digest: Digest of the plan that was approved, such as `plan.output["digest"]`; required with `plan`. The rows
            are read once and compared with it before anything is written. "any" applies the rows that the plan has now.
            Of the guardrails, only `canary_rows` is given here.
        on_conflict: The treatment of such a record of a plan: "fail" (`rejected`, code `CONFLICT`), "skip" (`skipped`,
            no failure) or "overwrite" (written anyway).
        id_column: See `OpportunityOperator`.
        fields: See `OpportunityOperator`.
        kwargs: The arguments of `OpportunityOperator`, then Airflow's own.
    """

    template_fields: Sequence[str] = ("plan", "digest", "data", *OpportunityOperator.template_fields)

    def __init__(
        self,
        *,
        data: Any = None,  # noqa: ANN401 - a frame, a list, a path or an XComArg
        plan: str | None = None,
        digest: str | None = None,
        on_conflict: str = "fail",
        id_column: str = "",
        fields: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(id_column=id_column, fields=fields, **kwargs)
        self.data = as_source_data(data, rendered=False)
        self.plan = plan
        self.digest = digest
        self.on_conflict = on_conflict

    def argument_checks(self) -> Mapping[str, Check | None]:
        """Return the check of each argument by its name."""
        from airflow_provider_crm.sync.arguments import APPLYING, DATA

        return {**super().argument_checks(), **DATA, **APPLYING}

    def source(self, segment: Segment) -> Source:
        """Open the data, or the plan.

        Raises:
            ConfigurationError: If both or neither are given.
        """
        if self.plan is None and self.digest is not None:
            msg = "digest is given without plan; pass both, or rows as data."
            raise ConfigurationError(msg)
        if self.plan is None and self.data is None:
            msg = "data and plan are None; pass rows as data, or the id of a plan, such as plan.output['plan_id']."
            raise ConfigurationError(msg)
        if self.plan is None:
            return super().source(segment)
        from airflow_provider_crm.sync.plan_sources import PlanRowsSource

        self._check_plan_arguments()
        return PlanRowsSource.approved(segment.ledger.plan_store(), self.plan, self.on_conflict, digest=self.digest)

    def _check_plan_arguments(self) -> None:
        """Refuse arguments that the plan has decided already."""
        measured = self.guardrails if self.guardrails is not None and self.guardrails.measures else None
        others = {
            "data": self.data,
            "id_column": self.id_column or None,
            "id_field": self.id_field,
            "fields": self.fields or None,
            "as_of": self.as_of,
            "limits of guardrails other than canary_rows": measured,
        }
        given = [name for name, value in others.items() if value is not None]
        if given:
            msg = f"plan is given, and so are {', '.join(given)}: those belong to PlanOpportunityUpdatesOperator."
            raise ConfigurationError(msg)
        if self.date_won_default == "as_of":
            msg = "date_won_default='as_of' would add to the plan; pass it to PlanOpportunityUpdatesOperator."
            raise ConfigurationError(msg)
