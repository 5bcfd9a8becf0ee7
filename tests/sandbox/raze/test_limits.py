"""Raze: the hourly limit of each key."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

ONE = "/opportunities/opp_1"
QUARTER_TO_ONE = datetime(2026, 5, 4, 12, 45, tzinfo=UTC)
ONE_O_CLOCK = int(datetime(2026, 5, 4, 13, tzinfo=UTC).timestamp())


@pytest.fixture(autouse=True)
def stopped_clock(sandbox):
    """Stop the clock a quarter of an hour before the window ends."""
    sandbox.clock.set(QUARTER_TO_ONE)


def announced(answer):
    """Return limit, remaining and reset as the headers announce them."""
    return tuple(int(answer.headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset"))


def test_headers_are_on_every_answer(raze, sandbox):
    """Limit, remaining, and the epoch second at which the clock hour ends."""
    sandbox.set(raze_limit=10)
    assert announced(raze.get(ONE)) == (10, 9, ONE_O_CLOCK)


def test_errors_count_and_announce_the_limit(raze, sandbox):
    """A 404 counts and announces the limit."""
    sandbox.set(raze_limit=10)
    assert announced(raze.get("/opportunities/missing")) == (10, 9, ONE_O_CLOCK)


def test_429_tells_the_wait_in_the_body(raze, sandbox):
    """A 429 has `error.retry_after` and the headers with nothing remaining, but no `Retry-After` header."""
    sandbox.set(raze_limit=0)
    answer = raze.put(ONE, {"notes": "x"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["retry_after"]) == (429, "RATE_LIMIT_EXCEEDED", 900)
    assert (announced(answer), "retry-after" in answer.headers) == ((0, 0, ONE_O_CLOCK), False)


def test_window_is_the_clock_hour(raze, sandbox):
    """The next clock hour allows again."""
    sandbox.set(raze_limit=1)
    assert [raze.get(ONE).status_code for _ in range(2)] == [200, 429]
    sandbox.clock.advance(900)
    assert raze.get(ONE).status_code == 200


def test_window_can_be_shorter(raze, sandbox):
    """The window's length is a switch."""
    sandbox.set(raze_limit=5, raze_window=60)
    assert announced(raze.get(ONE))[2] == int(QUARTER_TO_ONE.timestamp()) + 60


def test_keys_count_apart(raze, sandbox):
    """Each key has its own counter, and may have its own limit."""
    sandbox.set(raze_limit=1)
    raze.get(ONE)
    own = {"X-API-Key": sandbox.raze.add_key(["*"], limit=3)}
    assert announced(raze.get(ONE, headers=own))[:2] == (3, 2)


def test_retry_after_header_is_a_switch(raze, sandbox):
    """By switch a 429 has the header too."""
    sandbox.set(raze_limit=0, raze_retry_after_header=True)
    assert raze.get(ONE).headers["Retry-After"] == "900"


def test_forced_429(raze, sandbox):
    """A scripted 429 asks for `throttle_seconds`, in the same three places."""
    sandbox.script(faults=["http_429", "http_429_remaining"])
    sandbox.set(throttle_seconds=30)
    first, second = raze.get(ONE), raze.get(ONE)
    assert (announced(first), first.json()["error"]["retry_after"]) == (
        (100, 0, int(QUARTER_TO_ONE.timestamp()) + 30),
        30,
    )
    assert announced(second)[1] == 50
