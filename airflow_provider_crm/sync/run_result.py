"""Define the result of one run of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_crm.report.report import SyncReport
    from airflow_provider_crm.sync.deferral import DeferralState


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run of rows.

    Attributes:
        report: The report of the rows.
        stopped: The error that ended the run before its last row, or None.
        wait: Seconds after which the task is to go on, or None if it is over.
        deferral: The state that it needs then.
    """

    report: SyncReport
    stopped: Exception | None
    wait: float | None
    deferral: DeferralState
