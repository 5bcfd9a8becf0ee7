"""Describe the rate limits that an answer shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """One rate limit as one answer shows it; None for each part that is missing.

    Attributes:
        wait: Seconds until the next call may be sent; only set on a refusal.
        limit: Calls per window.
        remaining: Calls left in this window.
        reset: Seconds until the next window opens.
        length: Seconds that a window lasts, where the vendor names them.
        name: Name of the limit, the same in each answer that shows it.
        is_daily: Whether it is the limit of a day, of which runs have a share of their own. It counts the calls of all
            endpoint groups. One that names no reset is counted over the last 24 hours.
        grain: Seconds by which the window may end before `reset` because the vendor writes it in whole units, such as
            1.0 for whole seconds; None if that is not known.
    """

    wait: float | None = None
    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
    length: float | None = None
    name: str = ""
    is_daily: bool = False
    grain: float | None = None

    @property
    def is_complete(self) -> bool:
        """Whether it says all: limit, remaining calls and reset."""
        return None not in (self.limit, self.remaining, self.reset)

    @property
    def names_units(self) -> bool:
        """Whether it says how many calls there are, and how many are left."""
        return None not in (self.limit, self.remaining)

    @property
    def is_sufficient(self) -> bool:
        """Whether calls can be paced by it alone: it names units, and when there are more or how long a window is."""
        return self.names_units and bool(self.is_daily or self.wait or self.reset or self.length)


NO_LIMIT = Limits()
"""What an answer shows that names no limit."""


def longest_wait(limits: Sequence[Limits]) -> float | None:
    """Return the seconds after which all limits of an answer allow the next call; None if no limit names any."""
    return max((one.wait for one in limits if one.wait is not None), default=None)
