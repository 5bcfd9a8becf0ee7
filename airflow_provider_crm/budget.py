"""Pacing: what all threads of one account share about the vendor's budget."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

# A wait of less than a float's precision would never pass.
_SHORTEST_SLEEP = 0.001


# A wait of less than a float's precision would never pass.
_SHORTEST_SLEEP = 0.001


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """Every way in which time enters; tests pass their own.

    Attributes:
        monotonic: Seconds that never run backwards, for durations.
        now: The wall clock, aware, for time zones and the vendor's own dates.
        sleep: Wait that many seconds.
        jitter: A random number from 0 to 1, so that waiting clients spread out.
    """

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = _utc_now
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random


class Gate:
    """Lets calls pass, or holds all threads together until the vendor's window opens."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._opens_at = clock.monotonic()

    def hold(self, seconds: float) -> None:
        """Close the gate for everybody; a shorter hold never opens it earlier."""
        with self._lock:
            self._opens_at = max(self._opens_at, self._clock.monotonic() + seconds)

    def wait(self) -> None:
        """Return when the gate is open; a little spread keeps all threads from leaving in the same instant."""
        while (seconds := self._seconds_left()) > 0:
            self._clock.sleep(max(seconds, _SHORTEST_SLEEP) + 0.05 * self._clock.jitter())

    def _seconds_left(self) -> float:
        with self._lock:
            return self._opens_at - self._clock.monotonic()
