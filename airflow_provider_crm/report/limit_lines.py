"""Describe in sentences, for a task's log, what a run used of the vendor's limits and how the vendor counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_crm.budget.usage import BudgetUse, DayUse, GroupUse

KINDS = {
    "aligned": "windows by the clock",
    "first_call": "windows from their first call",
    "window": "windows",
    "sliding": "sliding windows",
    "bucket": "token bucket",
    "refusals": "known from refusals only",
}
"""The words for people for each kind of limit."""


def limit_lines(use: BudgetUse) -> list[str]:
    """Return a sentence for each limit that the answers have shown, those with most calls first."""
    lines: list[str] = []
    for group in sorted(use.groups, key=lambda group: (-group.calls, group.group)):
        name = f" of {group.group}" if group.group else ""
        if group.kind is not None:
            lines.append(f"Rate limit{name}: {_burst(group)}.")
        if group.day is not None:
            lines.append(f"Daily limit{name}: {_day(group.day)}.")
    return lines


def _burst(group: GroupUse) -> str:
    used = "" if group.used is None else f", {group.used:.0%} of those allowed"
    kind = group.kind or ""
    return f"{group.calls:,} call{'' if group.calls == 1 else 's'}{used} ({KINDS.get(kind, kind)})"


def _day(day: DayUse) -> str:
    left = "" if day.left is None else f", {day.left:,} left to all programs"
    until = "in the last 24 hours" if day.ends_at is None else f"until {day.ends_at}"
    return (
        f"{day.used:,} calls of {day.limit:,} by this run{left}, {until}; runs may use {day.share:.0%} of it together"
    )
