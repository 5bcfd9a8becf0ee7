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
        ("named", {"ratelimit": '"burst";r=4;t=0.75', "ratelimit-policy": '"burst";q=5'}),
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


@pytest.mark.parametrize(
    ("form", "reset"),
    [
        ("decimal", ", reset=0.75"),
        ("whole", ", reset=1"),
        ("epoch", ", reset=1777896001"),
        ("epoch_milliseconds", ", reset=1777896001000"),
        ("absent", ""),
    ],
)
def test_forms_of_the_reset(close, sandbox, form, reset):
    """`reset` can be seconds of either precision, an epoch of either, or missing."""
    sandbox.set(close_limit=5, close_reset=form)
    assert close.get(ONE).headers["ratelimit"] == f"limit=5, remaining=4{reset}"


@pytest.mark.parametrize(
    ("spelling", "policy"),
    [("comma", "5;w=10"), ("ratelimit-reset", "5;w=10"), ("named", '"burst";q=5;w=10'), ("x-rate-limit", None)],
)
def test_the_window_can_be_named(close, sandbox, spelling, policy):
    """`RateLimit-Policy` names the seconds of the window, where the spelling has a place for it."""
    sandbox.set(close_limit=5, close_window=10.0, close_names_window=True, close_rate_limit_header=spelling)
    assert close.get(ONE).headers.get("ratelimit-policy") == policy


def test_a_day_beside_the_burst(close, sandbox):
    """A call needs a place in both; the day counts the calls of all groups, and ends at midnight UTC."""
    sandbox.set(close_limit=2, close_day_limit=3)
    answer = close.put(ONE, {})
    assert answer.headers["ratelimit"] == '"burst";r=1;t=0.75, "day";r=2;t=43199.75'
    assert answer.headers["ratelimit-policy"] == '"burst";q=2;w=1, "day";q=3;w=86400'
    assert [close.get(ONE).status_code, *statuses(close, 1)] == [200, 200]
    sandbox.clock.advance(0.75)
    refused = close.put(ONE, {})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "43199")
    assert refused.headers["ratelimit"] == '"burst";r=2;t=1, "day";r=0;t=43199'
    sandbox.clock.advance(43_199)
    assert statuses(close, 1) == [200]


def test_a_day_that_slides(close, sandbox):
    """The last 24 hours can count instead: each call comes back by itself."""
    sandbox.set(close_day_limit=2, close_day_kind="sliding", close_reset="absent")
    statuses(close, 1)
    sandbox.clock.advance(3600)
    statuses(close, 1)
    sandbox.clock.advance(3600)
    assert statuses(close, 1) == [429]
    assert close.put(ONE, {}).headers["ratelimit"] == '"burst";r=1000000, "day";r=0'
    sandbox.clock.advance(22 * 3600)
    assert statuses(close, 2) == [200, 429]


@pytest.mark.parametrize(
    "switches", [{"close_rate_limit_header": "absent", "close_retry_after": "absent"}, {"close_day_limit": 0}]
)
def test_a_refusal_can_say_nothing(close, sandbox, switches):
    """Without headers a used-up limit answers a bare 429, also with a limit of a day."""
    sandbox.set(**{"close_limit": 0, "close_rate_limit_header": "absent", "close_retry_after": "absent"} | switches)
    answer = close.put(ONE, {})
    shown = [name for name in answer.headers if "rate" in name.lower() or name.lower() == "retry-after"]
    assert (answer.status_code, shown, answer.json()) == (429, [], {"error": "Too many requests"})


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
