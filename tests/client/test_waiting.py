"""Counted waits, with time that passes only when a test says so."""

from __future__ import annotations

import threading

import pytest

from airflow_provider_crm.client.waiting import Waiting
from airflow_provider_crm.clock import Clock


def test_a_sleep_is_counted():
    """Two waits, one after the other, add up; time between them does not count."""
    now = [0.0]
    waiting = Waiting(Clock(monotonic=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds)))
    waiting.clock.sleep(2.5)
    now[0] += 60
    waiting.clock.sleep(1.0)
    assert waiting.seconds == 3.5


def test_threads_that_wait_together_count_once():
    """Four threads that sleep through the same ten seconds are ten seconds, not forty."""
    now, together = [0.0], threading.Barrier(5)

    def sleep(seconds):
        together.wait(timeout=10)
        together.wait(timeout=10)

    waiting = Waiting(Clock(monotonic=lambda: now[0], sleep=sleep))
    threads = [threading.Thread(target=waiting.clock.sleep, args=(10,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    together.wait(timeout=10)
    now[0] += 10
    together.wait(timeout=10)
    for thread in threads:
        thread.join()
    assert waiting.seconds == 10


def test_a_wait_that_is_broken_off_counts_as_far_as_it_went():
    """An exception in a sleep leaves the count right for the next one."""
    now = [0.0]

    def sleep(seconds):
        now[0] += 1
        if seconds > 1:
            raise KeyboardInterrupt

    waiting = Waiting(Clock(monotonic=lambda: now[0], sleep=sleep))
    with pytest.raises(KeyboardInterrupt):
        waiting.clock.sleep(5)
    now[0] += 60
    waiting.clock.sleep(1)
    assert waiting.seconds == 2


def test_each_thread_has_its_own_wait_for_the_rate_limit():
    """One that waited 3 + 4 seconds counts 7, also where an error ends a wait; another one that did not, none."""
    now = [0.0]
    waiting = Waiting(Clock(monotonic=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds)))

    def pass_and_fail():
        now[0] += 4
        raise TimeoutError

    with waiting.for_limit():
        waiting.clock.sleep(3)
    waiting.clock.sleep(60)
    with pytest.raises(TimeoutError), waiting.for_limit():
        pass_and_fail()
    others = []
    thread = threading.Thread(target=lambda: others.append(waiting.limit_seconds()))
    thread.start()
    thread.join()
    assert (waiting.limit_seconds(), others) == (7, [0])
