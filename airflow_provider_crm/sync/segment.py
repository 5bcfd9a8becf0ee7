"""One segment of a task, from its start or a deferral to its end or the next deferral, as it begins."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.hooks.sessions import Account, Budget, budget_of
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.sync.run_identity import data_time_of_run, run_key

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import Logger

    from airflow_provider_crm.rows.rules import ColumnRules
    from airflow_provider_crm.sync.data_time import DataTime
    from airflow_provider_crm.sync.deferral import DeferralState
    from airflow_provider_crm.sync.ledger_access import LedgerAccess
    from airflow_provider_crm.sync.settings import Settings


@dataclass(frozen=True)
class Segment:
    """The facts of a segment of a task when it begins; its connection is read when it is first needed.

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
        return CrmHook.for_connection(settings.crm_conn_id, ledger_conn_id=settings.ledger_conn_id).account()

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
        """How rows are written.

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
        )

    def column_rules(self) -> ColumnRules:
        """Return which column goes to which field, and how cells are read.

        Raises:
            ConfigurationError: If an argument about columns is wrong.
        """
        return self.settings.column_rules(self.timezone)

    def budget(self) -> Budget:
        """Return the part of the vendor's rate limit that the run may use, shared through the ledger if it writes."""
        settings = self.settings
        is_backfill = self.context["dag_run"].run_type == "backfill"
        share = settings.backfill_budget_share if is_backfill else settings.budget_share
        return budget_of(share, self.ledger.engine if settings.sends else None)
