"""Learn the time on a server's clock from the `Date` headers of its answers.

A `Date` is cut to whole seconds, so that one answer shows the server's clock to a second only. But the server wrote it
between the sending of the call and the receipt of its answer. So each answer bounds the difference of the two clocks,
and the bounds of many answers together are about as narrow as the answers are quick.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

# `Date` is a time of our age, or it is no clock: the years 2000 to 2199.
_EARLIEST, _LATEST = 946_684_800.0, 7_258_118_400.0
# The most by which a clock that is being corrected runs faster or slower than it should (NTP's largest slew).
_DRIFT = 0.0005


@dataclass(frozen=True, slots=True)
class ClockDifference:
    """The bounds of a server's clock, in epoch seconds, minus ours, in monotonic seconds.

    Ours is monotonic, so that a step of our wall clock changes nothing. A step of the server's clock, or a `Date` that
    the server writes late, contradicts the bounds. They start again then from the answer that shows it.

    Attributes:
        least: The difference is that or more.
        most: The difference is that or less.
        learned_at: Monotonic seconds of the last answer with a `Date`.
    """

    least: float = -math.inf
    most: float = math.inf
    learned_at: float = 0.0

    def observe(self, date: dt.datetime | None, *, sent_at: float, received_at: float) -> ClockDifference:
        """Return the bounds that one more answer has narrowed.

        Args:
            date: Its `Date`, if it has one.
            sent_at: Monotonic seconds before the call was sent.
            received_at: Monotonic seconds after its answer came.
        """
        second = math.nan if date is None else date.timestamp()
        if not _EARLIEST <= second <= _LATEST:
            return self
        least, most = second - received_at, second + 1 - sent_at
        drift = self._drift(received_at)
        known_least, known_most = max(least, self.least - drift), min(most, self.most + drift)
        if known_least > known_most:
            return ClockDifference(least, most, received_at)
        return ClockDifference(known_least, known_most, max(received_at, self.learned_at))

    def server_time(self, at: float) -> dt.datetime | None:
        """Return the earliest time that the server's clock can show; None if no answer has shown it yet.

        With the earliest one, what the server ends at a named moment is never taken to end too early.

        Args:
            at: Monotonic seconds.
        """
        if math.isinf(self.least):
            return None
        return dt.datetime.fromtimestamp(at + self.least - self._drift(at), dt.UTC)

    def _drift(self, at: float) -> float:
        """Return the seconds by which the difference may have changed since the last answer."""
        return _DRIFT * max(at - self.learned_at, 0.0)
