"""Close: the rate limit and the forms in which it is announced."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

ONE = "/opportunity/oppo_1/"
NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def stopped_clock(sandbox):
    """Stop the clock just after a window has begun."""
    sandbox.clock.set(NOON)
    sandbox.clock.advance(0.25)


def statuses(close, number, path=ONE, **arguments):
    """Return the statuses of so many PUTs."""
    return [close.put(path, {"value": 1}, **arguments).status_code for _ in range(number)]


def test_no_limit_is_enforced_by_default(close):
    """Without a limit the header is sent, too, with a large one."""
    assert close.get(ONE).headers["RateLimit"] == "limit=1000000, remaining=999999, reset=0.75"


def test_window_refuses_and_starts_over(close, sandbox):
    """After the limit comes 429, and the next window allows again."""
    sandbox.set(close_limit=2)
    assert statuses(close, 3) == [200, 200, 429]
    sandbox.clock.advance(0.75)
    assert statuses(close, 1) == [200]


def test_429_announces_the_wait(close, sandbox):
    """A 429 has the decimal reset and the whole-second `Retry-After`, rounded up."""
    sandbox.set(close_limit=0)
    answer = close.put(ONE, {})
    shown = (answer.status_code, answer.headers["ratelimit"], answer.headers["retry-after"])
    assert shown == (429, "limit=0, remaining=0, reset=0.75", "1")


def test_refused_call_writes_nothing(close, sandbox):
    """A call that is refused isn't applied."""
    sandbox.set(close_limit=0)
    close.put(ONE, {"value": 1})
    assert sandbox.audit.writes == []


def test_bucket_refills_steadily(close, sandbox):
    """A token bucket starts full and then lets through what its rate allows."""
    sandbox.set(close_limit=2, close_limit_kind="bucket", close_window=1.0)
    assert statuses(close, 3) == [200, 200, 429]
    sandbox.clock.advance(0.5)
    assert statuses(close, 2) == [200, 429]


def test_bucket_announces_when_the_next_call_fits(close, sandbox):
    """The reset of an empty bucket is the time until one call fits."""
    sandbox.set(close_limit=2, close_limit_kind="bucket", close_window=1.0)
    statuses(close, 2)
    assert close.get("/me/").status_code == 200
    assert close.put(ONE, {}).headers["ratelimit"] == "limit=2, remaining=0, reset=0.5"


def test_groups_count_apart(close, sandbox):
    """Reading and writing, and different resources, have counters of their own."""
    sandbox.set(close_limit=1)
    assert [close.put(ONE, {}).status_code, close.get(ONE).status_code, close.get("/me/").status_code] == [200] * 3


def test_keys_count_apart_up_to_the_organization(close, sandbox):
    """Each key has its own limit; all keys together have three times as much."""
    sandbox.set(close_limit=2)
    used = [statuses(close, 2, auth=(sandbox.close.add_key(), "")) for _ in range(4)]
    assert used == [[200, 200], [200, 200], [200, 200], [429, 429]]


def test_unauthorized_calls_do_not_count(close, sandbox):
    """A 401 uses up no call and announces no limit."""
    sandbox.set(close_limit=1)
    assert "ratelimit" not in close.put(ONE, {}, auth=("wrong", "")).headers
    assert statuses(close, 1) == [200]


def test_errors_announce_the_limit(close):
    """A 404 counts and announces the limit like any other answer."""
    assert "ratelimit" in close.get("/opportunity/missing/").headers


@pytest.mark.parametrize(
    ("spelling", "headers"),
    [
        ("semicolon", {"ratelimit": "limit=5; remaining=4; reset=0.75"}),
        ("x-rate-limit", {"x-rate-limit-limit": "5", "x-rate-limit-remaining": "4", "x-rate-limit-reset": "0.75"}),
        ("ratelimit-reset", {"ratelimit-limit": "5", "ratelimit-remaining": "4", "ratelimit-reset": "0.75"}),
        ("absent", {}),
    ],
)
def test_header_spellings(close, sandbox, spelling, headers):
    """Each spelling on record can be chosen, and then it is the only one."""
    sandbox.set(close_limit=5, close_rate_limit_header=spelling)
    announced = close.get(ONE).headers
    assert {name.lower(): value for name, value in announced.items() if "rate" in name.lower()} == headers


def test_reset_can_be_whole_seconds(close, sandbox):
    """`reset` can be an integer."""
    sandbox.set(close_limit=5, close_integer_reset=True)
    assert close.get(ONE).headers["ratelimit"].endswith("reset=1")


@pytest.mark.parametrize(("form", "announced"), [("date", "Mon, 04 May 2026 12:00:01 GMT"), ("absent", None)])
def test_retry_after_forms(close, sandbox, form, announced):
    """`Retry-After` can be an HTTP date, never too early, or absent."""
    sandbox.set(close_limit=0, close_retry_after=form)
    assert close.put(ONE, {}).headers.get("retry-after") == announced


def test_old_body_of_a_429(close, sandbox):
    """The deprecated body has the wait as `error.rate_reset`."""
    sandbox.set(close_limit=0, close_old_429_body=True)
    error = close.put(ONE, {}).json()["error"]
    assert (error["rate_reset"], error["rate_limit"], error["rate_window"]) == (0.75, 0, 1.0)


def test_429_while_calls_remain(close, sandbox):
    """A forced 429 can claim that calls remain, as stricter endpoints do."""
    sandbox.script(faults=["http_429_remaining"])
    sandbox.set(throttle_seconds=2.5)
    answer = close.put(ONE, {})
    shown = (answer.status_code, answer.headers["ratelimit"], answer.headers["retry-after"])
    assert shown == (429, "limit=100, remaining=50, reset=2.5", "3")
