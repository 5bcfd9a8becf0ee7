"""Claims about every form of Close's rate limit on record, and about any text in its place."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math

import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_crm.exceptions import RateLimitedError, TransientError
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.limits import Limits, longest_wait

CLOSE = VENDORS["close"]
NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
IN_6_SECONDS = "Mon, 15 Jun 2026 12:00:06 GMT"
BEFORE = "Mon, 15 Jun 2026 11:00:00 GMT"
OLD_BODY = {"error": {"message": "API call count exceeded", "rate_reset": 0.8, "rate_limit": 40, "rate_window": 1}}

HEADERS = ("RateLimit", "RateLimit-Reset", "Retry-After", "x-rate-limit-limit", "x-rate-limit-remaining")
TEXTS = st.one_of(
    st.text(max_size=30),
    st.text("0123456789.,;= eE+-", max_size=40),
    st.integers(0, 400).map(lambda digits: "9" * digits),
    st.builds("limit={}, remaining={}; reset={}".format, st.integers(), st.floats(), st.floats()),
    st.builds(
        "Mon, 15 Jun {} 12:00:00 {}".format, st.integers(0, 99999), st.sampled_from(["GMT", "+9999", "-0000", "x"])
    ),
)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"RateLimit": "limit=100, remaining=50, reset=5"}, Limits(None, 100, 50, 5.0)),
        ({"ratelimit": "limit=160; remaining=159; reset=8"}, Limits(None, 160, 159, 8.0)),
        ({"RATELIMIT": "Limit=16;Remaining=14;Reset=1"}, Limits(None, 16, 14, 1.0)),
        ({"RateLimit": "limit=240, remaining=239, reset=5.5"}, Limits(None, 240, 239, 5.5)),
        ({"RateLimit": "reset=0.4"}, Limits(None, None, None, 0.4)),
        ({"RateLimit": " limit = 100 ,remaining=0,  reset=5 "}, Limits(None, 100, 0, 5.0)),
        ({"RateLimit": "limit=, remaining=many, reset=-1"}, Limits()),
        ({"RateLimit": ""}, Limits()),
        (
            {"x-rate-limit-limit": "40", "x-rate-limit-remaining": "39", "x-rate-limit-reset": "1"},
            Limits(None, 40, 39, 1.0),
        ),
        ({"RateLimit-Reset": "3"}, Limits(None, None, None, 3.0)),
        (
            {"RateLimit-Limit": "40", "RateLimit-Remaining": "39", "RateLimit-Reset": "0.25"},
            Limits(None, 40, 39, 0.25),
        ),
        ({}, Limits()),
    ],
)
def test_an_answer_that_is_no_refusal(answer, headers, expected):
    """The header is read in any spelling, separator and precision, and asks for no wait on a 200."""
    (limits,) = CLOSE.limits(answer(200, headers=headers, json={}), NOW, None)
    assert dataclasses.replace(limits, grain=None) == expected


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ({"RateLimit": "limit=100, remaining=0, reset=5"}, {}, 5.0),
        ({"RateLimit": "limit=100; remaining=0; reset=0.4"}, {}, 0.4),
        ({"RateLimit": "limit=100, remaining=50, reset=5.5", "Retry-After": "6"}, {}, 5.5),
        ({"RateLimit": "limit=100, remaining=0", "Retry-After": "6"}, {}, 6.0),
        ({"RateLimit-Reset": "3", "Retry-After": "6"}, {}, 3.0),
        ({"Retry-After": "6"}, {}, 6.0),
        ({"Retry-After": "0.5"}, {}, 0.5),
        ({"Retry-After": IN_6_SECONDS}, {}, 6.0),
        ({"Retry-After": BEFORE}, {}, 0.0),
        ({"Retry-After": "Mon, 15 Jun 2026 14:00:06 +0200"}, {}, 6.0),
        ({"Retry-After": "soon"}, OLD_BODY, 0.8),
        ({"Retry-After": "-5"}, OLD_BODY, 0.8),
        ({}, OLD_BODY, 0.8),
        ({}, {"error": {"rate_reset": "2.5"}}, 2.5),
        ({"x-rate-limit-reset": "2"}, {}, 2.0),
        ({"x-rate-limit-reset": "2"}, OLD_BODY, 0.8),
        ({}, {"error": {"rate_reset": -1}}, None),
        ({}, {"error": {"rate_reset": True}}, None),
        ({}, {"error": "Too many requests"}, None),
        ({}, ["list"], None),
        ({}, None, None),
        ({"Retry-After": "9" * 400}, {}, None),
        ({"Retry-After": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"}, {}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal(answer, status, headers, body, wait):
    """`reset` first, then `Retry-After` (seconds or date), then the old body, then the deprecated header."""
    assert longest_wait(CLOSE.limits(answer(status, headers=headers, json=body), NOW, None)) == wait


def test_a_refusal_in_html(answer):
    """A proxy's page has no body to read, and its header counts."""
    assert longest_wait(CLOSE.limits(answer(503, headers={"Retry-After": "2"}, body=b"<html>"), NOW, None)) == 2.0


@pytest.mark.parametrize("body", [OLD_BODY, {"error": "Too many requests"}, {}, None])
def test_a_429_is_an_error_of_the_budget(answer, body):
    """A 429 is reported as such in both shapes on record."""
    error = CLOSE.error(answer(429, json=body))
    assert (type(error), error.status, error.code) == (RateLimitedError, 429, "HTTP_429")
    assert issubclass(RateLimitedError, TransientError)


@pytest.mark.parametrize("spelling", ["comma", "semicolon", "x-rate-limit", "ratelimit-reset", "absent"])
@pytest.mark.parametrize("retry_after", ["seconds", "date", "absent"])
@pytest.mark.parametrize("old_body", [False, True])
def test_every_spelling_on_the_wire(connect, sandbox, spelling, retry_after, old_body):
    """In every form of the wait the call waits about as long, and lands; without any it waits a moment."""
    hook = connect("close")
    sandbox.set(
        close_rate_limit_header=spelling,
        close_retry_after=retry_after,
        close_old_429_body=old_body,
        throttle_seconds=2.5,
    )
    sandbox.script(faults=["http_429"], method="PUT")
    before = sandbox.clock.now()
    hook.update_opportunity("oppo_1", {"note": "new"})
    waited = (sandbox.clock.now() - before).total_seconds()
    silent = (spelling, retry_after, old_body) == ("absent", "absent", False)
    assert 0.125 <= waited <= 0.25 if silent else 2.5 <= waited <= 3


@settings(deadline=None, derandomize=True, max_examples=300)
@given(headers=st.dictionaries(st.sampled_from([*HEADERS, "x-rate-limit-reset"]), TEXTS), reset=st.floats() | TEXTS)
@example(headers={"RateLimit": f"limit={'9' * 400}"}, reset=1e308)
@example(headers={"Retry-After": "Mon, 01 Jan 0001 00:00:00 +2359"}, reset="")
@example(headers={"RateLimit-Reset": "0\x1f"}, reset=0.0)
def test_no_header_text_breaks_it(headers, reset):
    """Any headers and bodies: no exception, and no negative, infinite or missing-number wait."""
    response = requests.Response()
    response.status_code = 429
    response.headers.update(headers)
    response._content = json.dumps({"error": {"rate_reset": reset}}).encode()
    (limits,) = CLOSE.limits(response, NOW, None)
    numbers = [one for one in dataclasses.astuple(limits) if one not in (None, "")]
    assert all(number >= 0 and math.isfinite(number) for number in numbers)
