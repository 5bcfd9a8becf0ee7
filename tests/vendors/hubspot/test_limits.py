"""Claims about HubSpot's limits: ten seconds that slide, and a day that ends at midnight in the portal's zone."""

from __future__ import annotations

import datetime as dt

import pytest

from airflow_provider_crm.testing.handmade import HandmadeAnswer
from airflow_provider_crm.vendors.calls import Call
from airflow_provider_crm.vendors.limits import Limits, longest_wait
from tests.vendors.hubspot.by_hand import HUBSPOT, error_body

NOW = dt.datetime(2026, 6, 15, 12, 20, tzinfo=dt.UTC)
ZONE = "America/New_York"
BURST = {
    "X-HubSpot-RateLimit-Max": "190",
    "X-HubSpot-RateLimit-Remaining": "41",
    "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
}
DAY = {"X-HubSpot-RateLimit-Daily": "650000", "X-HubSpot-RateLimit-Daily-Remaining": "649001"}
MIDNIGHT = 15 * 3600 + 40 * 60.0


def limits(headers, status=200, timezone=ZONE, now=NOW, **body):
    """Return the limits of an answer."""
    return HUBSPOT.limits(HandmadeAnswer(status, error_body(**body), headers), now, timezone)


def test_both_limits_of_an_answer():
    """The burst has a length and no end; the day ends at midnight in the portal's zone."""
    burst, day = limits(BURST | DAY)
    assert burst == Limits(limit=190, remaining=41, length=10.0, name="burst")
    expected = Limits(limit=650_000, remaining=649_001, reset=MIDNIGHT, name="day", is_daily=True, grain=1.0)
    assert day == expected


@pytest.mark.parametrize(
    ("timezone", "hours"),
    [("America/New_York", 15), ("US/Eastern", 15), ("Etc/GMT+12", 23), ("Pacific/Kiritimati", 21), ("Asia/Tokyo", 2)],
)
def test_the_day_ends_in_the_portals_zone(timezone, hours):
    """From twelve hours west to fourteen hours east."""
    assert limits(BURST | DAY, timezone=timezone)[1].reset == hours * 3600 + 40 * 60


@pytest.mark.parametrize(("day", "hours"), [("2026-03-08T05:00:00Z", 23), ("2026-11-01T04:00:00Z", 25)])
def test_days_of_a_clock_change(day, hours):
    """The day on which clocks change is an hour shorter or longer."""
    assert limits(DAY, now=dt.datetime.fromisoformat(day))[1].reset == hours * 3600


def test_without_a_zone_the_day_is_not_counted():
    """Before the session has read the portal's zone nothing is said about the day; the order stays the same."""
    burst, day = limits(BURST | DAY, timezone=None)
    assert (burst.limit, day) == (190, Limits(name="day", is_daily=True))


def test_an_oauth_app_has_no_day():
    """Answers without headers about the day say nothing of it; those of a search say nothing at all."""
    assert [one.limit for one in limits(BURST)] == [190, None]
    assert [(one.limit, one.remaining, one.wait) for one in limits({})] == [(None, None, None)] * 2


@pytest.mark.parametrize(
    ("policy", "headers", "waits"),
    [
        ("TEN_SECONDLY_ROLLING", BURST, [10.0, None]),
        ("TEN_SECONDLY_ROLLING", {}, [None, None]),
        ("SECONDLY", {}, [1.0, None]),
        ("DAILY", BURST | DAY, [None, MIDNIGHT]),
        ("DAILY", {}, [None, MIDNIGHT]),
        ("", BURST, [10.0, None]),
        ("SOMETHING_NEW", {}, [None, None]),
    ],
)
@pytest.mark.parametrize("retry_after", [{}, {"Retry-After": "5"}, {"Retry-After": "9000"}])
def test_the_wait_of_a_refusal(policy, headers, waits, retry_after):
    """It comes of the limit that the refusal names, and never of `Retry-After`, which may be in milliseconds."""
    refused = limits(headers | retry_after, status=429, policyName=policy)
    assert [one.wait for one in refused] == waits


def test_a_used_up_day_of_an_unknown_zone():
    """Without the zone the next call waits until the next hour begins: the day may end then."""
    refused = limits(BURST | DAY, status=429, timezone=None, policyName="DAILY")
    assert longest_wait(refused) == 40 * 60
    assert [(one.limit, one.remaining) for one in refused] == [(190, 41), (None, None)]


def test_other_statuses_refuse_nothing():
    """Only a 429 is a refusal by a limit, whatever a body says."""
    for status in (200, 423, 477, 503):
        assert longest_wait(limits(BURST | {"Retry-After": "7"}, status=status, policyName="DAILY")) is None


def test_searches_are_counted_apart():
    """A search counts against a limit of its own, every other call against that of the token."""
    search = Call("POST", "/crm/objects/2026-03/deals/search")
    assert HUBSPOT.budget_group(search) == "search"
    others = [HUBSPOT.probe(), HUBSPOT.read_call("search", ()), HUBSPOT.list_call({}, None, ())]
    assert HUBSPOT.budget_group(others[0]) == HUBSPOT.budget_group(others[2]) == ""


@pytest.mark.parametrize("budget", [None, "190/10s"])
def test_searches_keep_to_five_a_second(sandbox, connect, budget):
    """Five searches leave in a second and none is refused, whatever the connection states about other calls."""
    session = connect("hubspot", extra={} if budget is None else {"budget": budget}).session
    begin = sandbox.clock.now()
    for _ in range(40):
        session.fetch(Call("POST", "/crm/objects/2026-03/deals/search", body='{"limit": 1}'))
    assert [call.status for call in sandbox.audit.calls] == [200] * 40
    assert 7 <= (sandbox.clock.now() - begin).total_seconds() <= 8
