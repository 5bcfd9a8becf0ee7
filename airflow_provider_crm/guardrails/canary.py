"""Find out from the reports of a run whether its canary has passed already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.push.canary import CANARY
from airflow_provider_crm.values.opportunity import TRANSIENT_FAILURES, WRITTEN

if TYPE_CHECKING:
    from airflow_provider_crm.guardrails.limits import Guardrails
    from airflow_provider_crm.ledger.ledger import Ledger


def canary_rows(guardrails: Guardrails | None, deferred: Mapping[str, Any], ledger: Ledger | None) -> int | None:
    """Return the number of rows that have to land before the others are sent; None if all may be sent at once.

    Rows of the run that have landed before a deferral, or in a try that ended before its last row, were the canary. A
    try after one that came to its end is no retry: the task was cleared, maybe to write other values.

    Args:
        guardrails: Of the task.
        deferred: The report from before a deferral; empty if there was none.
        ledger: Knows the earlier tries; None if nothing does.
    """
    rows = None if guardrails is None else guardrails.canary_rows
    if rows is None or _landed(deferred) >= rows:
        return None
    earlier = [] if ledger is None else ledger.earlier_reports()
    return None if any(_landed(report) >= rows and _is_retried(report) for report in earlier) else rows


def _landed(report: Mapping[str, Any]) -> int:
    outcomes = report.get("outcomes") or {}
    return sum(outcomes.get(word.value, 0) for word in WRITTEN)


def _is_retried(report: Mapping[str, Any]) -> bool:
    """Return whether a try left rows to another one, and not because its canary failed."""
    if CANARY in {cause["code"] for cause in report.get("causes") or ()}:
        return False
    outcomes = report.get("outcomes") or {}
    return report.get("ended_early") is not None or any(outcomes.get(word.value) for word in TRANSIENT_FAILURES)
