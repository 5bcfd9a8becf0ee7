"""Claims about every form of Raze's rate limit on record, and about any text in its place."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math

import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_crm.exceptions import RateLimitedError
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.limits import Limits, longest_wait

RAZE = VENDORS["raze"]
NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
EPOCH = int(NOW.timestamp())
HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After")
TEXTS = st.one_of(
    st.text(max_size=30), st.text("0123456789.eE+-", max_size=40), st.integers(0, 400).map(lambda digits: "9" * digits)
)


def limited(retry_after=None):
    """Return the documented body of a 429."""
    error = {"code": "RATE_LIMIT_EXCEEDED", "message": "Rate limit exceeded"}
    return {"success": False, "error": error if retry_after is None else error | {"retry_after": retry_after}}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "999", "X-RateLimit-Reset": str(EPOCH + 1800)},
            Limits(None, 1000, 999, 1800.0),
        ),
        ({"X-RateLimit-Reset": str(EPOCH + 1800), "Date": "Mon, 15 Jun 2026 12:10:00 GMT"}, Limits(reset=1800.0)),
        ({"X-RateLimit-Reset": "30"}, Limits(reset=30.0)),
        ({"x-ratelimit-remaining": "0"}, Limits(None, None, 0, None)),
        ({"X-RateLimit-Reset": str(EPOCH - 5)}, Limits(None, None, None, 0.0)),
        ({"X-RateLimit-Reset": str(EPOCH + 0.5)}, Limits(None, None, None, 0.5)),
        ({"X-RateLimit-Limit": "many", "X-RateLimit-Remaining": "-1", "X-RateLimit-Reset": "soon"}, Limits()),
        ({}, Limits()),
    ],
)
def test_an_answer_that_is_no_refusal(answer, headers, expected):
    """The reset is epoch seconds of the vendor's clock, which the session finds out, and a 200 asks for no wait."""
    (limits,) = RAZE.limits(answer(200, headers=headers, json={}), NOW, None)
    assert dataclasses.replace(limits, grain=None) == expected


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ({"X-RateLimit-Reset": str(EPOCH + 1800)}, limited(3600), 3600.0),
        ({"Retry-After": "60", "X-RateLimit-Reset": str(EPOCH + 1800)}, limited(), 60.0),
        ({"Retry-After": "Mon, 15 Jun 2026 12:01:00 GMT"}, limited(), 60.0),
        ({"X-RateLimit-Reset": str(EPOCH + 1800)}, limited(), 1800.0),
        ({"X-RateLimit-Reset": str(EPOCH - 10)}, limited(), 0.0),
        ({}, limited("90"), 90.0),
        ({}, limited(0), 0.0),
        ({"Retry-After": "7"}, limited(-1), 7.0),
        ({"Retry-After": "7"}, limited(True), 7.0),  # noqa: FBT003
        ({"Retry-After": "7"}, limited([60]), 7.0),
        ({}, limited(), None),
        ({}, {"success": False, "message": "Too many requests"}, None),
        ({}, None, None),
        ({"Retry-After": "9" * 400}, limited(), None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal(answer, status, headers, body, wait):
    """`error.retry_after` first, then a `Retry-After` header, then the epoch of the window's end, then nothing."""
    assert longest_wait(RAZE.limits(answer(status, headers=headers, json=body), NOW, None)) == wait


def test_a_refusal_in_html(answer):
    """A proxy's page has no body to read, and its header counts."""
    assert longest_wait(RAZE.limits(answer(503, headers={"Retry-After": "2"}, body=b"<html>"), NOW, None)) == 2.0


@pytest.mark.parametrize("status", [429, 403, 400])
def test_the_code_counts_before_the_status(answer, status):
    """`RATE_LIMIT_EXCEEDED` is an error of the rate limit with any status."""
    assert type(RAZE.error(answer(status, json=limited(5)))) is RateLimitedError


def test_an_hour_is_the_callers(connect, sandbox):
    """A window of an hour that is used up is known to be: its end is reported to the second, and no call is refused."""
    sandbox.clock.set(NOW + dt.timedelta(minutes=10))
    sandbox.set(raze_limit=2)
    hook = connect("raze")
    for _ in range(2):
        hook.update_opportunity("opp_1", {"notes": "new"})
    with pytest.raises(RateLimitedError) as used_up:
        hook.update_opportunity("opp_1", {"notes": "new"})
    assert (used_up.value.retry_after, used_up.value.code) == (3000.0, "BUDGET_USED_UP")
    assert [call.status for call in sandbox.audit.calls] == [200, 200]


@settings(deadline=None, derandomize=True, max_examples=300)
@given(headers=st.dictionaries(st.sampled_from(HEADERS), TEXTS), retry_after=st.floats() | TEXTS | st.integers())
@example(headers={"X-RateLimit-Limit": "9" * 400}, retry_after=1e308)
@example(headers={"X-RateLimit-Reset": "9" * 400}, retry_after="")
@example(headers={"X-RateLimit-Reset": "0\x1f"}, retry_after=0)
def test_no_header_text_breaks_it(headers, retry_after):
    """Any headers and bodies: no exception, and no negative, infinite or missing-number wait."""
    response = requests.Response()
    response.status_code = 429
    response.headers.update(headers)
    response._content = json.dumps(limited(retry_after)).encode()
    (limits,) = RAZE.limits(response, NOW, None)
    numbers = [one for one in dataclasses.astuple(limits) if one not in (None, "")]
    assert all(number >= 0 and math.isfinite(number) for number in numbers)
