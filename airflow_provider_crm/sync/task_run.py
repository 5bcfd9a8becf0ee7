"""Run one segment of a task, from its start or a deferral to its end or the next deferral."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

from airflow_provider_crm.exceptions import LedgerUnavailableError, SourceUnreadableError, UploadRunningError
from airflow_provider_crm.hooks.connection import crm_account
from airflow_provider_crm.hooks.sessions import Account, Budget, budget_of
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.report.limit_lines import limit_lines
from airflow_provider_crm.report.warnings import Warnings
from airflow_provider_crm.sync.deferral import outage_wait
from airflow_provider_crm.sync.ends import ending
from airflow_provider_crm.sync.run_context import RunContext
from airflow_provider_crm.sync.run_identity import data_time_of_run, run_key
from airflow_provider_crm.sync.spans import span
from airflow_provider_crm.values.opportunity import WRITTEN

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import Logger

    from airflow_provider_crm.budget.usage import BudgetUse
    from airflow_provider_crm.exceptions import CrmError, TransientError
    from airflow_provider_crm.hooks.sessions import Session
    from airflow_provider_crm.rows.rules import ColumnRules
    from airflow_provider_crm.sync.data_time import DataTime
    from airflow_provider_crm.sync.deferral import DeferralState
    from airflow_provider_crm.sync.ledger_access import LedgerAccess
    from airflow_provider_crm.sync.run_context import Source
    from airflow_provider_crm.sync.settings import Settings


@dataclass(frozen=True)
class Segment:
    """A segment of a task when it begins; its connection is read when it is first needed.

    Attributes:
        settings: The task's arguments.
        context: Airflow's context.
        deferral: The state from before a deferral; an empty one in the first segment.
        ledger: The ledger's database.
        log: The task's log.
    """

    settings: Settings
    context: Context
    deferral: DeferralState
    ledger: LedgerAccess
    log: Logger

    @cached_property
    def account(self) -> Account:
        """The account that the connection leads to.

        Raises:
            ConfigurationError: If the connection is wrong.
        """
        settings = self.settings
        return crm_account(settings.crm_conn_id, settings.ledger_conn_id)

    @cached_property
    def data_time(self) -> DataTime:
        """The data time of the run."""
        return data_time_of_run(self.context, dt.datetime.now(dt.UTC))

    @property
    def run_key(self) -> str:
        """The name of the run."""
        return run_key(self.context)

    @property
    def resumed(self) -> bool:
        """Whether the task was deferred before."""
        return bool(self.deferral.report)

    @property
    def timezone(self) -> str | None:
        """The IANA zone of the run, or None if neither the task nor its connection names one."""
        return self.settings.timezone or self.account.timezone

    @cached_property
    def push_rules(self) -> PushRules:
        """The rules by which rows are written.

        Raises:
            ConfigurationError: If an argument is wrong.
        """
        settings = self.settings
        return PushRules(
            timezone=self.timezone,
            verify_echo=settings.verify_echo,
            concurrency=settings.concurrency,
            date_won_default=settings.date_won_default,
            resumed=self.context["ti"].try_number > 1 or self.deferral.resends_failed_rows,
            interval_end=self.data_time.as_of if self.data_time.exclusive else None,
            changes_only=settings.changes_only,
            retry_rejected=settings.retry_rejected,
            capture_before=settings.capture_before,
            upload_after=settings.upload_after,
        )

    def column_rules(self) -> ColumnRules:
        """Return which column goes to which field, and how cells are read.

        Raises:
            ConfigurationError: If an argument about columns is wrong.
        """
        return self.settings.column_rules(self.timezone)

    def budget(self) -> Budget:
        """Return the part of the vendor's rate limits that the run may use, shared through the ledger if it writes."""
        settings = self.settings
        is_backfill = self.context["dag_run"].run_type == "backfill"
        share = settings.backfill_budget_share if is_backfill else settings.budget_share
        return budget_of(share, settings.daily_share, self.ledger.database if settings.sends else None)


class TaskRun:
    """One segment of a task while it runs.

    Args:
        segment: The segment as it begins.

    Attributes:
        segment: The same.
        warnings: Sentences that a person should read; any part of the run adds some.
        result: What the segment has reported so far: the report of its rows, or its plan.
        all_tries: Rows by outcome of the whole run, where earlier tries had a part in it.
        applies_plan: Whether it applies a plan, or takes a run back.
        stopped: The error that ended the segment before its last row, or None.
        in_ledger: Whether the ledger knows the run.
    """

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.result: Mapping[str, Any] = {}
        self.all_tries: Mapping[str, int] | None = None
        self.applies_plan = False
        self.stopped: Exception | None = None
        self.in_ledger = False
        self.warnings = Warnings(segment.log.warning, segment.deferral.report.get("warnings", ()))
        self._started = time.monotonic()
        self._session: Session | None = None
        self._keeps_reads = True
        self._reported = False

    @property
    def calls(self) -> int:
        """Number of HTTP calls so far, including those before a deferral."""
        return self.segment.deferral.calls + (0 if self._session is None else self._session.calls)

    @property
    def seconds(self) -> float:
        """Seconds that the task ran so far, including those before a deferral."""
        return self.segment.deferral.seconds + time.monotonic() - self._started

    @property
    def waited_seconds(self) -> float:
        """Seconds of this segment in which the task waited."""
        return 0.0 if self._session is None else self._session.waiting.seconds

    def budget_used(self, session: Session) -> BudgetUse:
        """Return what was used of the vendor's rate limit, including the time before a deferral."""
        return session.used().after(self.segment.deferral.report.get("budget"))

    def log_limits(self, session: Session) -> None:
        """Log what was used of the vendor's limits, and what is left of the day."""
        for line in limit_lines(self.budget_used(session)):
            self.segment.log.info(line)

    @contextmanager
    def open_context(self, source: Source, session: Session) -> Iterator[RunContext]:
        """Read the catalogue of the account, and note in the ledger that a try of the run begins.

        Args:
            source: The source of the rows.
            session: The session to write with.
        """
        self._session = session
        segment, ledger_access = self.segment, self.segment.ledger
        run_key, sends = segment.run_key, segment.settings.sends
        with span("crm.catalogue"):
            catalogue = session.catalogue((*source.names, *filter(None, (segment.settings.id_field,))))
        account = ledger_access.account_name(session, catalogue, note=sends)
        run_context = RunContext(session, catalogue, account, segment.push_rules, run_key, warnings=self.warnings)
        if not sends or ledger_access.database is None:
            yield run_context
            return
        ledger = ledger_access.open_ledger(session, catalogue, account, run_key)
        ledger.open(segment.data_time.as_of, resumed=segment.resumed)
        self.in_ledger = True
        keys = {key for name in source.names if name in catalogue.fields for key in catalogue.fields[name].keys}
        reads = ledger_access.plan_reads(account, run_key, catalogue, keys, resumed=segment.resumed)
        self._keeps_reads = reads.lasting
        try:
            yield replace(run_context, ledger=ledger, reads=reads)
        finally:
            reads.close()

    def report_earlier(self, err: CrmError) -> None:
        """Store in XCom the report from before a deferral, if the resumed task ends before it has its rows."""
        if not self._reported and "outcomes" in self.segment.deferral.report:
            self.in_ledger = self.segment.settings.sends and self.segment.ledger.database is not None
            self.result = {**self.state_so_far().report, "ended_early": ending(err)}
            self.push_last_report(self.result)

    def push_report(self, report: Mapping[str, Any]) -> None:
        """Store a report in XCom now, as Airflow does not for a task that fails; not with `do_xcom_push=False`."""
        self._reported = True
        if self.segment.settings.do_xcom_push:
            self.segment.context["ti"].xcom_push(key="return_value", value=dict(report))

    def push_last_report(self, report: Mapping[str, Any]) -> None:
        """Store the report of a task that another error ends; a failure to store it is logged, never raised."""
        try:
            self.push_report(report)
        except (AirflowException, AirflowRuntimeError, OSError, EOFError) as err:
            self.segment.log.warning("The report could not be stored in XCom: %s", err)

    def state_so_far(self) -> DeferralState:
        """Return the state to keep if the task can do nothing more for now."""
        report = {**self.segment.deferral.report, "calls": self.calls, "seconds": self.seconds}
        if self._session is not None:
            report["budget"] = self.budget_used(self._session).to_dict()
        return replace(self.segment.deferral, report=report)

    def wait_for(self, err: TransientError) -> tuple[float, DeferralState] | None:
        """Return the seconds to wait and the state to keep, for a task that could not even begin with its rows.

        Args:
            err: The error that prevented it.

        Returns:
            None if waiting would not help, or has lasted long enough.
        """
        if not self._keeps_reads or isinstance(err, (LedgerUnavailableError, SourceUnreadableError)):
            return None
        waits = isinstance(err, UploadRunningError) or (err.retry_after or 0.0) > self.segment.settings.defer_after
        if err.retry_after is not None and waits:
            return err.retry_after, replace(self.state_so_far(), outages=0)
        outages = self.segment.deferral.outages
        wait = self.outage_wait(outages)
        return None if wait is None else (wait, replace(self.state_so_far(), outages=outages + 1))

    def outage_wait(self, outages: int, *, landed: bool = False) -> float | None:
        """Return the seconds to wait for a vendor that is down.

        Args:
            outages: Number of times in a row that the task has waited for it.
            landed: Whether a row has landed in this segment.

        Returns:
            None if the vendor has been down for too long, or never answered.
        """
        segment = self.segment
        # A host that never answered may be a wrong one, which is reported at once.
        landed = landed or any(word in segment.deferral.report.get("outcomes", {}) for word in WRITTEN)
        has_answered = landed or (segment.settings.sends and segment.ledger.has_seen_host(segment.account))
        return outage_wait(outages) if has_answered else None
