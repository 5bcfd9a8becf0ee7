"""What every operator that writes opportunities has in common: its arguments, and what Airflow is told.

Airflow imports this for every parse of a DAG file, so what only a running task needs is imported where the task runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_crm.exceptions import AuthenticationError, ConfigurationError, CrmError, TransientError
from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER
from airflow_provider_crm.operators.links import CrmRunLink
from airflow_provider_crm.values.opportunity import NULL_VALUES

if TYPE_CHECKING:
    import pandas as pd
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from airflow_provider_crm.budget.pacer import Budget
    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.guardrails.limits import Guardrails
    from airflow_provider_crm.openlineage import SourceLineage
    from airflow_provider_crm.report.report import SyncReport
    from airflow_provider_crm.report.tolerance import Tolerance
    from airflow_provider_crm.rows import ColumnRules
    from airflow_provider_crm.sync.arguments import Check
    from airflow_provider_crm.sync.deferral import DeferralState
    from airflow_provider_crm.sync.ledger_access import LedgerAccess
    from airflow_provider_crm.sync.sources import Source
    from airflow_provider_crm.sync.task_run import TaskRun
    from airflow_provider_crm.values.opportunity import OutcomeWord

Flag: TypeAlias = Any
"""True or False, or a template that renders to one of them; a boolean once the arguments were checked."""

_LONGEST_DEFERRAL = 86_400.0


class OpportunityOperator(BaseOperator):
    """What every operator that writes opportunities has in common: all but where the rows come from.

    All arguments are keyword-only; each is checked when the task runs, before the first call.

    Args:
        crm_conn_id: Connection of type `close` or `raze`; its type chooses the vendor.
        id_column: Column with the vendor's id of the opportunity; one row per opportunity.
        fields: Field by column: a canonical name (`deal_value` in major units, `deal_currency`, `stage`, `date_won`,
            `notes`, `responsible_user_id`) or the vendor's own.
        timezone: IANA zone in which dates are meant; default: the connection's. Without either, a date is never cut
            from a point in time.
        nulls: What a missing value means: "skip" leaves the field alone, "clear" empties it, "error" refuses the row;
            or one of these by column.
        null_values: Texts that are missing values, compared without surrounding white space; default: empty text and
            what only a tool writes, such as `nan` and `None`, see `NULL_VALUES`. `[]` writes all text as it stands.
        rounding: How money is rounded, once, to the vendor's decimal places: "half-even", "half-up", "half-down",
            "up", "down", "ceiling" or "floor"; or "refuse", which takes no amount that would have to be rounded.
        on_duplicate: Two rows of one id: "error" refuses both, "last" writes the later.
        as_of: Column with the data time of each row; default: that of the run, see `data_time`.
        max_rejected: Rows that may fail before the task does: a count (a whole number) or a fraction (a float below 1).
        verify_echo: Compare the record that comes back with what was sent; a difference is the outcome `ignored`.
        concurrency: Rows in flight at once, at most; 1 to 64. How many there are is found on the way: as many as
            latency, budget and vendor bear.
        rejects_path: File of all rows that did not land, `.csv`, `.jsonl` or `.parquet`, on any object store.
        dry_run: Make every check and log the calls, send none that writes.
        date_won_default: In a run whose data is more than a day old, what a won stage without a date means: "server"
            (the vendor's today) or "as_of" (the date of the data). Left out, such a row is refused.
        defer_after: Seconds; a vendor that asks for a longer wait defers the task, which frees its worker slot.
        changes_only: Send only what the CRM is not known to hold already.
        retry_rejected: Send also the very values that the CRM has refused before.
        ledger_conn_id: Connection to the ledger's database; default: what `[crm] ledger_conn_id` names, else a SQLite
            file in the Airflow home. None goes without: every row is sent, and old data can overwrite newer.
        guardrails: Limits to what the run may do, checked before the first call that writes.
        capture_before: Read a record before it is written for the first time (one call more), so that
            `RevertOpportunityUpdatesOperator` can put back what stood there.
        budget_share: Part of the vendor's limit that all runs on one key together may use; the rest is left to people
            and other programs.
        backfill_budget_share: The same for a run of a backfill, which so leaves room to the runs of today.
    """

    template_fields: Sequence[str] = (
        "crm_conn_id",
        "id_column",
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
    _written: SyncReport | None = None
    _writing = False
    _ledger: LedgerAccess
    _share: float

    def __init__(
        self,
        *,
        crm_conn_id: str,
        id_column: str,
        fields: Mapping[str, str] | None,
        timezone: str | None = None,
        nulls: str | Mapping[str, str] = "skip",
        null_values: Collection[str] = NULL_VALUES,
        rounding: str = "half-even",
        on_duplicate: str = "error",
        as_of: str | None = None,
        max_rejected: float = 0,
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
        budget_share: float = 0.9,
        backfill_budget_share: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.crm_conn_id = crm_conn_id
        self.id_column = id_column
        self.fields: Any = fields
        self.timezone = timezone
        self.nulls = nulls
        self.null_values = null_values
        self.rounding = rounding
        self.on_duplicate = on_duplicate
        self.as_of = as_of
        self.max_rejected = max_rejected
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
        self.budget_share = budget_share
        self.backfill_budget_share = backfill_budget_share

    @property
    def sends(self) -> bool:
        """Whether the task writes at all; known once its arguments were checked."""
        return not self.dry_run

    def argument_checks(self) -> Mapping[str, Check]:
        """The check of each argument, by its name; a subclass adds those of its own."""
        from airflow_provider_crm.sync.arguments import WRITING

        return WRITING

    def frames(self, context: Context) -> Iterator[pd.DataFrame]:
        """The rows, chunk by chunk."""
        raise NotImplementedError

    def is_in_memory(self) -> bool:
        """Whether all rows are in memory already; else they are read ahead, so that their source is closed early."""
        return False

    def total_rows(self) -> int | None:
        """How many rows there are, where that is known without reading them; else None."""
        return None

    def source(self, run: TaskRun) -> Source:
        """Where the rows come from: the frames, or what a subclass has instead."""
        from airflow_provider_crm.rows import load_pandas
        from airflow_provider_crm.sync.read_ahead import ReadAhead
        from airflow_provider_crm.sync.sources import FrameSource, mapped_columns

        if run.data_time.doubt and self.as_of is None:
            run.warnings.add(run.data_time.doubt)
        columns = self._columns(run.timezone)
        frames: Iterator[pd.DataFrame]
        if self.is_in_memory():
            frames = self.frames(run.context)
        else:
            load_pandas()
            frames = run.at_end.enter_context(ReadAhead(lambda: mapped_columns(self.frames(run.context), columns)))
        return FrameSource(frames, columns, run.data_time.as_of)

    def failures(self) -> frozenset[OutcomeWord]:
        """The outcomes that count as failures: all of them, but that a dry run sends nothing."""
        from airflow_provider_crm.values.opportunity import FAILURES, OutcomeWord

        return FAILURES if self.sends else FAILURES - {OutcomeWord.NOT_SENT}

    def source_lineage(self) -> SourceLineage:
        """Where the rows come from, for OpenLineage; a frame or a list does not tell."""
        from airflow_provider_crm.openlineage import SourceLineage

        return SourceLineage()

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any]:
        """What OpenLineage asks for when the task starts: its inputs, as the account is known only later."""
        return self.get_openlineage_facets_on_complete(None)

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any]:  # noqa: ARG002 - part of OpenLineage's interface
        """What OpenLineage asks for when the task has ended, also by a failure."""
        from airflow_provider_crm.openlineage import run_lineage

        return run_lineage(self.source_lineage(), self.fields, self._written)

    def session_for(self, account: Account) -> Session:
        """The session of one run; a subclass may give it other retry rules or another clock."""
        from airflow_provider_crm.client.session import RetryRules, Session

        return Session(account, retry=RetryRules(defer_after=self.defer_after), budget=self._budget())

    def execute(self, context: Context) -> dict[str, Any]:
        """Write the rows.

        Returns:
            The report, which is also in XCom when the task fails.

        Raises:
            AirflowFailException: The set-up is wrong, or too many rows failed for good: a retry would not help.
            AirflowException: Too many rows failed, some of them for reasons that pass.
        """
        from airflow_provider_crm.sync.deferral import DeferralState

        return self._stretch(context, DeferralState())

    def resume(
        self,
        context: Context,
        *,
        settled: str,
        report: dict[str, Any] | None,
        outages: int = 0,
        doubtful: bool = False,
        event: object = None,  # noqa: ARG002 - what the trigger passes
    ) -> dict[str, Any]:
        """Go on after a deferral; the arguments are those of `DeferralState`.

        Args:
            context: Airflow's.
            settled: The rows that were settled before.
            report: The report of what was done before.
            outages: How often in a row the vendor was down.
            doubtful: Whether rows are sent again of which nobody knows whether they landed.
            event: What the trigger passes; not needed.
        """
        from airflow_provider_crm.sync.deferral import DeferralState

        return self._stretch(context, DeferralState(settled, report or {}, outages, doubtful))

    def perform(self, run: TaskRun) -> dict[str, Any]:
        """Do what the operator is for, as far as it can be done now; returns the task's result.

        Raises:
            CrmError: It could not be done, or not even begun.
        """
        from airflow_provider_crm.report.tolerance import Tolerance
        from airflow_provider_crm.sync.metrics import count_run, metric_tags, time_waits
        from airflow_provider_crm.sync.row_run import RowRun
        from airflow_provider_crm.sync.spans import describe_run

        tolerance = Tolerance(self.max_rejected)
        ended = RowRun(run).write()
        describe_run(ended.report)
        tags = metric_tags(run.context, ended.report.vendor)
        time_waits(run.waited_seconds, tags)
        if ended.wait is not None:
            self._defer(f"{ended.report.summary()}; {ended.stopped or 'the CRM is down.'}", ended.wait, ended.carried)
        count_run(ended.report, tags)
        self._conclude(run, ended.report, ended.stopped, tolerance)
        return ended.report.to_dict()

    def on_kill(self) -> None:
        """End the run in order where Airflow's handler of SIGTERM calls this, which is in the midst of it.

        A worker has five seconds then, and Airflow retries the task if it still is its to run.
        """
        if self._writing:
            self._writing = False
            msg = "The task was told to end (SIGTERM) before it had gone through all rows."
            raise SystemExit(msg)

    def _stretch(self, context: Context, carried: DeferralState) -> dict[str, Any]:
        """Run until the end, or until the next deferral; errors become Airflow's."""
        from airflow_provider_crm.sync.gc_tuning import freeze_imports
        from airflow_provider_crm.sync.ledger_access import LedgerAccess
        from airflow_provider_crm.sync.spans import span
        from airflow_provider_crm.sync.task_run import TaskRun

        self.take_arguments()
        self._ledger = LedgerAccess(self.ledger_conn_id)
        run = TaskRun(self, context, carried, self._ledger)
        try:
            self._share = self._budget_share(context)
            self._writing = True
            with freeze_imports(), span("crm.run"):
                return self.perform(run)
        # The sentence says all: a second traceback above Airflow's own would only hide it.
        except ConfigurationError as err:
            run.report_earlier(err)
            raise AirflowFailException(self._advised(str(err), err)) from None
        except TransientError as err:
            wait = run.wait_for(err)
            if wait is None:
                run.report_earlier(err)
                raise AirflowException(str(err)) from None
            return self._defer(str(err), *wait)
        except CrmError as err:
            run.report_earlier(err)
            raise AirflowException(str(err)) from None
        finally:
            self._writing = False
            run.at_end.close()
            self._ledger.close()

    def take_arguments(self) -> None:
        """Check all arguments, and keep them as the checks return them: rendered text becomes what it stands for.

        Raises:
            AirflowFailException: Some are wrong; it names them all.
        """
        from airflow_provider_crm.sync.arguments import check_arguments

        checks = self.argument_checks()
        try:
            accepted = check_arguments(checks, {name: getattr(self, name) for name in checks})
        except ConfigurationError as err:
            raise AirflowFailException(str(err)) from None
        for name, value in accepted.items():
            setattr(self, name, value)

    def _defer(self, why: str, seconds: float, carried: DeferralState) -> NoReturn:
        """Free the worker slot until the vendor can be asked again."""
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        self.log.info("%s The task is deferred for %.0f seconds.", why, seconds)
        delay = timedelta(seconds=min(seconds, _LONGEST_DEFERRAL))
        self.defer(trigger=TimeDeltaTrigger(delay), method_name="resume", kwargs=carried.resume_arguments())

    def _budget_share(self, context: Context) -> float:
        """The part of the vendor's limit that this run may use."""
        is_backfill = context["dag_run"].run_type == "backfill"
        return self.backfill_budget_share if is_backfill else self.budget_share

    def _budget(self) -> Budget:
        """What the run may use, shared through the ledger's database if there is one."""
        from airflow_provider_crm.budget.pacer import Budget
        from airflow_provider_crm.clock import Clock

        engine = self._ledger.engine if self.sends else None
        if engine is None:
            return Budget(self._share)
        from airflow_provider_crm.budget.store import BudgetStore

        return Budget(self._share, BudgetStore(engine, Clock()))

    def _advised(self, message: str, err: Exception | None) -> str:
        """The message with the connection to look at, if the vendor refused its key."""
        refused = isinstance(err, AuthenticationError)
        return f"{message} Check the key in connection {self.crm_conn_id!r}." if refused else message

    def _columns(self, timezone: str | None) -> ColumnRules:
        from airflow_provider_crm.rows import ColumnRules
        from airflow_provider_crm.values.conversion import ValueRules

        return ColumnRules(
            id_column=self.id_column,
            fields=self.fields,
            nulls=self.nulls,
            null_values=self.null_values,
            on_duplicate=self.on_duplicate,
            as_of=self.as_of,
            values=ValueRules(timezone=timezone, rounding=self.rounding),
        )

    def _conclude(self, run: TaskRun, report: SyncReport, stopped: Exception | None, tolerance: Tolerance) -> None:
        """Store the report, then fail the task if rows did not land, or were not read."""
        from airflow_provider_crm.assets import announce
        from airflow_provider_crm.values.opportunity import TRANSIENT_FAILURES

        self._written = report if self.sends else None
        failed = [word for word in self.failures() if report.count(word)]
        if stopped is not None or tolerance.exceeded(report.count(*failed), report.rows):
            run.push_report(report.to_dict())
            if isinstance(stopped, AirflowException):
                raise stopped
            passes = isinstance(stopped, TransientError) or not TRANSIENT_FAILURES.isdisjoint(failed)
            message = self._failure_message(report, stopped)
            if isinstance(stopped, ConfigurationError) or not passes:
                raise AirflowFailException(message)
            raise AirflowException(message)
        if self.sends:
            announce(run.context, self.outlets, report)
        self.log.info("%s in %.1f s with %d calls.", report.summary(), report.seconds, report.calls)

    def _failure_message(self, report: SyncReport, stopped: Exception | None) -> str:
        """Why the task fails, and what became of its rows."""
        if stopped is None or report.ended_early is not None or report.count(*self.failures()):
            return self._advised(report.failure_text(), stopped)
        return self._advised(f"{stopped} {report.summary()}.", stopped)
