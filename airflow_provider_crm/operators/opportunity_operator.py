"""Define the arguments of all operators that write opportunities, and run their tasks.

Airflow imports this for every parse of a DAG file, so modules that only a running task needs are imported where the
task runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER
from airflow_provider_crm.operators.links import CrmRunLink
from airflow_provider_crm.operators.segmented_operator import SegmentedOperator
from airflow_provider_crm.values.opportunity import NULL_VALUES

if TYPE_CHECKING:
    import pandas as pd
    from airflow.providers.common.sql.hooks.sql import DbApiHook
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from airflow_provider_crm.hooks.sessions import Account, Budget, Session
    from airflow_provider_crm.sync.arguments import Check
    from airflow_provider_crm.sync.run_context import Source
    from airflow_provider_crm.sync.run_result import RunResult
    from airflow_provider_crm.sync.settings import Guardrails
    from airflow_provider_crm.sync.task_run import Segment, TaskRun

Flag: TypeAlias = Any
"""True or False, or a template that renders to one of them; a boolean once the arguments were checked."""


class OpportunityOperator(SegmentedOperator):
    """The common base of all operators that write opportunities; each subclass adds its source of rows.

    All arguments are keyword-only; each is checked when the task runs, before the first call.

    Args:
        crm_conn_id: Connection to the CRM; its type chooses the vendor.
        id_column: Column with the vendor's id of the opportunity, or with a key of the warehouse; one row per
            opportunity.
        fields: Field by column: a canonical name (`deal_value` in major units, `deal_currency`, `stage`, `date_won`,
            `notes`, `responsible_user_id`) or the vendor's own.
        id_field: The field of the CRM whose values `id_column` has, such as `warehouse_deal_key`. Each key is looked
            up once, and the ledger remembers its record id. Left out, the column has the vendor's own ids.
        on_missing: What becomes of a row whose key no opportunity has: "error" (`rejected`, code `NOT_FOUND`) or "skip"
            (`skipped`, no failure).
        timezone: IANA zone in which dates are meant; default: the connection's. Without either, a date is never cut
            from a point in time.
        nulls: Meaning of a missing value: "skip" leaves the field alone, "clear" empties it, "error" refuses the row;
            or one of these by column.
        null_values: Texts that are missing values, compared without surrounding white space. Default: empty text and
            texts that only a tool writes, such as `nan` and `None`, see `NULL_VALUES`. `[]` writes every text as it is.
        rounding: Rule by which money is rounded, once, to the vendor's decimal places: "half-even", "half-up",
            "half-down", "up", "down", "ceiling" or "floor"; or "refuse", which rounds no amount and refuses its row.
        on_duplicate: Two rows of one id: "error" refuses both, "last" writes the later.
        as_of: Column with the data time of each row; default: that of the run, see `data_time`.
        max_rejected: Rows that may fail before the task does: a count (a whole number) or a fraction (a float below 1).
        warn_rejected: Rows that may fail before the run warns, in the same form, below `max_rejected`; default: no
            such warning. The task succeeds, and the warning is in log, report, page, metric and asset event.
        verify_echo: Compare the record that comes back with what was sent; a difference is the outcome `ignored`.
        concurrency: Maximum number of rows in flight, from 1 to 64. The run finds out how many of them latency, rate
            limit and vendor allow.
        rejects_path: File of all rows that did not land, `.csv`, `.jsonl` or `.parquet`, on any object store.
        dry_run: Make every check and log the calls, but send no call that writes.
        date_won_default: In a run whose data is more than a day old, what a won stage without a date means: "server"
            (the vendor's today) or "as_of" (the date of the data). Left out, such a row is refused.
        defer_after: Seconds; a vendor that asks for a longer wait defers the task, which frees its worker slot.
        changes_only: Send only values that differ from the last acknowledged ones.
        retry_rejected: Send also values that the CRM has refused before.
        ledger_conn_id: Connection to the ledger's database; default: the one that `[crm] ledger_conn_id` names, else a
            SQLite file in the Airflow home. None means no ledger: every row is sent, and old data can overwrite newer.
        guardrails: Limits of the run, checked before the first call that writes; and its canary, the first rows, which
            have to land before the others are sent.
        capture_before: Read a record before it is written for the first time (one call more), so that
            `RevertOpportunityUpdatesOperator` can restore the values it had.
        upload_after: Changed rows that a run sends by ordinary calls before it sends the others as one file, where the
            vendor takes files (Salesforce); None sends all rows by calls.
        budget_share: Part of the vendor's rate limit that all runs on one key together may use; the rest is left to
            people and other programs.
        backfill_budget_share: The part that a run of a backfill may use, so that the runs of today find calls left.
        daily_share: Part of a daily limit that all runs on one key together may use; default: `[crm] daily_share`, else
            0.5. When it is used up, the task is deferred until the limit allows calls again.
    """

    template_fields: Sequence[str] = (
        "crm_conn_id",
        "id_column",
        "id_field",
        "fields",
        "timezone",
        "nulls",
        "null_values",
        "as_of",
        "rejects_path",
        "date_won_default",
        "ledger_conn_id",
        "dry_run",
        "verify_echo",
        "changes_only",
        "retry_rejected",
        "capture_before",
    )
    dry_run: Flag  # hides a method of Airflow's that nothing calls
    ui_color = "#e4f0e8"
    operator_extra_links = (CrmRunLink(),)
    _written: dict[str, Any] | None = None

    def __init__(
        self,
        *,
        crm_conn_id: str,
        id_column: str,
        fields: Mapping[str, str] | None,
        id_field: str | None = None,
        on_missing: str = "error",
        timezone: str | None = None,
        nulls: str | Mapping[str, str] = "skip",
        null_values: Collection[str] = NULL_VALUES,
        rounding: str = "half-even",
        on_duplicate: str = "error",
        as_of: str | None = None,
        max_rejected: float = 0,
        warn_rejected: float | None = None,
        verify_echo: Flag = True,
        concurrency: int = 64,
        rejects_path: str | None = None,
        dry_run: Flag = False,
        date_won_default: str | None = None,
        defer_after: float = 60.0,
        changes_only: Flag = True,
        retry_rejected: Flag = False,
        ledger_conn_id: str | None = DEFAULT_LEDGER,
        guardrails: Guardrails | None = None,
        capture_before: Flag = False,
        upload_after: int | None = 50_000,
        budget_share: float = 0.9,
        backfill_budget_share: float = 0.5,
        daily_share: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.crm_conn_id = crm_conn_id
        self.id_column = id_column
        self.fields: Any = fields
        self.id_field = id_field
        self.on_missing = on_missing
        self.timezone = timezone
        self.nulls = nulls
        self.null_values = null_values
        self.rounding = rounding
        self.on_duplicate = on_duplicate
        self.as_of = as_of
        self.max_rejected = max_rejected
        self.warn_rejected = warn_rejected
        self.verify_echo = verify_echo
        self.concurrency = concurrency
        self.rejects_path = rejects_path
        self.dry_run = dry_run
        self.date_won_default = date_won_default
        self.defer_after = defer_after
        self.changes_only = changes_only
        self.retry_rejected = retry_rejected
        self.ledger_conn_id = ledger_conn_id
        self.guardrails = guardrails
        self.capture_before = capture_before
        self.upload_after = upload_after
        self.budget_share = budget_share
        self.backfill_budget_share = backfill_budget_share
        self.daily_share = daily_share

    def argument_checks(self) -> Mapping[str, Check | None]:
        """Return the check of each argument by its name; a subclass adds those of its own."""
        from airflow_provider_crm.sync.arguments import WRITING

        return WRITING

    @property
    def sends(self) -> bool:
        """Whether the task writes: False in a dry run. Read it only after the arguments were checked."""
        return not self.dry_run

    def frames(self, context: Context) -> Iterator[pd.DataFrame]:
        """Return the rows, chunk by chunk."""
        raise NotImplementedError

    def is_in_memory(self) -> bool:
        """Return whether all rows are in memory; else they are read ahead, so that their source is closed early."""
        return False

    def total_rows(self) -> int | None:
        """Return the number of rows, or None where it is not known before they are read."""
        return None

    def source(self, segment: Segment) -> Source:
        """Open the source of the rows: the frames, unless a subclass has another."""
        from airflow_provider_crm.sync.sources import FrameSource

        return FrameSource(
            lambda: self.frames(segment.context),
            segment.column_rules(),
            segment.data_time,
            id_field=segment.settings.id_field,
            on_missing=segment.settings.on_missing,
            in_memory=self.is_in_memory(),
            total=self.total_rows(),
        )

    def source_query(self) -> tuple[DbApiHook, str, str] | None:
        """Return hook, SQL and connection id of the query that the rows come from, for lineage; else None."""
        return None

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any]:
        """Return the task's inputs when it starts; its account is known only later."""
        return self.get_openlineage_facets_on_complete(None)

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any]:  # noqa: ARG002 - part of OpenLineage's interface
        """Return the task's inputs and outputs when it has ended, also by a failure."""
        from airflow_provider_crm.openlineage import run_lineage

        return run_lineage(self.source_query(), self.fields, self._written)

    def session_for(self, account: Account) -> Session:
        """Return the session of one run; a subclass may give it other retry rules or another clock."""
        from airflow_provider_crm.hooks.sessions import open_session

        return open_session(account, defer_after=self.defer_after, budget=self._budget())

    def perform(self, run: TaskRun) -> dict[str, Any]:
        """Do the operator's work, as far as it can be done now; return the task's result.

        Raises:
            CrmError: It could not be done, or not even begun.
        """
        from airflow_provider_crm.sync.row_run import RowRun

        row_run = RowRun(run)
        with closing(self.source(run.segment)) as source, self.session_for(run.segment.account) as session:
            result = row_run.write(source, session)
        if result.wait is not None:
            self._defer(run, str(result.stopped or "The CRM is down."), result.wait, result.deferral)
        self._conclude(run, result)
        return result.report.to_dict()

    def _conclude(self, run: TaskRun, result: RunResult) -> None:
        """Announce the written asset; or store the report and fail the task, if rows did not land or were not read."""
        from airflow_provider_crm.assets import announce
        from airflow_provider_crm.operators.failures import failure_of

        report = result.report
        self._written = report.to_dict() if self.sends else None
        failure = failure_of(result, run.segment.settings)
        if failure is not None:
            run.push_report(report.to_dict())
            raise failure
        if self.sends:
            announce(
                run.segment.context,
                self.outlets,
                account=report.account,
                extra={
                    "run_key": report.run_key,
                    "rows": report.rows,
                    "outcomes": dict(report.outcomes),
                    "warnings": list(report.warnings),
                },
            )

    def _budget(self) -> Budget:
        """Return the part of the vendor's rate limit that the run may use."""
        return self._segment.budget()
