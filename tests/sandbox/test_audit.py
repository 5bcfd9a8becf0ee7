"""The audit: calls, writes, counts, connections."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
import requests

ONE = "/opportunity/oppo_1/"


def test_call_is_recorded_as_received(close, sandbox):
    """A call keeps its raw path, query, headers in lower case, body, status and time."""
    sandbox.clock.set(datetime(2026, 5, 4, tzinfo=UTC))
    close.put("/opportunity/a%2Fb/?x=1", {"value": 1}, headers={"X-TZ-Offset": "2"})
    call = sandbox.audit.calls[0]
    shown = (call.number, call.vendor, call.method, call.path, call.query, call.body, call.status, call.at)
    at = datetime(2026, 5, 4, tzinfo=UTC)
    assert shown == (1, "close", "PUT", "/api/v1/opportunity/a%2Fb/", {"x": "1"}, {"value": 1}, 404, at)
    assert call.headers["x-tz-offset"] == "2"


def test_fractions_are_exact(raze, sandbox):
    """Numbers with a fraction stay as they were on the wire."""
    body = b'{"deal_value": 0.10}'
    raze("PUT", "/opportunities/opp_1", data=body, headers={"Content-Type": "application/json"})
    assert str(sandbox.audit.calls[0].body["deal_value"]) == "0.10"


def test_body_that_is_no_json_is_none(close, sandbox):
    """The body of a malformed call is None."""
    close("PUT", ONE, data=b"{", headers={"Content-Type": "application/json"})
    assert sandbox.audit.calls[0].body is None


def test_cut_call_has_no_status(close, sandbox):
    """A call whose connection was cut has no status, and names its fault."""
    sandbox.script(faults=["reset_after"])
    with pytest.raises(requests.ConnectionError):
        close.put(ONE, {"value": 1})
    assert [(call.status, call.fault) for call in sandbox.audit.calls] == [(None, "reset_after")]


def test_writes_are_in_order_of_effect(close, raze, sandbox):
    """Writes of both vendors stand in one order, with the fields as sent and the number of their call."""
    close.get(ONE)
    close.put(ONE, {"value": 1, "unknown": 2})
    raze.put("/opportunities/opp_1", {"deal_value": 0.1})
    shown = [(one.number, one.vendor, one.record_id, one.fields) for one in sandbox.audit.writes]
    assert shown == [(2, "close", "oppo_1", {"value": 1}), (3, "raze", "opp_1", {"deal_value": Decimal("0.1")})]


def test_refused_writes_are_not_listed(close, sandbox):
    """A write that was refused isn't among the writes."""
    close.put(ONE, {"value": "x"})
    assert sandbox.audit.writes == []


def test_writes_that_hide_behind_an_error_are_listed(close, sandbox):
    """A write that was applied is listed after any answer to the client."""
    sandbox.script(faults=["http_504_after"])
    close.put(ONE, {"value": 1})
    assert len(sandbox.audit.writes) == 1


@pytest.mark.parametrize(
    ("filters", "number"),
    [
        ({}, 4),
        ({"vendor": "close"}, 3),
        ({"method": "GET"}, 2),
        ({"vendor": "close", "method": "PUT"}, 2),
        ({"path": "/api/v1" + ONE}, 2),
        ({"path": "/api/v1" + ONE, "method": "GET"}, 0),
    ],
)
def test_count(close, raze, sandbox, filters, number):
    """Counting takes any combination of vendor, method and path."""
    close.put(ONE, {})
    close.put(ONE, {})
    close.get("/me/")
    raze.get("/")
    assert sandbox.audit.count(**filters) == number


def test_clear_starts_over(close, sandbox):
    """After `clear` numbering starts at 1 again."""
    close.put(ONE, {"value": 1})
    sandbox.audit.clear()
    assert (sandbox.audit.calls, sandbox.audit.writes, sandbox.audit.count()) == ([], [], 0)
    close.get("/me/")
    assert sandbox.audit.calls[0].number == 1


def test_connections_are_counted(close, sandbox):
    """One session makes one connection; a call without a session makes another."""
    close.get("/me/")
    close.get("/me/")
    requests.get(sandbox.url + "/health", timeout=5)
    assert sandbox.audit.connections == 2
