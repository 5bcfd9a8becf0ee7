"""The gate that all threads of one account share."""

from __future__ import annotations

import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_crm.budget import Clock, Gate


class Time:
    """Time that passes only by waiting."""

    def __init__(self):
        self.seconds = 0.0
        self.slept = []
        self._lock = threading.Lock()

    def sleep(self, seconds):
        """Pass the time for everybody."""
        with self._lock:
            self.slept.append(seconds)
            self.seconds += seconds

    def clock(self, jitter=0.0):
        """The clock that tells this time."""
        return Clock(monotonic=lambda: self.seconds, sleep=self.sleep, jitter=lambda: jitter)


def test_an_open_gate_costs_nothing():
    """Nobody waits before the first refusal."""
    time = Time()
    Gate(time.clock()).wait()
    assert time.slept == []


def test_a_hold_stops_everybody():
    """After a hold every thread passes only once the window has opened, and all of them do."""
    time, passed = Time(), []
    gate = Gate(time.clock())
    gate.hold(10)

    def work():
        gate.wait()
        passed.append(time.seconds)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert (len(passed), min(passed) >= 10) == (8, True)


@settings(deadline=None, derandomize=True)
@given(holds=st.lists(st.floats(0, 1000), min_size=1))
def test_a_shorter_hold_never_opens_the_gate_earlier(holds):
    """Of several holds the longest counts, in whatever order they come."""
    time = Time()
    gate = Gate(time.clock())
    for hold in holds:
        gate.hold(hold)
    gate.wait()
    assert time.seconds >= max(holds)


def test_a_hold_during_the_wait_is_honoured():
    """A thread that wakes up to a new hold waits on."""
    time = Time()
    gate = Gate(
        Clock(monotonic=lambda: time.seconds, sleep=lambda seconds: (time.sleep(seconds), extend()), jitter=lambda: 0.0)
    )
    further = [5.0]

    def extend():
        if further:
            gate.hold(further.pop())

    gate.hold(10)
    gate.wait()
    assert (time.slept, time.seconds) == ([10, 5], 15)


def test_threads_leave_with_a_little_spread():
    """Jitter spreads the moment of leaving by at most a twentieth of a second."""
    time = Time()
    gate = Gate(time.clock(jitter=1.0))
    gate.hold(10)
    gate.wait()
    assert 10 <= time.seconds <= 10.05
