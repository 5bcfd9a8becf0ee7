"""One session against faults over real HTTP, with a clock that does not wait."""

from __future__ import annotations

import gc
import gzip
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.exceptions import (
    AuthenticationError,
    ConfigurationError,
    OutcomeUnknownError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.vendors.credentials import Credentials

from .session_calls import CLOSE, PATCH, PUT, RAZE, add, calls

TRANSIENT = ("http_500", "http_502", "http_503", "http_504", "http_408", "html_200", "html_502", "reset_before")
LANDED = ("reset_after", "truncated", "http_500_after", "http_504_after", "html_502_after", "html_200_after")


# Attempts


@pytest.mark.parametrize("fault", [*TRANSIENT, *LANDED])
def test_a_fault_that_passes_is_survived(raze, sandbox, time, fault):
    """5xx, a proxy's page, cut answers and resets, before and after the write: the PUT is sent again and lands."""
    sandbox.script(faults=[fault, fault])
    record = raze.write(PUT, "opp_1")
    assert (record["notes"], sandbox.raze.opportunity("opp_1")["notes"]) == ("new", "new")
    assert (raze.calls, sandbox.audit.count(method="PUT"), len(time.slept)) == (3, 3, 2)


@settings(deadline=None, derandomize=True)
@given(attempt=st.integers(1, 60), jitter=st.floats(0, 1))
def test_backoff_bounds(attempt, jitter):
    """The wait doubles from 0.25 s up to 30 s, and jitter takes at most half of it away."""
    full = min(30.0, 0.25 * 2 ** (attempt - 1))
    assert full / 2 <= RetryRules().backoff(attempt, jitter) <= full


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_waits_between_attempts(sandbox, connect, time, jitter):
    """A call is tried 8 times, with a growing wait before each further attempt, and none after the last."""
    script = sandbox.script(faults=["http_503"] * 10)
    with pytest.raises(TransientError, match="503") as exhausted:
        connect(sandbox.url, jitter=jitter).write(PUT, "opp_1")
    assert time.slept == [RetryRules().backoff(attempt, jitter) for attempt in range(1, 8)]
    assert (script.left, exhausted.value.record_id) == (2, "opp_1")


@pytest.mark.parametrize("fault", ["http_500", "reset_after", "truncated"])
def test_a_call_that_is_repeated_holds_no_other(sandbox, fault):
    """While one call waits for a quarter of a second, that of another thread is sent and waits for nothing."""
    seconds, slept = [0.0], []

    def sleep(wait):
        slept.append((threading.current_thread().name, wait, len(sandbox.audit.calls)))
        other.start()
        other.join(10)
        seconds[0] += wait

    clock = Clock(monotonic=lambda: seconds[0], sleep=sleep, jitter=lambda: 1.0)
    with Session(Account(RAZE, sandbox.url, Credentials(sandbox.raze.api_key)), clock=clock) as session:
        other = threading.Thread(target=session.read, args=("opp_1",))
        sandbox.script(faults=[fault])
        session.write(PUT, "opp_1")
    assert slept == [(threading.current_thread().name, 0.25, 1)]
    assert [call.method for call in sandbox.audit.calls] == ["PUT", "GET", "PUT"]


def test_attempts_end_with_the_total_time(sandbox, connect, time):
    """No attempt starts after the total time, however many are left."""
    sandbox.set(fault_rates={"http_503": 1.0})
    with pytest.raises(TransientError):
        connect(sandbox.url, attempts=1000, total=20.0).write(PUT, "opp_1")
    assert 0 < time.seconds <= 20.0


def test_a_rejected_row_is_not_tried_again(raze, sandbox, time):
    """400 and 404 are final: one call, no wait."""
    with pytest.raises(RejectedError):
        raze.write(calls({"notes": "new"}, "opp_none")[0], "opp_none")
    assert (raze.calls, time.slept) == (1, [])


@pytest.mark.parametrize("fault", ["http_401", "http_403"])
def test_a_refused_key_is_not_tried_again(raze, sandbox, time, fault):
    """401 and 403 are final: one call, no wait."""
    sandbox.script(faults=[fault])
    with pytest.raises(AuthenticationError):
        raze.write(PUT, "opp_1")
    assert (raze.calls, time.slept) == (1, [])


def test_a_503_that_names_a_wait_is_obeyed(serve, connect, time):
    """A 503 with `Retry-After` waits as long as it says, not as long as the backoff; beyond `defer_after` it ends."""
    with pytest.raises(TransientError) as short:
        connect(serve(status=503, headers={"Retry-After": "40"}).url, attempts=2).write(PUT, "opp_1")
    with pytest.raises(TransientError) as long:
        connect(serve(status=503, headers={"Retry-After": "61"}).url).write(PUT, "opp_1")
    assert (time.slept, short.value.retry_after, long.value.retry_after) == ([40.0], 40.0, 61.0)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_record_is_no_success(serve, connect, status):
    """2xx and 304 without a body show nothing as written."""
    with pytest.raises(TransientError, match="without a record"):
        connect(serve(status=status, body=b"").url, attempts=2).write(PUT, "opp_1")


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_answer_that_cannot_be_decoded(serve, connect):
    """A body that contradicts its `Content-Encoding` is an answer without a record."""
    server = serve(headers={"Content-Encoding": "gzip"}, body=gzip.compress(b"{}")[:-12] + b"garbage-garbage-")
    with pytest.raises(TransientError) as failed:
        connect(server.url, attempts=2).write(PUT, "opp_1")
    assert (failed.value.code, len(server.received)) == ("NO_RECORD", 2)
    del failed
    gc.collect()  # requests leaves the connection of such an answer to the garbage collector


# Not replayable


@pytest.mark.parametrize("fault", LANDED)
def test_what_landed_is_not_sent_twice(raze, sandbox, fault):
    """A stage whose answer was lost is read back; it landed, so `won_at` is not stamped a second time."""
    sandbox.script(faults=[fault])
    record = raze.write(PATCH, "opp_1")
    assert record["status"] == "won"
    assert [call.method for call in sandbox.audit.calls] == ["PATCH", "GET"]


@pytest.mark.parametrize("fault", ["reset_before", "http_500", "html_502", "html_200", "http_503"])
def test_what_did_not_land_is_sent_again(raze, sandbox, fault):
    """A stage whose answer was lost is read back; it did not land, so it is sent again."""
    sandbox.script(faults=[fault])
    assert raze.write(PATCH, "opp_1")["status"] == "won"
    assert [call.method for call in sandbox.audit.calls] == ["PATCH", "GET", "PATCH"]


def test_what_cannot_be_read_back_is_unknown(sandbox, connect):
    """With a key that may not read, a stage may have landed: the outcome says so, and it is not sent twice."""
    session = connect(sandbox.url, key=sandbox.raze.add_key(["opportunities:write"]))
    sandbox.script(faults=["reset_after"])
    with pytest.raises(
        OutcomeUnknownError, match=r"not known whether stage landed.*INSUFFICIENT_PERMISSIONS"
    ) as unknown:
        session.write(PATCH, "opp_1")
    assert (unknown.value.vendor, unknown.value.code, unknown.value.record_id) == ("raze", "NO_ANSWER", "opp_1")
    assert [call.method for call in sandbox.audit.calls] == ["PATCH", "GET"]


@pytest.mark.parametrize("read_fault", ["http_404", "http_500", "http_429"])
def test_a_read_back_that_fails_is_unknown(sandbox, connect, read_fault):
    """If the record cannot be read back for any reason, a stage is not sent twice on a guess."""
    sandbox.set(throttle_seconds=3600.0)
    sandbox.script(faults=["reset_after"], method="PATCH")
    sandbox.script(faults=[read_fault] * 9, method="GET")
    with pytest.raises(OutcomeUnknownError):
        connect(sandbox.url).write(PATCH, "opp_1")
    assert sandbox.audit.count(method="PATCH") == 1


def test_the_last_attempt_is_read_back_too(sandbox, connect):
    """Also when no attempt is left: a stage that landed is a success, not a failure."""
    sandbox.script(faults=["reset_after"])
    assert connect(sandbox.url, attempts=1).write(PATCH, "opp_1")["status"] == "won"


def test_a_replayable_call_is_not_read_back(raze, sandbox):
    """A PUT of the same values does no harm: it is repeated without a read, which a write-only key may not make."""
    sandbox.script(faults=["reset_after"])
    raze.write(PUT, "opp_1")
    assert [call.method for call in sandbox.audit.calls] == ["PUT", "PUT"]


@pytest.mark.parametrize(("fault", "puts"), [("reset_after", 1), ("reset_before", 2)])
def test_adding_a_value_is_not_replayable(sandbox, connect, fault, puts):
    """What Close does with `.add` of a value that is there is not documented: it is read back before it is repeated."""
    session = connect(sandbox.url, vendor=CLOSE, key=sandbox.close.api_key)
    call = add(session)
    sandbox.script(faults=[fault], method="PUT")
    assert session.write(call, "oppo_1")["custom.cf_products"] == ["Core"]
    assert sandbox.audit.count(method="PUT") == puts


class Slow(type(RAZE)):
    """A vendor whose errors say how long to wait, where no limit does."""

    def error(self, response):
        """Ask for two seconds."""
        err = super().error(response)
        err.retry_after = 2.0
        return err


def test_an_error_that_names_a_wait(serve, connect, time):
    """A temporary error is tried again after the wait that it names; a wait that a limit names takes precedence."""
    body = b'{"success": true, "data": {"id": "opp_1"}}'
    quick = serve(first=[503], body=body)
    assert connect(quick.url, vendor=Slow()).read("opp_1") == {"id": "opp_1"}
    assert time.slept == [2.0]
    slow = serve(first=[503], body=body, headers={"Retry-After": "5"})
    assert connect(slow.url, vendor=Slow()).read("opp_1") == {"id": "opp_1"}
    assert time.slept == [2.0, 5.0]


# Reading


def test_the_catalogue_is_asked_for_once(sandbox, connect):
    """Stages and custom fields are read once per session, and custom fields only when one is mapped."""
    session = connect(sandbox.url, vendor=CLOSE, key=sandbox.close.api_key)
    for _ in range(3):
        session.catalogue(("stage",))
        session.catalogue(("custom.cf_health", "stage"))
    paths = [call.path for call in sandbox.audit.calls]
    assert paths == ["/api/v1/me/", "/api/v1/me/", "/api/v1/custom_field_schema/opportunity/"]


def test_a_catalogue_that_is_refused(sandbox, connect):
    """A host that does not show its fields is a wrong set-up, not a rejected row."""
    sandbox.script(faults=["http_404"])
    with pytest.raises(ConfigurationError, match="does not show the fields of the account") as refused:
        connect(sandbox.url, vendor=CLOSE, key=sandbox.close.api_key).catalogue(("stage",))
    assert refused.value.status == 404


def test_calls_are_counted(raze, sandbox):
    """`calls` counts every HTTP call, attempts and reads included."""
    sandbox.script(faults=["reset_before", None, "http_500"])
    raze.write(PATCH, "opp_1")
    assert raze.calls == len(sandbox.audit.calls) == 5
