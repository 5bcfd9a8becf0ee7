"""The answer of each fault to a client, and whether the write was applied."""

from __future__ import annotations

import threading
import time

import pytest
import requests

from airflow_provider_crm.sandbox import Fault

CLOSE = "/opportunity/oppo_1/"
RAZE = "/opportunities/opp_1"


@pytest.fixture
def put(close):
    """Return one PUT that would set the value to 1."""
    return lambda: close.put(CLOSE, {"value": 1})


def applied(sandbox):
    """Return whether that PUT took effect."""
    return sandbox.close.opportunity("oppo_1")["value"] == 1


def wait_for(condition):
    """Wait until the sandbox has got so far, five seconds at most."""
    deadline, pause = time.monotonic() + 5, threading.Event()
    while not condition() and time.monotonic() < deadline:
        pause.wait(0.005)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 500, 502, 503, 504, 599])
def test_http_status_is_not_applied(put, sandbox, status):
    """An injected status comes with Close's error body, and nothing is written."""
    sandbox.script(faults=[f"http_{status}"])
    answer = put()
    assert (answer.status_code, list(answer.json()), applied(sandbox)) == (status, ["error"], False)


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "INVALID_API_KEY"), (403, "INSUFFICIENT_PERMISSIONS"), (409, "CONFLICT"), (500, "INTERNAL_ERROR")],
)
def test_http_status_of_raze_is_in_the_envelope(raze, sandbox, status, code):
    """For Raze an injected status comes in the error envelope with its code."""
    sandbox.script(faults=[f"http_{status}"])
    answer = raze.put(RAZE, {"notes": "x"})
    assert (answer.status_code, answer.json()["error"]["code"], sandbox.audit.writes) == (status, code, [])


@pytest.mark.parametrize("fault", ["http_504_after", "http_500_after", "html_502_after"])
def test_error_after_the_write(put, sandbox, fault):
    """With `_after` the error hides a write that was applied."""
    sandbox.script(faults=[fault])
    assert (put().status_code, applied(sandbox)) == (int(fault[5:8]), True)


@pytest.mark.parametrize("status", [200, 502])
def test_html_page(put, sandbox, status):
    """An HTML page comes in place of the answer, with 200 too, and nothing is written."""
    sandbox.script(faults=[f"html_{status}"])
    answer = put()
    shown = (answer.status_code, answer.headers["content-type"], answer.text[:15])
    assert (shown, applied(sandbox)) == ((status, "text/html", "<!DOCTYPE html>"), False)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_to_another_host_name(put, sandbox, status):
    """A redirect leads to the same path on the host name `localhost` by default."""
    sandbox.script(faults=[f"redirect_{status}"])
    answer = put()
    expected = sandbox.url.replace("127.0.0.1", "localhost") + "/api/v1" + CLOSE
    assert (answer.status_code, answer.headers["location"], applied(sandbox)) == (status, expected, False)


def test_redirect_to_a_given_url(put, sandbox):
    """The target of redirects can be set."""
    sandbox.set(redirect_to="https://elsewhere.example/")
    sandbox.script(faults=["redirect_307"])
    assert put().headers["location"] == "https://elsewhere.example/"


@pytest.mark.parametrize(("fault", "written"), [("reset_before", False), ("reset_after", True)])
def test_reset(put, sandbox, fault, written):
    """The connection is reset without an answer, before or after the write."""
    sandbox.script(faults=[fault])
    with pytest.raises(requests.ConnectionError, match="Connection reset by peer"):
        put()
    assert applied(sandbox) is written


def test_truncated_body(put, sandbox):
    """The body ends half-way, after the write."""
    sandbox.script(faults=["truncated"])
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        put()
    assert applied(sandbox)


def test_client_can_go_on_after_a_cut(put, sandbox):
    """After a reset or a truncated body the next call gets a new connection and a right answer."""
    sandbox.script(faults=["reset_before", "truncated"])
    for _ in range(2):
        with pytest.raises(requests.RequestException):
            put()
    assert put().status_code == 200


def test_slow_answer_is_applied_at_once(close, sandbox):
    """A slow answer comes too late for the client's timeout, although the write was applied."""
    sandbox.set(slow_seconds=30)
    sandbox.script(faults=["slow"])
    with pytest.raises(requests.ReadTimeout):
        close.session.put(close.base + CLOSE, json={"value": 1}, timeout=0.05)
    wait_for(lambda: sandbox.audit.writes)
    assert applied(sandbox)


def test_slow_answer_arrives(put, sandbox):
    """A slow answer takes `slow_seconds`."""
    sandbox.set(slow_seconds=0.05)
    sandbox.script(faults=["slow"])
    start = time.monotonic()
    assert (put().status_code, time.monotonic() - start >= 0.05) == (200, True)


def test_late_call_is_overtaken(close, sandbox):
    """A late call is applied after `slow_seconds`; a call that arrives in between is applied before it."""
    sandbox.set(slow_seconds=0.5)
    sandbox.script(faults=["late"])
    with pytest.raises(requests.ReadTimeout):
        close.session.put(close.base + CLOSE, json={"value": 1}, timeout=0.05)
    close.put(CLOSE, {"value": 2})
    wait_for(lambda: len(sandbox.audit.writes) == 2)
    assert [write.fields for write in sandbox.audit.writes] == [{"value": 2}, {"value": 1}]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_ignored_write_of_close(close, sandbox, method):
    """An ignored write is 200 and changes nothing."""
    sandbox.script(faults=["ignore"])
    answer = close(method, CLOSE, json={"value": 1})
    assert (answer.status_code, sandbox.close.opportunity("oppo_1")["value"], sandbox.audit.writes) == (200, 50_000, [])


def test_ignored_write_echoes_the_old_record(put, sandbox):
    """The echo of an ignored write shows the old value."""
    sandbox.script(faults=["ignore"])
    assert put().json()["value"] == 50_000


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("PUT", RAZE, {"notes": "x"}), ("PATCH", RAZE + "/stage", {"status": "won"}), ("DELETE", RAZE, None)],
)
def test_ignored_write_of_raze(raze, sandbox, method, path, body):
    """For Raze an ignored write is a success, too."""
    sandbox.script(faults=["ignore"])
    answer = raze(method, path, json=body)
    record = sandbox.raze.opportunity("opp_1")
    assert (answer.json()["success"], record["notes"], record["status"]) == (True, None, "new")


@pytest.mark.parametrize("path", [CLOSE, "/opportunity/"])
def test_stale_read_of_close(close, sandbox, path):
    """A stale read, of one record or of the list, shows the record as it was before its last write."""
    close.put(CLOSE, {"value": 1})
    sandbox.script(method="GET", faults=["stale"])
    values = [close.get(path).json() for _ in range(2)]
    assert [body.get("value", body.get("data", [{}])[0].get("value")) for body in values] == [50_000, 1]


def test_stale_read_of_raze(raze, sandbox):
    """For Raze a stale read shows the record as it was, too."""
    raze.put(RAZE, {"notes": "x"})
    sandbox.script(method="GET", faults=["stale", "stale"])
    one = raze.get(RAZE).json()["data"]["notes"]
    listed = raze.get("/opportunities").json()["data"]["opportunities"][0]["notes"]
    assert (one, listed) == (None, None)


def test_stale_read_of_a_deleted_record(close, sandbox):
    """A stale read after DELETE still finds the record."""
    close("DELETE", CLOSE)
    sandbox.script(faults=["stale"])
    assert [close.get(CLOSE).status_code for _ in range(2)] == [200, 404]


def test_script_goes_call_by_call(put, sandbox):
    """A script is used up one entry for each call; None lets a call through; afterwards all is normal."""
    script = sandbox.script(faults=["http_503", None, "http_500"])
    assert ([put().status_code for _ in range(3)], script.left) == ([503, 200, 500], 0)
    assert put().status_code == 200


def test_script_matches_vendor_method_and_path(close, raze, sandbox):
    """A script waits for the calls that it is for."""
    script = sandbox.script(vendor="close", method="PUT", path="/api/v1" + CLOSE, faults=["http_503"])
    others = [close.get(CLOSE), raze.put(RAZE, {"notes": "x"}), close.put("/opportunity/x/", {})]
    assert ([one.status_code for one in others], script.left) == ([200, 200, 404], 1)
    assert close.put(CLOSE, {}).status_code == 503


def test_scripts_queue_up(put, sandbox):
    """Of two matching scripts the first is used up first."""
    sandbox.script(faults=["http_500"])
    sandbox.script(faults=["http_503"])
    assert [put().status_code for _ in range(2)] == [500, 503]


def test_rate_of_one_hits_every_call(put, close, sandbox):
    """A rate of 1 hits every call, reads too."""
    sandbox.set(fault_rates={"http_403": 1.0})
    assert [put().status_code, close.get("/me/").status_code] == [403, 403]


def test_rates_repeat_with_the_seed(put, sandbox):
    """The same seed gives the same faults, another one others."""
    runs = []
    for seed in (1, 1, 2):
        sandbox.set(fault_rates={"http_503": 0.3, "http_500": 0.3}, seed=seed)
        runs.append([put().status_code for _ in range(20)])
    assert (runs[0] == runs[1], runs[0] == runs[2], set(runs[0])) == (True, False, {200, 500, 503})


def test_rates_can_be_for_some_methods(put, close, sandbox):
    """With `fault_methods` the rates leave other methods alone."""
    sandbox.set(fault_rates={"http_503": 1.0}, fault_methods={"GET"})
    assert [put().status_code, close.get(CLOSE).status_code] == [200, 503]


def test_rates_can_be_for_one_vendor(put, raze, sandbox):
    """With `fault_vendors` the rates leave the other vendor alone."""
    sandbox.set(fault_rates={"http_503": 1.0}, fault_vendors=["raze"])
    assert [put().status_code, raze.get(RAZE).status_code] == [200, 503]


@pytest.mark.parametrize(
    "name",
    [
        "http_200",
        "http_503_remaining",
        "http_503_bare",
        "html_429_bare",
        "html_100",
        "redirect_304",
        "redirect_307_after",
        "oops",
    ],
)
def test_unknown_fault_is_refused(name):
    """A fault that doesn't exist is an error that lists the ones that do."""
    with pytest.raises(ValueError, match="Known faults: http_<400-599>"):
        Fault.parse(name)


def test_a_bare_429_says_nothing(close, raze, sandbox):
    """Neither vendor's bare 429 names a limit or a wait, and it uses up no call."""
    sandbox.set(close_limit=5, raze_limit=5)
    sandbox.script(faults=["http_429_bare", "http_429_bare"])
    for answer in (close.get(CLOSE), raze.get(RAZE)):
        assert (answer.status_code, "retry" in answer.text.lower()) == (429, False)
        assert [name for name in answer.headers if "rate" in name.lower() or name.lower() == "retry-after"] == []
    assert raze.get(RAZE).headers["X-RateLimit-Remaining"] == "4"
