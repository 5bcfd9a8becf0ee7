"""Count calls under a limit whose window slides: any stretch of that length may have so many units.

The answers name the limit, its length and what is left, but no end. The vendor counts a call
at some moment between its sending and its answer. So a unit counts here until that length after its answer.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.limits import Limits

_SMALLEST_WAIT = 0.001


class SlidingLimit:
    """The units that count now; not safe for threads, and reads no clock.

    Args:
        share: Part of the limit that may be used.
        in_flight: Units of the calls that are on their way.
    """

    def __init__(self, share: float, in_flight: int) -> None:
        self._share = share
        self._in_flight = in_flight
        self._limit, self._length = 0, 0.0
        self._counted: deque[tuple[float, int]] = deque()
        self._others, self._others_until = 0, 0.0

    def wait(self, now: float, cost: int) -> float:
        """Return the seconds after which a call of this cost may be sent, or asked for again; 0 for now."""
        self._forget(now)
        free = max(int(self._limit * self._share), 1) - self._in_flight - self._units() - self._others
        if cost <= free or not (self._in_flight or self._counted or self._others):
            return 0.0
        ends = sorted([*self._counted, (self._others_until, self._others)])
        for end, units in ends:
            free += units
            if cost <= free:
                return max(end - now, _SMALLEST_WAIT)
        return max(ends[-1][0] - now, _SMALLEST_WAIT)  # answers to the calls on their way come first

    def record_send(self, cost: int) -> None:
        """Count a call that leaves now."""
        self._in_flight += cost

    def cancel_send(self, cost: int) -> None:
        """Take back a call that was not sent."""
        self._in_flight -= cost

    def record_answer(self, now: float, cost: int, reported: Limits | None) -> None:
        """Learn from the answer to a call.

        Args:
            now: The time.
            cost: Units of the call.
            reported: What the answer says about the limit; None if it says nothing, or there was no answer.
        """
        self._in_flight -= cost
        if reported is not None:
            self._limit, self._length = reported.limit or 0, reported.length or 0.0
        self._counted.append((now + self._length, cost))
        self._forget(now)
        if reported is not None and reported.remaining is not None:
            # Calls on their way may count already: what is beyond all of ours is of other programs.
            others = self._limit - reported.remaining - self._units() - self._in_flight
            if others > self._others:
                slid = self._length if reported.wait is None else min(reported.wait, self._length)
                self._others, self._others_until = others, now + slid

    def _units(self) -> int:
        return sum(units for _, units in self._counted)

    def _forget(self, now: float) -> None:
        while self._counted and self._counted[0][0] <= now:
            self._counted.popleft()
        if self._others_until <= now:
            self._others = 0
