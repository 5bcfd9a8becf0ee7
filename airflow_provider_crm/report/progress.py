"""Log how far a run is while it goes on, and pass it on to who shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_crm.values.opportunity import Outcome

_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class Reading:
    """The progress of a run.

    Attributes:
        rows: Rows that have their outcome, those before a deferral included.
        refused: Number of them that did not land.
        calls: HTTP calls made by this try.
        used: Part of the vendor's rate limit that this try has used so far; None if not known.
    """

    rows: int
    refused: int
    calls: int
    used: float | None = None


class Progress:
    """Log of a run's progress: a line every few seconds, however many rows end in between.

    Args:
        read: Returns the progress so far.
        log: Logs the line.
        total: Rows of the run, or None where their number is not known before the end, as with a query.
        every: Seconds from one line to the next, at least. Lines come with outcomes, so there are none while all rows
            wait for the vendor.
        monotonic: Seconds that never run backwards.
        note: Called with each reading and the rows per second, beside the log; None for nothing more.
    """

    def __init__(
        self,
        read: Callable[[], Reading],
        log: Callable[[str], None],
        *,
        total: int | None = None,
        every: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
        note: Callable[[Reading, float], None] | None = None,
    ) -> None:
        self._read = read
        self._log = log
        self._total = total
        self._every = every
        self._monotonic = monotonic
        self._note = note

    def watch(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """Pass outcomes on, and log between two of them how far the run is."""
        started = logged = self._monotonic()
        before = self._read().rows
        for outcome in outcomes:
            yield outcome
            now = self._monotonic()
            if now - logged >= self._every:
                logged = now
                reading = self._read()
                rate = (reading.rows - before) / (now - started)
                self._log(self._line(reading, rate))
                if self._note is not None:
                    self._note(reading, rate)

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
    """Return a duration in one or two units: `41 s`, `7 min`, `2 h 05 min`."""
    rounded = max(round(seconds), 0)
    if rounded < 2 * _MINUTE:
        return f"{rounded} s"
    if rounded < 2 * _HOUR:
        return f"{rounded // _MINUTE} min"
    return f"{rounded // _HOUR} h {rounded % _HOUR // _MINUTE:02} min"
