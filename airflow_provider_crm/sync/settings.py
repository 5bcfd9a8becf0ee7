"""Define the arguments of one task as its operator passes them to the run: checked, rendered and frozen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from airflow_provider_crm.guardrails.limits import Guardrails
from airflow_provider_crm.report.tolerance import Tolerance
from airflow_provider_crm.rows.rules import ColumnRules
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import FAILURES, OutcomeWord

__all__ = ["Guardrails", "Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The arguments of one task; `OpportunityOperator` describes those that are not listed here.

    Attributes:
        sends: Whether the task writes: to the CRM, or a plan into the ledger. False in a dry run.
        do_xcom_push: Whether the report is stored in XCom.
    """

    crm_conn_id: str
    id_column: str
    id_field: str | None
    on_missing: str
    fields: Mapping[str, str]
    timezone: str | None
    nulls: str | Mapping[str, str]
    null_values: Collection[str]
    rounding: str
    on_duplicate: str
    as_of: str | None
    max_rejected: float
    warn_rejected: float | None
    verify_echo: bool
    concurrency: int
    rejects_path: str | None
    date_won_default: str | None
    defer_after: float
    changes_only: bool
    retry_rejected: bool
    ledger_conn_id: str | None
    guardrails: Guardrails | None
    capture_before: bool
    upload_after: int | None
    budget_share: float
    backfill_budget_share: float
    daily_share: float
    sends: bool
    do_xcom_push: bool

    @property
    def failures(self) -> frozenset[OutcomeWord]:
        """The outcomes that count as failures: in a dry run, `not_sent` is no failure."""
        return FAILURES if self.sends else FAILURES - {OutcomeWord.NOT_SENT}

    @property
    def tolerance(self) -> Tolerance:
        """Number or fraction of the rows that may fail before the run warns, and before the task fails."""
        return Tolerance(self.max_rejected, self.warn_rejected)

    def column_rules(self, timezone: str | None) -> ColumnRules:
        """Return which column goes to which field, and how cells are read.

        Args:
            timezone: IANA zone of the run, or None.

        Raises:
            ConfigurationError: If an argument about columns is wrong.
        """
        return ColumnRules(
            id_column=self.id_column,
            fields=self.fields,
            nulls=self.nulls,
            null_values=self.null_values,
            on_duplicate=self.on_duplicate,
            as_of=self.as_of,
            values=ValueRules(timezone=timezone, rounding=self.rounding),
        )
