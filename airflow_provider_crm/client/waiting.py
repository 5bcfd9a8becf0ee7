"""Measure how long calls wait: for the rate limit, before a call is repeated, for another run's claim."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_crm.clock import Clock


class Waiting:
    """The time that one session's threads spend waiting; time spent waiting for an answer is not counted.

    Args:
        clock: Time; the clock below sleeps by this one.

    Attributes:
        clock: The same clock, whose sleep is counted.
        seconds: Seconds in which at least one thread slept, up to the last one that woke. Threads that sleep at the
            same time count once.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = replace(clock, sleep=self._sleep)
        self.seconds = 0.0
        self._inner = clock
        self._lock = threading.Lock()
        self._asleep = 0
        self._since = 0.0
        self._of_thread = threading.local()

    def limit_seconds(self) -> float:
        """Return for how many seconds the calling thread has waited for the rate limit so far."""
        seconds: float = getattr(self._of_thread, "limit_seconds", 0.0)
        return seconds

    @contextmanager
    def for_limit(self) -> Iterator[None]:
        """Count the time in this block as the calling thread's wait for the rate limit."""
        began = self._inner.monotonic()
        try:
            yield
        finally:
            self._of_thread.limit_seconds = self.limit_seconds() + self._inner.monotonic() - began

    def _sleep(self, seconds: float) -> None:
        with self._lock:
            if self._asleep == 0:
                self._since = self._inner.monotonic()
            self._asleep += 1
        try:
            self._inner.sleep(seconds)
        finally:
            with self._lock:
                self._asleep -= 1
                if self._asleep == 0:
                    self.seconds += self._inner.monotonic() - self._since
