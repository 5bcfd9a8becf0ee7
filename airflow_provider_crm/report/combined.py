"""Combine the reports of a run's tries into the report of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from airflow_provider_crm.budget.usage import BudgetUse
from airflow_provider_crm.report.verdict import RunFacts, run_verdict
from airflow_provider_crm.values.opportunity import FAILURES, WRITTEN, OutcomeWord

_COUNTED_ONCE = tuple(word.value for word in OutcomeWord if not word.is_failure and not word.is_written)


def combined(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the report of a run from the reports of its tries.

    `updated` is the sum over all tries. Everything else is what the last try reports. A row that was refused and then
    landed is not refused any more. A row that an earlier try wrote is counted once: not again as `unchanged`, nor as
    left alone, such as `stale` where newer data was written since. Where a try ended too early to reach a row, the
    refusal by an earlier try stays. Calls and seconds are summed.

    Args:
        reports: Of all tries, in order; a try that made a plan has what its task returned.
    """
    return reduce(_after, map(dict, reports))


def with_verdict(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the report of a run as `combined` does, with the word of its verdict, as the ledger stores it."""
    report = combined(reports)
    return {**report, "verdict": run_verdict(RunFacts.from_report(report)).word.value}


def _after(before: dict[str, Any], report: dict[str, Any]) -> dict[str, Any]:
    if "outcomes" not in before or "outcomes" not in report:
        return report
    outcomes = _outcomes(before, report)
    budget = report.get("budget")
    return {
        **report,
        "outcomes": outcomes,
        "rows": sum(outcomes.values()),
        "calls": before.get("calls", 0) + report.get("calls", 0),
        "seconds": round(before.get("seconds", 0.0) + report.get("seconds", 0.0), 3),
        "budget": None if budget is None else BudgetUse.from_dict(budget).after(before.get("budget")).to_dict(),
    }


def _outcomes(before: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, int]:
    """Return the rows of all tries by outcome, in the words' order."""
    earlier, last = Counter(before["outcomes"]), Counter(report["outcomes"])
    landed = Counter({word.value: earlier[word.value] for word in WRITTEN})
    counts = last + landed
    repeated = landed.total()
    for word in _COUNTED_ONCE:
        counts[word] -= min(repeated, last[word])
        repeated -= min(repeated, last[word])
    if report.get("ended_early"):
        unreached = max(earlier.total() - last.total(), 0)
        for word in sorted(word.value for word in FAILURES):
            stay = min(earlier[word], unreached)
            counts[word] += stay
            unreached -= stay
    return {word.value: counts[word.value] for word in OutcomeWord if counts[word.value]}
