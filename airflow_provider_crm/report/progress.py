"""How far a run is while it goes on, and how long it stood still."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.values.opportunity import Outcome

_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class Reading:
    """Where a run stands.

    Attributes:
        rows: Rows that have their outcome, those before a deferral included.
        refused: How many of them did not land.
        calls: HTTP calls made by this try.
        used: Part of the vendor's budget that this try has used, of what was allowed meanwhile; None if not known.
    """

    rows: int
    refused: int
    calls: int
    used: float | None = None


class Progress:
    """A line every few seconds, however many rows pass in between.

    Args:
        read: Where the run stands now.
        tell: Takes the line.
        total: Rows of the whole run, or None where nobody knows before the end, as with a query.
        every: Seconds from one line to the next, at least. Lines come with outcomes: while the vendor is waited for,
            there are none.
        monotonic: Seconds that never run backwards.
    """

    def __init__(
        self,
        read: Callable[[], Reading],
        tell: Callable[[str], None],
        *,
        total: int | None = None,
        every: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._tell = tell
        self._total = total
        self._every = every
        self._monotonic = monotonic

    def watch(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """Pass outcomes on, and tell between two of them how far the run is."""
        started = told = self._monotonic()
        before = self._read().rows
        for outcome in outcomes:
            yield outcome
            now = self._monotonic()
            if now - told >= self._every:
                told = now
                reading = self._read()
                self._tell(self._line(reading, (reading.rows - before) / (now - started)))

    def _line(self, reading: Reading, rate: float) -> str:
        of_all = "" if self._total is None else f" of {self._total}"
        parts = [
            f"{reading.rows}{of_all} rows",
            f"{rate:.1f} rows/s",
            f"{reading.calls} calls" + ("" if reading.used is None else f" ({reading.used:.0%} of the budget)"),
            f"{reading.refused} refused",
        ]
        if self._total is not None and rate > 0:
            parts.append(f"about {_duration((self._total - reading.rows) / rate)} left")
        return ", ".join(parts)


def _duration(seconds: float) -> str:
    """As a person says it: `41 s`, `7 min`, `2 h 05 min`."""
    whole = max(round(seconds), 0)
    if whole < 2 * _MINUTE:
        return f"{whole} s"
    if whole < 2 * _HOUR:
        return f"{whole // _MINUTE} min"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"


class Waits:
    """How long a run stood still: for the vendor's budget, before a call is repeated, for another run's claim.

    Threads that wait at the same time count once. Time spent waiting for an answer is no wait.

    Args:
        clock: Time; what sleeps by `Waits.clock` sleeps by this one.

    Attributes:
        clock: The same clock, whose sleep is counted.
        seconds: Seconds in which at least one thread slept, up to the last one that woke.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = replace(clock, sleep=self._sleep)
        self.seconds = 0.0
        self._inner = clock
        self._lock = threading.Lock()
        self._asleep = 0
        self._since = 0.0

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
