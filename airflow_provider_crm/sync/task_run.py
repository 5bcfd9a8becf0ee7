"""One stretch of one task: from its start, or from a deferral, to its end or to the next one."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

from airflow_provider_crm.exceptions import LedgerUnavailableError, SourceUnreadableError
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.report.progress import Waits
from airflow_provider_crm.report.warnings import Warnings
from airflow_provider_crm.sync.deferral import outage_wait
from airflow_provider_crm.sync.ends import ending
from airflow_provider_crm.sync.run_context import RunContext
from airflow_provider_crm.sync.run_identity import data_time_of_run, run_key
from airflow_provider_crm.sync.spans import span
from airflow_provider_crm.values.opportunity import OutcomeWord

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_crm.budget.usage import BudgetUse
    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.exceptions import CrmError, TransientError
    from airflow_provider_crm.operators.opportunity_operator import OpportunityOperator
    from airflow_provider_crm.push.rules import PushRules
    from airflow_provider_crm.sync.data_time import DataTime
    from airflow_provider_crm.sync.deferral import DeferralState
    from airflow_provider_crm.sync.ledger_access import LedgerAccess
    from airflow_provider_crm.sync.sources import Source


class TaskRun:
    """What a task works with while it runs, beside its arguments.

    Args:
        task: The operator.
        context: Airflow's.
        carried: What is known from before a deferral.
        ledger: The ledger's database.

    Attributes:
        key: Name of the run.
        resumed: Whether the task goes on after a deferral.
        warnings: What a person should know of the run; whoever finds something adds a sentence.
        at_end: Closes what is open when the task ends, or is deferred.
    """

    def __init__(
        self, task: OpportunityOperator, context: Context, carried: DeferralState, ledger: LedgerAccess
    ) -> None:
        self.task = task
        self.context = context
        self.carried = carried
        self.ledger = ledger
        self.key = run_key(context)
        self.resumed = bool(carried.report)
        self.at_end = ExitStack()
        self.warnings = Warnings(task.log.warning, carried.report.get("warnings", ()))
        self._started = time.monotonic()
        self._account: Account | None = None
        self._session: Session | None = None
        self._waits: Waits | None = None
        self._keeps_reads = True
        self._reported = False

    @property
    def account(self) -> Account:
        """Whom the connection leads to; it is read once.

        Raises:
            ConfigurationError: If it is wrong.
        """
        if self._account is None:
            task = self.task
            self._account = CrmHook.for_connection(task.crm_conn_id, ledger_conn_id=task.ledger_conn_id).account()
        return self._account

    @cached_property
    def data_time(self) -> DataTime:
        """The moment that the run's data is of."""
        return data_time_of_run(self.context, dt.datetime.now(dt.UTC))

    @property
    def timezone(self) -> str | None:
        """IANA zone of the run, or None when nobody named one."""
        return self.task.timezone or self.account.timezone

    @property
    def calls(self) -> int:
        """HTTP calls so far, those before a deferral included."""
        return self.carried.calls + (0 if self._session is None else self._session.calls)

    @property
    def seconds(self) -> float:
        """Seconds that the task ran so far, likewise."""
        return self.carried.seconds + time.monotonic() - self._started

    @property
    def waited_seconds(self) -> float:
        """Seconds of this stretch in which the task waited."""
        return 0.0 if self._waits is None else self._waits.seconds

    def budget_used(self, session: Session) -> BudgetUse:
        """What was used of the vendor's budget, likewise."""
        return session.used(waited=self.waited_seconds).after(self.carried.report.get("budget"))

    def rules(self) -> PushRules:
        """How rows are written.

        Raises:
            ConfigurationError: If an argument is wrong.
        """
        from airflow_provider_crm.push.rules import PushRules

        task = self.task
        return PushRules(
            timezone=self.timezone,
            verify_echo=task.verify_echo,
            concurrency=task.concurrency,
            date_won_default=task.date_won_default,
            resumed=self.context["ti"].try_number > 1 or self.carried.doubtful,
            interval_end=self.data_time.as_of if self.data_time.exclusive else None,
            changes_only=task.changes_only,
            retry_rejected=task.retry_rejected,
            capture_before=task.capture_before,
        )

    @contextmanager
    def work(self, source: Source, rules: PushRules) -> Iterator[RunContext]:
        """Open the session, learn what the account offers, and note in the ledger that a try of the run begins."""
        with self.task.session_for(self.account) as session:
            self._session, self._waits = session, Waits(session.clock)
            session.clock = self._waits.clock
            with span("crm.catalogue"):
                catalogue = session.catalogue(source.names)
            name = self.ledger.account_name(session, catalogue, note=self.task.sends)
            if not self.task.sends or self.ledger.engine is None:
                yield RunContext(session, catalogue, name, rules, self.key, warnings=self.warnings)
                return
            ledger = self.ledger.open_ledger(session, catalogue, name, self.key)
            ledger.open(self.data_time.as_of, resumed=self.resumed)
            keys = {catalogue.fields[field].target for field in source.names if field in catalogue.fields}
            reads = self.ledger.plan_reads(name, self.key, catalogue, keys, resumed=self.resumed)
            self._keeps_reads = reads.lasting
            try:
                yield RunContext(session, catalogue, name, rules, self.key, ledger, reads, warnings=self.warnings)
            finally:
                reads.close()

    def report_earlier(self, err: CrmError) -> None:
        """Store in XCom what was reported before a deferral, if the task goes on and ends before it has its rows."""
        if not self._reported and "outcomes" in self.carried.report:
            self.push_last_report({**self.so_far().report, "ended_early": ending(err)})

    def push_report(self, report: Mapping[str, Any]) -> None:
        """Store a report in XCom now, as Airflow does not for a task that fails; not with `do_xcom_push=False`."""
        self._reported = True
        if self.task.do_xcom_push:
            self.context["ti"].xcom_push(key="return_value", value=dict(report))

    def push_last_report(self, report: Mapping[str, Any]) -> None:
        """Store the report of a task that is ending by another error, which is the one to raise if this fails, too."""
        try:
            self.push_report(report)
        except (AirflowException, AirflowRuntimeError, OSError, EOFError) as err:
            self.task.log.warning("The report could not be stored in XCom: %s", err)

    def so_far(self) -> DeferralState:
        """What to carry along if the task can do nothing more for now."""
        told = {**self.carried.report, "calls": self.calls, "seconds": self.seconds}
        if self._session is not None:
            told["budget"] = self.budget_used(self._session).to_dict()
        return replace(self.carried, report=told)

    def wait_for(self, err: TransientError) -> tuple[float, DeferralState] | None:
        """How long to wait, and what to carry along, where a task could not even begin with its rows.

        Args:
            err: Why not.

        Returns:
            None if waiting would not help, or was done for long enough.
        """
        if not self._keeps_reads or isinstance(err, (LedgerUnavailableError, SourceUnreadableError)):
            return None
        if err.retry_after is not None and err.retry_after > self.task.defer_after:
            return err.retry_after, replace(self.so_far(), outages=0)
        wait = self.outage_wait(self.carried.outages)
        return None if wait is None else (wait, replace(self.so_far(), outages=self.carried.outages + 1))

    def outage_wait(self, before: int, *, landed: bool = False) -> float | None:
        """Seconds to wait for a vendor that is down; None if it has been down for too long, or was never up.

        Args:
            before: How often it was waited for already, in a row.
            landed: Whether a row has landed in this stretch.
        """
        # A host that never answered may as well be a wrong one: that is told at once.
        landed = landed or bool(self.carried.report.get("outcomes", {}).get(OutcomeWord.UPDATED))
        known = landed or (self.task.sends and self.ledger.knows(self.account))
        return outage_wait(before) if known else None
