"""The log says what a run used of each limit, how the vendor counts, and what is left of the day."""

from __future__ import annotations

from airflow_provider_crm.budget.usage import BudgetUse, DayUse, GroupUse
from airflow_provider_crm.report.limit_lines import limit_lines


def lines(*groups):
    """The sentences for some endpoint groups."""
    return limit_lines(BudgetUse("k", 0.9, 0.0, groups))


def test_nothing_is_said_of_what_is_not_known():
    """Calls under a limit that no answer has shown are in the report only."""
    assert lines(GroupUse("opportunity read", 3)) == []


def test_each_limit_has_its_sentence():
    """Most calls first; a limit that only refusals show has no part that was used; a new kind is named as it is."""
    assert lines(
        GroupUse("read", 1, kind="refusals"),
        GroupUse("me", 0, kind="quantum"),
        GroupUse("write", 1120, 40, 1.0, 4000, kind="first_call"),
    ) == [
        "Rate limit of write: 1,120 calls, 28% of those allowed (windows from their first call).",
        "Rate limit of read: 1 call (known from refusals only).",
        "Rate limit of me: 0 calls (quantum).",
    ]


def test_a_day_beside_a_burst():
    """Both are there, of the day with its end and the share."""
    day = DayUse(5000, 812, 2500, "2026-11-30T05:00:00Z", 0.5)
    burst, daily = lines(GroupUse("", 812, 100, 10.0, 900, kind="sliding", day=day))
    assert burst == "Rate limit: 812 calls, 90% of those allowed (sliding windows)."
    left = "2,500 left to all programs, until 2026-11-30T05:00:00Z"
    assert daily == f"Daily limit: 812 calls of 5,000 by this run, {left}; runs may use 50% of it together."


def test_a_day_without_an_end():
    """The last 24 hours count, and maybe no answer has said what is left."""
    assert lines(GroupUse("", 7, day=DayUse(15_000, 7, None, None, 1.0))) == [
        "Daily limit: 7 calls of 15,000 by this run, in the last 24 hours; runs may use 100% of it together."
    ]
