"""Claims about limits in answers: each becomes a limit that can be obeyed, or counts as missing."""

from __future__ import annotations

import datetime as dt
import json
import math
import uuid
from dataclasses import replace

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_crm.budget.lease import LeasingPacer
from airflow_provider_crm.budget.pacer import Pacer, Reservation
from airflow_provider_crm.budget.store import BudgetStore
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.vendors import VENDORS, limit_headers
from airflow_provider_crm.vendors.limit_headers import LONGEST_WAIT, MOST_CALLS
from airflow_provider_crm.vendors.limits import Limits, longest_wait

NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
EPOCH = NOW.timestamp()
HEADERS = (
    *("RateLimit", "RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After"),
    *("x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset", "Date"),
    *("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
    *("X-HubSpot-RateLimit-Max", "X-HubSpot-RateLimit-Remaining", "X-HubSpot-RateLimit-Interval-Milliseconds"),
    *("X-HubSpot-RateLimit-Daily", "X-HubSpot-RateLimit-Daily-Remaining"),
)
NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(
        ["0", "-0", "-1", "1e400", "1e9", "nan", "inf", "-inf", "2147483647", "2147483648", "1_000", "0x10"]
    ),
    st.sampled_from(
        ["99999999999999", "1000000000000", "٣٠", "²", "1.5", ".5", "5.", "9" * 400, "9" * 5_000, "0." + "9" * 400]
    ),
    st.floats().map(repr),
    st.sampled_from([1.0, 1e3, 1e6, 1e9]).map(lambda unit: str(int((EPOCH + 30) * unit))),
)
TEXTS = st.one_of(
    NUMBERS,
    st.text(max_size=30),
    st.builds("limit={}, remaining={}; reset={}".format, NUMBERS, NUMBERS, NUMBERS),
    st.builds('"default";r={};t={}, "day";r={};t={}'.format, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    st.builds('"default";q={};w={}'.format, NUMBERS, NUMBERS),
    st.builds("Mon, 15 Jun {} 12:00:00 {}".format, st.integers(0, 99999), st.sampled_from(["GMT", "+9999", "-0000"])),
    st.sampled_from(["DAILY", "TEN_SECONDLY_ROLLING", "SECONDLY"]),
    st.sampled_from(
        ["Fri, 31 Dec 9999 23:59:59 -1200", "Thu, 01 Jan 1960 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359"]
    ),
)
VALUES = st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), st.floats(), st.lists(st.integers(), max_size=2))


def answered(status, headers, body=None):
    """Return an answer as a vendor's code sees it."""
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers)
    response._content = json.dumps(body or {}).encode()
    return response


def body_of_a_refusal(value):
    """Return all vendors' bodies of a 429 in one."""
    error = {"code": "RATE_LIMIT_EXCEEDED", "retry_after": value, "rate_reset": value}
    return {"success": False, "error": error, "policyName": value}


@settings(deadline=None, derandomize=True, max_examples=200)
@given(headers=st.dictionaries(st.sampled_from(HEADERS), TEXTS), value=VALUES, status=st.sampled_from([200, 429, 503]))
@example(
    headers={"RateLimit": "limit=1000000000000, remaining=1000000000000, reset=1000000000000"}, value=1, status=200
)
@example(headers={"X-RateLimit-Reset": "1000000000000000000000"}, value=10**400, status=429)
@pytest.mark.parametrize("vendor", list(VENDORS))
def test_only_sane_limits_are_read(vendor, headers, value, status):
    """Any header and body make a limit that can exist, or none."""
    answer = answered(status, headers, body_of_a_refusal(value))
    for limits in (one for zone in (None, "America/New_York") for one in VENDORS[vendor].limits(answer, NOW, zone)):
        for wait in (limits.wait, limits.reset, limits.length):
            assert wait is None or 0 <= wait <= LONGEST_WAIT
        assert limits.limit is None or 1 <= limits.limit <= MOST_CALLS
        assert limits.remaining is None or 0 <= limits.remaining <= MOST_CALLS
        assert limits.grain is None or 0 <= limits.grain <= 1


def reserved(pacer, seconds):
    """Return a reservation for a call, once the time has come; each wait on the way ends."""
    for _ in range(10):
        reservation = pacer.acquire()
        if isinstance(reservation, Reservation):
            return reservation
        assert 0 <= reservation <= 2 * LONGEST_WAIT + 2
        seconds[0] += reservation
    raise AssertionError(reservation)


@settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answers=st.lists(st.tuples(st.dictionaries(st.sampled_from(HEADERS), TEXTS), st.booleans()), max_size=4))
@example(
    answers=[
        (
            {"X-RateLimit-Limit": "2147483648", "X-RateLimit-Remaining": "2147483647", "X-RateLimit-Reset": "9" * 20},
            True,
        )
    ]
)
@example(answers=[({"RateLimit": f"limit={MOST_CALLS}, remaining={MOST_CALLS}, reset={LONGEST_WAIT:.0f}"}, False)] * 3)
@example(answers=[({"RateLimit-Limit": "1", "RateLimit-Remaining": "0"}, False)] * 3)
@example(
    answers=[
        ({"RateLimit-Limit": "10", "RateLimit-Remaining": "0", "RateLimit-Reset": "5"}, False),
        ({"RateLimit-Limit": "20", "RateLimit-Remaining": "0"}, False),
        ({"RateLimit-Limit": "20", "RateLimit-Remaining": "0"}, True),
    ]
)
@pytest.mark.parametrize("vendor", list(VENDORS))
@pytest.mark.parametrize("shared", [False, True])
def test_any_limit_that_is_read_can_be_obeyed(engine, vendor, shared, answers):
    """Waits, shared windows and spaced calls that come of odd headers are finite, and nothing overflows on the way."""
    seconds = [0.0]
    clock = Clock(monotonic=lambda: seconds[0], now=lambda: NOW + dt.timedelta(seconds=seconds[0]), jitter=lambda: 0.5)
    store = BudgetStore(Database(engine, clock=clock))
    pacer = LeasingPacer(clock, store, uuid.uuid4().hex) if shared else Pacer(clock)
    for headers, refused in answers:
        reservation = reserved(pacer, seconds)
        seconds[0] += 0.05
        limits = VENDORS[vendor].limits(answered(429 if refused else 200, headers), clock.now(), None)
        pacer.record_answer(reservation, limits, refused=refused)
    assert pacer.use("").calls == len(answers)
    pacer.close()


@pytest.mark.long
def test_the_largest_limit_fits_into_the_database(new_database):
    """On PostgreSQL, whose columns have bounds, workers share a limit of the largest number that counts as one."""
    import sqlalchemy as sa

    engine = Database(sa.create_engine(new_database())).engine
    pacer = LeasingPacer(Clock(), BudgetStore(Database(engine, clock=Clock())), "one")
    for used in (1, 2, 3):
        pacer.record_answer(reserved(pacer, [0.0]), (Limits(None, MOST_CALLS, MOST_CALLS - used, 10.0),))
    pacer.close()
    engine.dispose()


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
@pytest.mark.parametrize("status", [200, 429])
def test_an_epoch_in_any_unit(unit, status):
    """A reset in milliseconds, as JavaScript's clock has them, is the same moment as one in seconds."""
    headers = {
        "X-RateLimit-Limit": "10",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int((EPOCH + 90) * unit)),
    }
    (limits,) = VENDORS["raze"].limits(answered(status, headers), NOW, None)
    assert (limits.reset, limits.wait) == (90.0, 90.0 if status == 429 else None)


@pytest.mark.parametrize(
    "reset", [str(10**12), str(int(EPOCH + 40 * 86_400)), str(int(EPOCH - 2 * 86_400)), "1" * 30, "3000000"]
)
def test_an_epoch_that_is_not_near(reset):
    """A moment of another year, or a number that is no moment in any unit, is not read."""
    headers = {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "9", "X-RateLimit-Reset": reset}
    (limits,) = VENDORS["raze"].limits(answered(200, headers), NOW, None)
    assert replace(limits, grain=None) == Limits(None, 10, 9, None)


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
@pytest.mark.parametrize(
    "headers",
    [
        {"RateLimit": "limit=10, remaining=0, reset={}"},
        {"RateLimit": '"burst";r=0;t={}', "RateLimit-Policy": '"burst";q=10;w=60'},
        {"RateLimit-Limit": "10", "RateLimit-Remaining": "0", "RateLimit-Reset": "{}"},
        {"x-rate-limit-limit": "10", "x-rate-limit-remaining": "0", "x-rate-limit-reset": "{}"},
    ],
)
@pytest.mark.parametrize("seconds", [0, 12])
def test_a_moment_where_seconds_were_expected(headers, unit, seconds):
    """A reset that is no number of seconds to wait is the moment in any unit, and asks for the seconds until then."""
    headers = {name: text.format(int((EPOCH + seconds) * unit)) for name, text in headers.items()}
    (limits,) = VENDORS["close"].limits(answered(429, headers), NOW, None)
    expected = (10, 0, seconds, seconds, 1 / unit)
    assert (limits.limit, limits.remaining, limits.reset, limits.wait, limits.grain) == pytest.approx(
        expected, abs=1e-6
    )


@pytest.mark.parametrize("vendor", ["close", "raze"])  # the others name no wait that can be trusted
@pytest.mark.parametrize(
    ("text", "wait"),
    [
        (str(int(EPOCH) + 9), 9.0),
        (str(int(EPOCH * 1000) + 9500), 9.5),
        (str(int(EPOCH) - 9), 0.0),
        ("Mon, 15 Jun 2026 12:00:09 GMT", 9.0),
        ("9", 9.0),
    ],
)
def test_a_wait_in_any_form(vendor, text, wait):
    """`Retry-After` and the wait in the body of a refusal may be seconds, a moment since 1970 or an HTTP date."""
    by_header = VENDORS[vendor].limits(answered(429, {"Retry-After": text}), NOW, None)
    by_body = VENDORS[vendor].limits(answered(429, {}, body_of_a_refusal(text)), NOW, None)
    assert (longest_wait(by_header), longest_wait(by_body)) == (wait, wait)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {"RateLimit": '"default";r=50;t=30', "RateLimit-Policy": '"default";q=100;w=60'},
            [Limits(None, 100, 50, 30.0, 60.0, "default")],
        ),
        ({"RateLimit": '"default";r=50;t=30'}, [Limits(None, None, 50, 30.0, None, "default")]),
        (
            {"RateLimit": '"default";r=50', "RateLimit-Policy": '"default";q=100;w=60'},
            [Limits(None, 100, 50, None, 60.0, "default")],
        ),
        (
            {"RateLimit": '"default";r=50', "RateLimit-Policy": '"default";q=100;w=0'},
            [Limits(None, 100, 50, name="default")],
        ),
        (
            {"RateLimit": '"a,b;c";r=1;t=2', "RateLimit-Policy": '"x";q=9, "a,b;c";q=10;w=1'},
            [Limits(None, 10, 1, 2.0, 1.0, "a,b;c"), Limits(limit=9, name="x")],
        ),
        (
            {"RateLimit": '"day";r=90;t=900, "s";r=7;t=1', "RateLimit-Policy": '"day";q=1000;w=86400, "s";q=10;w=1'},
            [Limits(None, 10, 7, 1.0, 1.0, "s"), Limits(None, 1000, 90, 900.0, 86_400.0, "day", is_daily=True)],
        ),
        (
            {"RateLimit": '"s";r=7;t=1', "RateLimit-Policy": '"day";q=1000;w=86400, "s";q=10;w=1'},
            [Limits(None, 10, 7, 1.0, 1.0, "s"), Limits(None, 1000, None, None, 86_400.0, "day", is_daily=True)],
        ),
        (
            {"RateLimit": '"default"; r=50; t=30; pk=:dHsdsRa894==:', "RateLimit-Policy": '"default"; q=100'},
            [Limits(None, 100, 50, 30.0, None, "default")],
        ),
        (
            {"RateLimit": '"default";r=-1;t=1e9', "RateLimit-Policy": '"default";q=99999999999'},
            [Limits(name="default")],
        ),
    ],
)
def test_named_policies(headers, expected):
    """The newest draft names policies: each is a limit, the shortest window first, also one of the policies alone."""
    limits = VENDORS["close"].limits(answered(200, headers), NOW, None)
    assert [replace(one, grain=None) for one in limits] == expected


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ({"RateLimit": "limit=100, remaining=50, reset=30", "RateLimit-Policy": "100;w=60"}, 60.0),
        ({"RateLimit": "limit=100;remaining=50;reset=30", "RateLimit-Policy": "1000;w=86400, 100;w=60"}, 60.0),
        (
            {"RateLimit-Limit": "100", "RateLimit-Remaining": "9", "RateLimit-Reset": "1", "RateLimit-Policy": "9;w=1"},
            None,
        ),
        ({"RateLimit": "limit=100, remaining=50, reset=30", "RateLimit-Policy": "100"}, None),
    ],
)
def test_the_length_of_a_policy_without_a_name(headers, length):
    """The drafts before the named policies tell the length of a window beside its limit."""
    (limits,) = VENDORS["close"].limits(answered(200, headers), NOW, None)
    assert (limits.limit, limits.length) == (100, length)


@pytest.mark.parametrize(
    ("remaining", "retry_after", "waits"),
    [
        ((0, 90), {}, [1.0, None]),
        ((7, 0), {}, [None, 900.0]),
        ((0, 0), {}, [1.0, 900.0]),
        ((7, 90), {}, [1.0, None]),
        ((0, 0), {"Retry-After": "60"}, [1.0, 900.0]),
    ],
)
def test_the_limit_that_refuses(remaining, retry_after, waits):
    """Of several limits those that are used up ask for a wait; where none is, it is the first."""
    headers = {
        "RateLimit": '"s";r={};t=1, "day";r={};t=900'.format(*remaining),
        "RateLimit-Policy": '"s";q=10;w=1, "day";q=1000;w=86400',
    }
    limits = VENDORS["close"].limits(answered(429, headers | retry_after), NOW, None)
    assert [one.wait for one in limits] == waits


@pytest.mark.parametrize(
    ("text", "grain"),
    [
        ("1", 1.0),
        ("1.0", 0.1),
        (" 0.250 ", 0.001),
        (1, 1.0),
        (0.25, 0.01),
        ("1781524800", 1.0),
        ("1781524800.5", 0.1),
        ("1781524800123", 0.001),
        ("Mon, 15 Jun 2026 12:00:09 GMT", 1.0),
        ("soon", None),
        (None, None),
    ],
)
def test_how_coarse_a_reset_is(text, grain):
    """The last digit of a number says to what it was rounded; an HTTP date has whole seconds."""
    assert limit_headers.grain(text) == (None if grain is None else pytest.approx(grain))


@pytest.mark.parametrize("header", ["99999999999999", "1e3", "-1", "Fri, 31 Dec 9999 23:59:59 GMT", "٣٠"])
def test_a_wait_of_ages_is_none(header):
    """A refusal that asks for a wait of centuries, or of no number, asks for none: the call is tried again soon."""
    for vendor in VENDORS.values():
        assert longest_wait(vendor.limits(answered(429, {"Retry-After": header}), NOW, None)) is None
    assert math.isfinite(LONGEST_WAIT)


@pytest.mark.parametrize(
    ("limits", "wait"),
    [
        ((), None),
        ((Limits(None, 10, 9, 1.0),), None),
        ((Limits(2.0, 10, 0, 2.0), Limits(wait=60.0), Limits(3.0)), 60.0),
    ],
)
def test_all_limits_of_a_refusal_are_waited_for(limits, wait):
    """Of several limits that ask for a wait the longest counts."""
    assert longest_wait(limits) == wait


@pytest.mark.parametrize(
    ("now", "timezone", "hours"),
    [
        ("2026-06-15T12:00:00+00:00", "America/New_York", 16),
        ("2026-06-15T04:00:00+00:00", "America/New_York", 24),
        ("2026-03-08T05:00:00+00:00", "America/New_York", 23),
        ("2026-11-01T04:00:00+00:00", "America/New_York", 25),
        ("2026-06-15T12:00:00+00:00", "Pacific/Kiritimati", 22),
        ("2026-06-15T12:00:00+00:00", "Etc/GMT+12", 24),
        ("2026-09-05T12:00:00+00:00", "America/Santiago", 16),
        ("2026-06-15T12:00:00+00:00", "Asia/Kathmandu", 6.25),
    ],
)
def test_a_day_ends_at_midnight_in_a_zone(now, timezone, hours):
    """The seconds until midnight are right on both sides of a clock change, also of one at midnight."""
    assert limit_headers.seconds_to_midnight(dt.datetime.fromisoformat(now), timezone) == hours * 3600
    assert limit_headers.seconds_to_midnight(dt.datetime.fromisoformat(now), None) is None
