"""The answer to one call, as limits learn from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.limits import Limits


_MOMENT = 0.01
"""Seconds: of answers that come further apart, each says more by itself, as a window may have ended in between."""
_AS_FAR = 0.5
"""Of two answers of one moment the end of a window is that part as far away by one as by the other, or they differ."""


class CallAnswer(NamedTuple):
    """The answer to one call.

    Attributes:
        sent_at: When the call was sent: in monotonic seconds of its worker; in a database, in its epoch seconds.
        received_at: When the answer came.
        cost: Units of the call.
        limits: The limits that the answer shows; None if there was no answer.
        refused: Whether a limit was the reason of a refusal.
    """

    sent_at: float
    received_at: float
    cost: int
    limits: Sequence[Limits] | None
    refused: bool

    @property
    def is_ample(self) -> bool:
        """Whether it shows limits of which at least half is left, so that it matters little which call it is of."""
        if self.refused or not self.limits:
            return False
        for one in self.limits:
            if one.limit is None or one.remaining is None or 2 * one.remaining < one.limit:
                return False
        return True

    def is_old(self, now: float) -> bool:
        """Return whether an answer that comes now is one of another moment."""
        return now > self.received_at + _MOMENT

    def goes_with(self, earlier: CallAnswer) -> bool:
        """Return whether both are ample answers about the same limits at one moment: they say as much together."""
        if earlier.is_old(self.received_at) or not self.is_ample or not earlier.is_ample:
            return False
        mine, its = self.limits or (), earlier.limits or ()
        if len(mine) != len(its):
            return False
        for one, other in zip(mine, its, strict=True):
            if one.name != other.name or one.limit != other.limit or not _same_window(one, other):
                return False
        # Where a later call has left more, units came back in between.
        return self.sent_at < earlier.received_at or self._left <= earlier._left

    @property
    def _left(self) -> int:
        """The fewest units that are left of a limit."""
        limits = self.limits or ()
        if len(limits) == 1:
            return limits[0].remaining or 0
        return min([one.remaining or 0 for one in limits], default=0)

    def with_earlier(self, earlier: CallAnswer) -> CallAnswer:
        """Return two ample answers as one; of their limits, those that were counted last: they leave the least."""
        last = earlier if earlier._left < self._left else self
        return CallAnswer(
            min(self.sent_at, earlier.sent_at),
            max(self.received_at, earlier.received_at),
            self.cost + earlier.cost,
            last.limits,
            refused=False,
        )


def _same_window(one: Limits, other: Limits) -> bool:
    """Return whether two answers of one moment may be about one window: its end is as far away by both."""
    if one.reset is None or other.reset is None:
        return one.reset is other.reset
    nearer, farther = sorted((one.reset, other.reset))
    return nearer >= _AS_FAR * farther
