"""A limit that no answer tells: found from refusals, and then stayed just under.

Before the first refusal calls go out as they come. It tells a rate: what was accepted, over the time until the vendor
opens again. From then on calls are spaced evenly, which suits windows of any phase and buckets alike, at a rate that
grows fast to a little below the last one refused, then slowly beyond it, because limits change.
"""

from __future__ import annotations

import math

from airflow_provider_crm.budget_window import Need

# Waits beyond this tell of windows that are better used at once than spaced out: the task defers to the next one.
_LONGEST_SPACED = 60.0
_CLOSE_TO_REFUSED = 0.965
_FAST, _SLOW, _SLOWEST = 0.01, 0.0003, 0.00003
# Seconds without a refusal after which growth beyond the last refused rate speeds up.
_PATIENCE = 60.0
_LEAST_FACTOR = 0.5
# A thread that wakes late may catch up by that many seconds, so that the rate is kept.
_CATCH_UP = 0.01
_SHORTEST_WINDOW = 0.5


class FoundRate:
    """The rate that one limit bears.

    Args:
        share: Part of the limit that may be used.
        stated: Calls and seconds that the connection states as the limit, or None.

    Attributes:
        unfit: Never: this plan fits where nothing is known.
        limit: Nobody told one.
        length: Nor the length of its window.
    """

    unfit = False
    limit = 0
    length = 0.0

    def __init__(self, share: float, stated: tuple[int, float] | None) -> None:
        self._share = share
        self._rate: float | None = None
        self._refused_rate = math.inf
        self._quota: tuple[int, float] | None = None
        if stated is not None and stated[1] <= _LONGEST_SPACED:
            self._rate = min(share, _CLOSE_TO_REFUSED) * stated[0] / stated[1]
        elif stated is not None:
            self._quota = (max(math.floor(share * stated[0]), 1), stated[1])
        self._next_at = -math.inf
        self._since: float | None = None
        self._accepted = 0
        self._sent = 0
        self._grown_at = -math.inf

    def wait(self, now: float, in_flight: int) -> float:  # noqa: ARG002 - as the other plans have it
        """Seconds until the next call may be sent; 0 for now."""
        if self._quota is not None and self._since is not None:
            if now >= self._since + self._quota[1]:
                self._since, self._sent = None, 0
            elif self._sent >= self._quota[0]:
                return self._since + self._quota[1] - now
        return max(self._next_at - now, 0.0) if self._rate is not None else 0.0

    def sent(self, now: float) -> int:
        """Count a call that leaves now."""
        if self._since is None:
            self._since = self._next_at = now
        self._sent += 1
        if self._rate is not None:
            self._next_at = max(self._next_at, now - _CATCH_UP) + 1 / self._rate
        return 0

    def unsent(self, window: int) -> None:  # noqa: ARG002 - as the other plans have it
        """Count a call no more, because it was not sent."""
        self._sent -= 1

    def untold(self, window: int, now: float) -> None:  # noqa: ARG002 - as the other plans have it
        """A call was not refused: try a little more."""
        self._accepted += 1
        if self._rate is None:
            return
        passed = min(now - self._grown_at, 1.0) if math.isfinite(self._grown_at) else 0.0
        self._grown_at = now
        if self._rate < self._target():
            self._rate = min(self._rate * (1 + _FAST * passed), self._target())
        else:
            speed = _SLOW if self._share > _CLOSE_TO_REFUSED else _SLOWEST
            self._rate *= 1 + speed * passed * max((now - (self._since or now)) / _PATIENCE, 1.0)
            self._refused_rate = max(self._refused_rate, self._rate)

    def refused(self, now: float, wait: float, *, first: bool) -> None:
        """Fall back to what was borne; of several refusals at once the first tells the rate."""
        self._accepted = max(self._accepted - 1, 0)
        if not first or self._since is None:
            return
        passed = max(now + wait - self._since, _SHORTEST_WINDOW)
        borne, self._since, self._accepted = self._accepted / passed, now + wait, 0
        if wait > _LONGEST_SPACED or borne <= 0:
            return
        if self._rate is None:
            self._rate = self._share * borne
        else:
            self._refused_rate = self._rate
            self._rate = min(max(self._share * borne, _LEAST_FACTOR * self._rate), self._target())
        self._next_at = now + wait

    def need(self, now: float, in_flight: int) -> Need:
        """What the shared store has to know: nothing is known yet."""
        return Need(now, 0, 0, in_flight, now, None, 0.0, 0)

    def told(self, answer: object, in_flight: int) -> None:
        """An answer with limits belongs to another plan."""
        raise TypeError(answer, in_flight)

    def _target(self) -> float:
        return min(self._share, _CLOSE_TO_REFUSED) * self._refused_rate
