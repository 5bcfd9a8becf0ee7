"""What a task carries along while it is deferred, and how long it waits for a vendor that is down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FIRST_OUTAGE_WAIT = 300.0
LONGEST_OUTAGE_WAIT = 1_800.0
LONGEST_OUTAGE = 21_600.0


@dataclass(frozen=True, slots=True)
class DeferralState:
    """What a task knows of its time before a deferral; nothing when it begins.

    Attributes:
        settled: The rows that were finished before, as `FinishedRows` writes them; empty where the ledger knows them.
        report: The report of what was done before, as `SyncReport.to_dict` writes it, or the part of it that there was.
        outages: How often in a row the vendor was down when the task was woken, or began.
        doubtful: Whether rows that failed before are sent again, of which nobody knows whether they landed.
    """

    settled: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)
    outages: int = 0
    doubtful: bool = False

    @property
    def calls(self) -> int:
        """Calls that were made before."""
        return int(self.report.get("calls", 0))

    @property
    def seconds(self) -> float:
        """Seconds that the task ran before."""
        return float(self.report.get("seconds", 0.0))

    def resume_arguments(self) -> dict[str, Any]:
        """What `resume` is called with when the task is woken."""
        return {
            "settled": self.settled,
            "report": dict(self.report),
            "outages": self.outages,
            "doubtful": self.doubtful,
        }


def outage_wait(before: int) -> float | None:
    """Seconds to wait for a vendor that is down: 5, 10, 20, then 30 minutes each, within six hours in all.

    Args:
        before: How often it was waited for already, in a row.

    Returns:
        None if it has been down for too long.
    """
    waits = [min(FIRST_OUTAGE_WAIT * 2.0**number, LONGEST_OUTAGE_WAIT) for number in range(before + 1)]
    return waits[-1] if sum(waits) <= LONGEST_OUTAGE else None
