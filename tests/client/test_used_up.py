"""The sentence that ends a call which would have to wait for too long: it names the limit."""

from __future__ import annotations

import datetime as dt

import pytest

from airflow_provider_crm.budget.usage import DayUse
from airflow_provider_crm.client.used_up import used_up_text

NOW = dt.datetime(2026, 11, 29, 17, 16, 29, 250_000, tzinfo=dt.UTC)
MIDNIGHT = "2026-11-30T05:00:00Z"


def test_a_limit_of_hours_or_less_is_named_in_seconds():
    """Any limit that is not of a day."""
    sentence = "HubSpot's rate limit is used up; the next call is allowed in 3600 seconds."
    assert used_up_text("HubSpot", 3600.2, NOW, None) == sentence


@pytest.mark.parametrize(
    ("day", "why", "moment"),
    [
        (
            DayUse(5000, 812, 2500, MIDNIGHT, 0.5),
            "the runs of this Airflow have used their share (2,500 of 5,000 calls)",
            MIDNIGHT,
        ),
        (DayUse(5000, 812, 0, MIDNIGHT, 1.0), "none of its 5,000 calls are left, to any program", MIDNIGHT),
        (
            DayUse(15_000, 7, None, None, 0.333),
            "the runs of this Airflow have used their share (4,995 of 15,000 calls)",
            MIDNIGHT,
        ),
        (
            DayUse(1, 1, 1, "2026-11-30T00:00:00.5-05:00", 0.5),
            "the runs of this Airflow have used their share (1 of 1 calls)",
            "2026-11-30T05:00:01Z",
        ),
    ],
    ids=["until midnight", "used up by all programs", "the last 24 hours", "parts of a second"],
)
def test_a_daily_limit_is_named_with_its_share_and_its_end(day, why, moment):
    """The moment is in UTC and never too early; where no day ends it is the end of the wait."""
    sentence = f"HubSpot's daily limit: {why}; the next call is allowed at {moment}."
    assert used_up_text("HubSpot", 42_210.0, NOW, day) == sentence
