"""Narrow down by answers when a window begins and ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_crm.budget.limit_state import Observation


@dataclass(frozen=True, slots=True)
class Span:
    """The time of one window, in monotonic seconds.

    Attributes:
        length: Seconds that windows last, as far as answers have shown; 0 if none has yet.
        opened_at: The latest end of the window before.
        earliest_end: The window ends then or later.
        latest_end: The window ends then or earlier; None while that is not known.
    """

    length: float
    opened_at: float = -math.inf
    earliest_end: float = -math.inf
    latest_end: float | None = None

    def following(self, at: float) -> Span:
        """Return the next window, which opens then."""
        return Span(self.length, at)

    def ending(self, at: float) -> Span:
        """Return the window that ends then at the latest."""
        latest = at if self.latest_end is None else min(at, self.latest_end)
        return Span(self.length, self.opened_at, self.earliest_end, latest)

    def first(self, seen: Observation) -> Span:
        """Return the window by its first answer."""
        length = max(self.length, seen.reset)
        latest = min(seen.latest_end, self._predicted_end(seen, length))
        return Span(length, self.opened_at, seen.earliest_end, latest)

    def narrowed(self, earliest_end: float, latest_end: float) -> Span:
        """Return the window with ends that one more answer has narrowed; an earliest end is not past the latest."""
        earliest_end = max(self.earliest_end, min(earliest_end, latest_end))
        if latest_end == self.latest_end and earliest_end == self.earliest_end:
            return self
        return Span(self.length, self.opened_at, earliest_end, latest_end)

    def _predicted_end(self, seen: Observation, length: float) -> float:
        """Return the end as the window before foretells it, where the answers name it in whole seconds only.

        To wait for the latest end of each window as its answers name it, late by a latency, would add up over windows.
        """
        if not seen.whole_seconds or not math.isfinite(self.opened_at):
            return math.inf
        windows = math.floor((seen.received_at - self.opened_at) / length) + 1
        return self.opened_at + windows * length
