"""Store the state of a deferred task, and compute its waits for a vendor that is down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from airflow_provider_crm.exceptions import TransientError
from airflow_provider_crm.report.guardrail_check import GuardrailCheck

FIRST_OUTAGE_WAIT = 300.0
LONGEST_OUTAGE_WAIT = 1_800.0
LONGEST_OUTAGE = 21_600.0
_FORMER_NAMES = {"settled": "finished_rows", "doubtful": "resends_failed_rows"}
"""The arguments of a task that was deferred by a package whose ledger has version 1."""


@dataclass(frozen=True, slots=True)
class DeferralState:
    """The state of a task from before a deferral; empty when it begins.

    Attributes:
        finished_rows: The rows that had their outcome before, as `FinishedRows` writes them; empty where the ledger
            knows them.
        report: The report of the rows before, as `SyncReport.to_dict` writes it, or a part of it.
        outages: Number of times in a row that the vendor was down when the task was woken, or began.
        resends_failed_rows: Whether rows that failed before are sent again, which may have landed.
    """

    finished_rows: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)
    outages: int = 0
    resends_failed_rows: bool = False

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> Self:
        """Return the state that `resume_arguments` wrote, maybe before the package was upgraded.

        Args:
            arguments: The arguments with which Airflow calls `resume`, except for the context and the event.

        Raises:
            TransientError: Another version of the package wrote them; the next try of the task needs none.
        """
        state = {_FORMER_NAMES.get(name, name): value for name, value in arguments.items()}
        unknown = state.keys() - {one.name for one in fields(cls)}
        missing = {"finished_rows", "report"} - state.keys()
        if unknown or missing:
            msg = (
                "The task was deferred by another version of airflow-provider-crm, whose state this version cannot "
                f"read ({', '.join(sorted(unknown | missing))}). Its next try begins with the first row; if it has no "
                "more tries, clear the task."
            )
            raise TransientError(msg)
        report = dict(state["report"] or {})
        if "guardrails" in report:
            report["guardrails"] = [GuardrailCheck.from_dict(one).to_dict() for one in report["guardrails"]]
        return cls(**{**state, "report": report})

    @property
    def calls(self) -> int:
        """Number of calls that were made before."""
        return int(self.report.get("calls", 0))

    @property
    def seconds(self) -> float:
        """Seconds that the task ran before."""
        return float(self.report.get("seconds", 0.0))

    def resume_arguments(self) -> dict[str, Any]:
        """Return the arguments with which Airflow calls `resume` when it wakes the task."""
        return {
            "finished_rows": self.finished_rows,
            "report": dict(self.report),
            "outages": self.outages,
            "resends_failed_rows": self.resends_failed_rows,
        }


def outage_wait(outages: int) -> float | None:
    """Return the seconds to wait for a vendor that is down: 5, 10, 20, then 30 minutes each, within six hours in all.

    Args:
        outages: Number of times in a row that the task has waited for it.

    Returns:
        None if it has been down for too long.
    """
    waits = [min(FIRST_OUTAGE_WAIT * 2.0**number, LONGEST_OUTAGE_WAIT) for number in range(outages + 1)]
    return waits[-1] if sum(waits) <= LONGEST_OUTAGE else None
