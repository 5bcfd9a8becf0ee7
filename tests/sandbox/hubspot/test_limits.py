"""HubSpot: the limit of ten seconds, that of the day, that of searches, and their headers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

ONE = "/crm/objects/2026-03/deals/1001"
SEARCH = "/crm/objects/2026-03/deals/search"
NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def stopped_clock(sandbox):
    """Stop the clock."""
    sandbox.clock.set(NOON)


def limits(answer):
    """Return the headers about limits, without their prefix."""
    prefix = "x-hubspot-ratelimit-"
    return {name.lower()[len(prefix) :]: value for name, value in answer.headers.items() if prefix in name.lower()}


def statuses(hubspot, number, path=ONE):
    """Return the statuses of so many GETs."""
    return [hubspot.get(path).status_code for _ in range(number)]


def searches(hubspot, number):
    """Return the answers to so many searches."""
    return [hubspot.post(SEARCH, {}) for _ in range(number)]


def test_the_documented_headers(hubspot):
    """An answer names both limits and what is left of them, and no time at which there is more."""
    assert limits(hubspot.get(ONE)) == {
        "max": "100",
        "remaining": "99",
        "interval-milliseconds": "10000",
        "daily": "250000",
        "daily-remaining": "249999",
    }


def test_the_window_slides(hubspot, sandbox):
    """Each call counts for ten seconds of its own."""
    sandbox.set(hubspot_limit=2)
    assert statuses(hubspot, 1) == [200]
    sandbox.clock.advance(6)
    assert statuses(hubspot, 2) == [200, 429]
    sandbox.clock.advance(4)
    assert statuses(hubspot, 2) == [200, 429]
    sandbox.clock.advance(6)
    assert statuses(hubspot, 2) == [200, 429]


def test_a_refusal(hubspot, sandbox):
    """A 429 names its policy, says nothing about a wait, and writes nothing."""
    sandbox.set(hubspot_limit=0)
    answer = hubspot.patch(ONE, {"properties": {"amount": "5"}})
    body = answer.json()
    assert (answer.status_code, body["policyName"], body["errorType"]) == (429, "TEN_SECONDLY_ROLLING", "RATE_LIMIT")
    assert body["message"] == "You have reached your ten_secondly_rolling limit."
    assert (limits(answer)["remaining"], "retry-after" in answer.headers, sandbox.audit.writes) == ("0", False, [])


@pytest.mark.parametrize(("form", "announced"), [("seconds", "10"), ("milliseconds", "10000"), ("absent", None)])
def test_a_wait_may_be_named(hubspot, sandbox, form, announced):
    """`Retry-After` is not documented, and some clients report it in milliseconds."""
    sandbox.set(hubspot_limit=1, hubspot_retry_after=form)
    statuses(hubspot, 1)
    assert hubspot.get(ONE).headers.get("retry-after") == announced


def test_tokens_count_apart(hubspot, account, sandbox):
    """Each private app has ten seconds of its own; the day is the account's."""
    sandbox.set(hubspot_limit=1, hubspot_daily_limit=10)
    other = {"Authorization": f"Bearer {account.add_token()}"}
    assert [hubspot.get(ONE).status_code, hubspot.get(ONE, headers=other).status_code] == [200, 200]
    assert limits(hubspot.get(ONE, headers=other))["daily-remaining"] == "8"


def test_an_oauth_token_has_no_day(hubspot, account, sandbox):
    """Calls of an OAuth app have no headers of the day, and do not count against it."""
    sandbox.set(hubspot_daily_limit=1)
    oauth = {"Authorization": f"Bearer {account.tokens.access_token}"}
    assert [hubspot.get(ONE, headers=oauth).status_code for _ in range(3)] == [200] * 3
    assert limits(hubspot.get(ONE, headers=oauth)).keys() == {"max", "remaining", "interval-milliseconds"}
    assert limits(hubspot.get(ONE))["daily-remaining"] == "0"


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [("US/Eastern", "2026-05-05T04:00"), ("Asia/Kolkata", "2026-05-04T18:30"), ("UTC", "2026-05-05T00:00")],
)
def test_the_day_ends_at_midnight_of_the_account(hubspot, account, sandbox, zone, midnight):
    """The limit of a day is whole again at midnight in the account's zone, and no earlier."""
    account.time_zone = zone
    sandbox.set(hubspot_daily_limit=2)
    assert statuses(hubspot, 3) == [200, 200, 429]
    refused = hubspot.get(ONE)
    assert (refused.json()["policyName"], limits(refused)["daily-remaining"]) == ("DAILY", "0")
    sandbox.clock.set(datetime.fromisoformat(f"{midnight}:00+00:00") - timedelta(seconds=1))
    assert statuses(hubspot, 1) == [429]
    sandbox.clock.advance(1)
    assert statuses(hubspot, 3) == [200, 200, 429]


def test_searches_have_a_limit_of_their_own(hubspot, sandbox):
    """Five a second, whatever else is called; they name no limit."""
    sandbox.set(hubspot_limit=1)
    answers = searches(hubspot, 6)
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert (answers[5].json()["policyName"], [limits(answer) for answer in answers]) == ("SECONDLY", [{}] * 6)
    assert statuses(hubspot, 2) == [200, 429]
    sandbox.clock.advance(1)
    assert searches(hubspot, 1)[0].status_code == 200


@pytest.mark.parametrize("counts", [True, False])
def test_searches_and_the_day(hubspot, sandbox, counts):
    """A search counts against the day, or it does not: the documents do not say."""
    sandbox.set(hubspot_daily_limit=2, hubspot_search_counts_daily=counts)
    searches(hubspot, 2)
    assert statuses(hubspot, 1) == [429 if counts else 200]


@pytest.mark.parametrize(
    ("switches", "names"),
    [
        ({"hubspot_daily_headers": False}, {"max", "remaining", "interval-milliseconds"}),
        ({"hubspot_limit_headers": False}, set()),
        (
            {"hubspot_secondly_headers": True, "hubspot_daily_headers": False},
            {"max", "remaining", "interval-milliseconds", "secondly", "secondly-remaining"},
        ),
    ],
)
def test_headers_by_switch(hubspot, sandbox, switches, names):
    """Headers of the day, or all of them, may be missing; the obsolete ones may be there."""
    sandbox.set(**switches)
    assert limits(hubspot.get(ONE)).keys() == names


def test_a_refusal_may_say_nothing(hubspot, sandbox):
    """A 429 may have no headers."""
    sandbox.set(hubspot_limit=0, hubspot_bare_429=True)
    assert limits(hubspot.get(ONE)) == {}


def test_no_limit(hubspot, sandbox):
    """Without limits calls are counted and never refused."""
    sandbox.set(hubspot_limit=None, hubspot_daily_limit=None)
    assert statuses(hubspot, 120) == [200] * 120


def test_refused_credentials_do_not_count(hubspot, sandbox):
    """A 401 uses up nothing and names no limit."""
    answer = hubspot.get(ONE, headers={"Authorization": "Bearer x"})
    assert (limits(answer), limits(hubspot.get(ONE))["remaining"]) == ({}, "99")


def test_an_injected_refusal(hubspot, sandbox):
    """The window that it names lasts as long as it says to wait; a bare one says nothing."""
    sandbox.set(throttle_seconds=7.0)
    sandbox.script(faults=["http_429", "http_429_remaining", "http_429_bare"])
    shown = [limits(hubspot.get(ONE)) for _ in range(3)]
    assert [(one.get("remaining"), one.get("interval-milliseconds")) for one in shown] == [
        ("0", "7000"),
        ("50", "7000"),
        (None, None),
    ]


def test_an_account_that_is_moved(hubspot, sandbox):
    """For some time every call is 477, with the seconds that are left of it."""
    sandbox.set(hubspot_moves_until=(NOON + timedelta(hours=2)).timestamp())
    answer = hubspot.get(ONE)
    assert (answer.status_code, answer.headers["retry-after"]) == (477, "7200")
    sandbox.clock.advance(7200)
    assert statuses(hubspot, 1) == [200]


def test_an_injected_move(hubspot, sandbox):
    """A 477 can be injected, too."""
    sandbox.set(throttle_seconds=30.0)
    sandbox.script(faults=["http_477"])
    answer = hubspot.get(ONE)
    assert (answer.status_code, answer.headers["retry-after"]) == (477, "30")
