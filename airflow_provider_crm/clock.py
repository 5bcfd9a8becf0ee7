"""Provide time and sleep as values, so that tests pass a clock of their own."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """The sources of time; tests pass a clock of their own.

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
