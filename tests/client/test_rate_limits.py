"""Refusals by the rate limit (429): they pause all threads, or their own call, and end with the total time."""

from __future__ import annotations

import contextlib
import math
import threading
from collections import deque

import pytest

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.exceptions import (
    RateLimitedError,
)
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials
from airflow_provider_crm.vendors.limits import Limits

from .session_calls import NOW, PATCH, PUT, RAZE, calls


@pytest.mark.parametrize("vendor", ["close", "raze"])
@pytest.mark.parametrize("fault", ["http_429", "http_429_remaining"])
def test_a_429_is_no_attempt(sandbox, connect, time, vendor, fault):
    """Refusals by the budget don't count as attempts, also when the headers claim that calls remain."""
    session = connect(sandbox.url, vendor=VENDORS[vendor], key=getattr(sandbox, vendor).api_key, attempts=1)
    sandbox.script(faults=[fault] * 20)
    session.read({"close": "oppo_1", "raze": "opp_1"}[vendor])
    assert (session.calls, len(time.slept), min(time.slept) >= 0.9) == (21, 20, True)


def test_a_429_is_not_read_back(raze, sandbox):
    """A refused call had no effect: what is not replayable is simply sent again."""
    sandbox.script(faults=["http_429"])
    raze.write(PATCH, "opp_1")
    assert [call.method for call in sandbox.audit.calls] == ["PATCH", "PATCH"]


def test_a_wait_up_to_defer_after_is_waited_for(raze, sandbox, time):
    """A wait of 60 s is still worth a worker slot."""
    sandbox.set(throttle_seconds=60.0)
    sandbox.script(faults=["http_429"])
    raze.write(PUT, "opp_1")
    assert time.slept == [60.0]


def test_the_longest_wait_of_several_limits_is_waited_for(sandbox, connect, time):
    """Where a refusal shows several limits, the next call is sent when the last of them allows it."""

    class SeveralLimits(type(RAZE)):
        def limits(self, response, now, timezone):
            return tuple(Limits(wait=wait) for wait in (5.0, 40.0, None, 20.0)) if response.status_code == 429 else ()

    sandbox.script(faults=["http_429"])
    connect(sandbox.url, vendor=SeveralLimits()).write(PUT, "opp_1")
    assert time.slept == [40.0]


def test_a_longer_wait_is_the_callers(raze, sandbox, time):
    """A wait above `defer_after` is not waited for: the error says how long it is, and one call was made."""
    sandbox.set(throttle_seconds=3600.0)
    sandbox.script(faults=["http_429"])
    with pytest.raises(RateLimitedError, match="RATE_LIMIT_EXCEEDED") as limited:
        raze.write(PUT, "opp_1")
    assert (limited.value.retry_after, time.slept, raze.calls) == (3600.0, [], 1)


def test_refusals_end_with_the_total_time(raze, sandbox, time):
    """A vendor that refuses without end is given up after the total time, with the wait it asked for."""
    sandbox.set(fault_rates={"http_429": 1.0}, throttle_seconds=50.0)
    with pytest.raises(RateLimitedError) as limited:
        raze.write(PUT, "opp_1")
    assert (limited.value.retry_after, time.seconds) == (50.0, 600.0)


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0"}, {"X-RateLimit-Reset": "1"}])
def test_a_429_without_a_usable_wait_is_not_hammered(serve, connect, time, headers):
    """A refusal that names no wait, or none from now on (clocks differ), is waited out, too, until time is up."""
    server = serve(status=429, headers=headers)
    with pytest.raises(RateLimitedError):
        connect(server.url, total=10.0).write(PUT, "opp_1")
    assert (min(time.slept) >= 0.1, len(server.received) <= 21) == (True, True)


def test_an_isolated_429_holds_only_its_call(serve):
    """Another thread sends its call while the refused one waits, with no wait of its own."""
    seconds, slept = [0.0], []

    def sleep(wait):
        slept.append((threading.current_thread().name, len(server.received)))
        other.start()
        other.join(10)
        seconds[0] += wait

    clock = Clock(monotonic=lambda: seconds[0], sleep=sleep, jitter=lambda: 0.0)
    server = serve(first=[429], body=b'{"id": "oppo_1"}')
    with Session(Account(VENDORS["close"], server.url, Credentials("key")), clock=clock) as session:
        other = threading.Thread(target=session.read, args=("oppo_1",))
        session.read("oppo_1")
    assert (slept, seconds, len(server.received)) == ([(threading.current_thread().name, 1)], [0.125], 3)


def test_a_call_that_is_refused_again_waits_for_longer(serve, connect, time):
    """An eighth of a second, then a quarter; the third refusal in a row pauses all calls. None is an attempt."""
    server = serve(first=[429] * 3, body=b'{"id": "oppo_1"}')
    connect(server.url, vendor=VENDORS["close"], attempts=1).read("oppo_1")
    assert (time.slept, len(server.received)) == ([0.125, 0.25, 0.25], 4)


def test_a_wait_of_its_own_ends_with_the_total_time(serve, connect, time):
    """A call that may not wait for so long ends with the refusal, and says how long it would have been."""
    server = serve(status=429)
    with pytest.raises(RateLimitedError, match="429") as limited:
        connect(server.url, vendor=VENDORS["close"], total=0.1).read("oppo_1")
    assert (limited.value.retry_after, time.slept, len(server.received)) == (0.125, [], 1)


def test_a_refusal_with_another_status_is_one_of_the_limit(serve, connect, time):
    """An adapter that reads a 403 as a used-up limit makes its call wait, as after a 429."""

    class Forbids(type(RAZE)):
        def error(self, response):
            return RateLimitedError("Too many calls.", vendor="raze", status=response.status_code)

    server = serve(first=[403], body=b'{"success": true, "data": {"id": "opp_1"}}')
    connect(server.url, vendor=Forbids()).read("opp_1")
    assert (time.slept, len(server.received)) == ([0.125], 2)


def test_a_429_holds_all_threads_together(sandbox, connect):
    """After a refusal no thread sends anything until the window opens; then each row lands once."""
    sandbox.clock.set(NOW)
    sandbox.set(raze_limit=10, raze_window=30.0)
    now = sandbox.clock.now

    def sleep(seconds):
        sandbox.clock.advance(math.ceil(seconds * 1e6) / 1e6)  # it has microseconds; less would not move it

    clock = Clock(monotonic=lambda: now().timestamp(), now=now, sleep=sleep, jitter=lambda: 0.0)
    account = Account(RAZE, sandbox.url, Credentials(sandbox.raze.api_key))
    todo = deque(f"opp_{row}" for row in range(100, 140))
    for record_id in todo:
        sandbox.raze.add_opportunity(record_id)

    def work(session):
        while todo:
            with contextlib.suppress(IndexError):
                record_id = todo.popleft()
                session.write(calls({"notes": "x"}, record_id)[0], record_id)

    with Session(account, clock=clock) as session:
        threads = [threading.Thread(target=work, args=(session,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    landed = [write.record_id for write in sandbox.audit.writes]
    windows = {call.at.timestamp() // 30 for call in sandbox.audit.calls}
    assert (sorted(landed), len(landed)) == (sorted(set(landed)), 40)
    assert session.calls - 40 <= 4 * len(windows)


def test_a_429_holds_the_other_threads_too(sandbox):
    """A thread that was not refused itself waits as well, before it sends anything."""
    seconds, waited = [0.0], []

    def sleep(wait):
        waited.append((threading.current_thread().name, len(sandbox.audit.calls)))
        if len(waited) == 1:
            other.start()
            other.join(10)
        seconds[0] += wait

    clock = Clock(monotonic=lambda: seconds[0], sleep=sleep, jitter=lambda: 0.0)
    with Session(Account(RAZE, sandbox.url, Credentials(sandbox.raze.api_key)), clock=clock) as session:
        other = threading.Thread(target=session.read, args=("opp_1",), name="other")
        sandbox.script(faults=["http_429"])
        session.write(PUT, "opp_1")
    assert waited[:2] == [(threading.current_thread().name, 1), ("other", 1)]
    assert [call.method for call in sandbox.audit.calls] == ["PUT", "GET", "PUT"]
