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


@pytest.mark.parametrize(
    ("form", "reset"),
    [
        ("epoch", str(ONE_O_CLOCK)),
        ("epoch_milliseconds", f"{ONE_O_CLOCK}000"),
        ("whole", "900"),
        ("decimal", "900"),
        ("absent", None),
    ],
)
def test_forms_of_the_reset(raze, sandbox, form, reset):
    """The reset is epoch seconds as documented; by switch it has another form, or is missing."""
    sandbox.set(raze_limit=5, raze_reset=form)
    assert raze.get(ONE).headers.get("X-RateLimit-Reset") == reset


@pytest.mark.parametrize(("kind", "free"), [("window", 1), ("first_call", 0), ("sliding", 0), ("bucket", 0)])
def test_kinds_of_limits(raze, sandbox, kind, free):
    """By switch calls are counted otherwise than by the clock hour: a quarter of an hour frees one call only there."""
    sandbox.set(raze_limit=1, raze_limit_kind=kind)
    raze.get(ONE)
    sandbox.clock.advance(900)
    assert [raze.get(ONE).status_code for _ in range(2)].count(200) == free


def test_retry_after_can_be_a_date(raze, sandbox):
    """By switch a 429 names the end of the window as an HTTP date."""
    sandbox.set(raze_limit=0, raze_retry_after="date", raze_body_wait=False)
    answer = raze.get(ONE)
    assert answer.headers["Retry-After"] == "Mon, 04 May 2026 13:00:00 GMT"
    assert answer.json()["error"] == {"code": "RATE_LIMIT_EXCEEDED", "message": "Rate limit exceeded"}


def test_a_day_beside_the_window(raze, sandbox):
    """The day of a key is in the standard header, beside the documented ones; a call needs a place in both."""
    sandbox.set(raze_limit=5, raze_day_limit=2)
    answers = [raze.get(ONE) for _ in range(3)]
    assert [(one.status_code, announced(one)[1], one.headers["RateLimit"]) for one in answers] == [
        (200, 4, '"day";r=1;t=40500'),
        (200, 3, '"day";r=0;t=40500'),
        (429, 3, '"day";r=0;t=40500'),
    ]
    assert answers[2].headers["RateLimit-Policy"] == '"day";q=2;w=86400'
    assert answers[2].json()["error"]["retry_after"] == 40500


def test_a_refusal_can_say_nothing(raze, sandbox):
    """By switch no answer names a limit or a wait."""
    sandbox.set(raze_limit=0, raze_day_limit=5, raze_limit_headers=False, raze_body_wait=False)
    answer = raze.get(ONE)
    assert [name for name in answer.headers if "rate" in name.lower() or name.lower() == "retry-after"] == []
    assert (answer.status_code, "retry_after" in answer.json()["error"]) == (429, False)
