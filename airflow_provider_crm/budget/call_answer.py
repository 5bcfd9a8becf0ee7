"""The answer to one call, as limits learn from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.limits import Limits


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
        return all(
            one.limit is not None and one.remaining is not None and 2 * one.remaining >= one.limit
            for one in self.limits
        )

    def goes_with(self, earlier: CallAnswer) -> bool:
        """Return whether both are ample answers about the same limits, so that they say as much together."""
        if not self.is_ample or not earlier.is_ample:
            return False
        mine, its = ([(one.name, one.limit) for one in answer.limits or ()] for answer in (self, earlier))
        return mine == its

    def with_earlier(self, earlier: CallAnswer) -> CallAnswer:
        """Return two ample answers as one; of their limits, those that were counted last: they leave the least."""
        left = [min(one.remaining or 0 for one in answer.limits or ()) for answer in (earlier, self)]
        last = earlier if left[0] < left[1] else self
        return CallAnswer(
            min(self.sent_at, earlier.sent_at),
            max(self.received_at, earlier.received_at),
            self.cost + earlier.cost,
            last.limits,
            refused=False,
        )
