"""The context of a run: the session, the account and the ledger that its rows are written with."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_crm.report.warnings import Warnings

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.guardrails.measure import ImpactEstimate
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.plan.planner import Planner
    from airflow_provider_crm.plan.reads import PlanReads
    from airflow_provider_crm.push.rules import PushRules
    from airflow_provider_crm.vendors.catalogue import Catalogue

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunContext:
    """What is known of a run before its rows are read.

    Attributes:
        session: Where the CRM is.
        catalogue: What the account offers.
        account: Name of the account, as in the ledger.
        rules: How rows are written.
        run_key: Name of the run.
        ledger: What was acknowledged so far; None in a dry run, or without a ledger.
        reads: Where a plan keeps what it has read; None likewise.
        began: Monotonic seconds at which the rows are begun.
        warnings: What a person should know of the run; whoever finds something adds a sentence.
    """

    session: Session
    catalogue: Catalogue
    account: str
    rules: PushRules
    run_key: str
    ledger: Ledger | None = None
    reads: PlanReads | None = None
    began: float = field(default_factory=time.monotonic)
    warnings: Warnings = field(default_factory=lambda: Warnings(_log.warning))

    def measured(self, names: Sequence[str]) -> ImpactEstimate:
        """What the run would do, before anything is counted.

        Args:
            names: The fields that the rows are mapped to.
        """
        from airflow_provider_crm.guardrails.measure import ImpactEstimate

        return ImpactEstimate(names, self.session.account.vendor, self.catalogue, self.rules)

    def planner(self) -> Planner:
        """What makes a plan, where it is known that there is a ledger: plans were refused before if not."""
        from airflow_provider_crm.plan.planner import Planner

        if self.ledger is None or self.reads is None:
            raise TypeError(self.run_key)
        return Planner(self.session, self.catalogue, self.rules, self.ledger, self.reads)
