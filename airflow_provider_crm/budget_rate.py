"""A limit that no answer tells: found from refusals, and then stayed just under.

Before the first refusal calls go out as they come. The first one only tells when the vendor opens again; the second
one tells a rate: what was accepted in between, over the time until the vendor opens once more. From then on calls are
spaced evenly, which suits windows of any phase and buckets alike, at a rate that grows fast to a little below the last
one refused, then slowly beyond it, because limits change.
"""

from __future__ import annotations

from dataclasses import dataclass

# Waits beyond this tell of windows that are better used at once than spaced out: the task defers to the next one.
_LONGEST_SPACED = 60.0
_CLOSE_TO_REFUSED = 0.965
# Growth per second of calls, below and beyond the last refused rate.
_FAST, _SLOW = 0.05, 0.0003
# Seconds without a refusal after which growth beyond the last refused rate speeds up.
_PATIENCE = 60.0
# Of the rate that was refused: what was borne on the average counts below the one, and the other is the least.
_FAR_BELOW, _LEAST_FACTOR = 0.6, 0.5
# The first rate is rough, because vendors round waits up: up to so much of it is tried fast.
_SURELY_REFUSED = 20.0
# A smaller share never comes near to the limit, so that it could not notice that its idea of it has outgrown it.
_TESTING_SHARE = 0.9
# A thread that wakes late may catch up by that many seconds, so that the rate is kept.
_CATCH_UP = 0.03
_SHORTEST_WINDOW = 0.5


@dataclass(slots=True)
class FoundRate:
    """What refusals have told of a limit; times are seconds of whatever clock its owner has.

    Attributes:
        rate: Calls per second that are surely borne, or None before that is known.
        refused_rate: Calls per second that were refused, and are tried again some day.
        since: When the last refusal was over; None before the first one.
        begun: When the last refusal was over after which calls were accepted.
        accepted: Calls that were accepted since then.
        next_at: When the next call may be sent.
    """

    rate: float | None = None
    refused_rate: float = 0.0
    since: float | None = None
    begun: float | None = None
    accepted: int = 0
    next_at: float = 0.0

    @classmethod
    def stated(cls, rate: float) -> FoundRate:
        """Begin just under a limit that somebody states, in calls per second."""
        return cls(rate=_CLOSE_TO_REFUSED * rate, refused_rate=rate)

    def gap(self, share: float) -> float:
        """Seconds from one call to the next, where this part of the limit may be used."""
        return 0.0 if self.rate is None else 1 / (self.rate * min(share / _CLOSE_TO_REFUSED, 1.0))

    def wait(self, now: float) -> float:
        """Seconds until the next call may be sent; 0 for now."""
        return max(self.next_at - now, 0.0)

    def sent(self, now: float, gap: float, calls: int = 1, *, share: float = 1.0) -> float:
        """Count calls that leave one after another.

        Returns:
            When the first of them may leave.
        """
        begin = max(self.next_at, now - _CATCH_UP)
        if self.since is None and self.rate is not None:
            self.since = begin
        self.next_at = begin + calls * gap
        if self.rate is not None and share >= _TESTING_SHARE:
            self._grow(self.rate, now, calls * gap)
        return begin

    def accept(self, now: float, calls: int = 1) -> None:
        """Count calls that were not refused."""
        if self.since is not None and now >= self.since and self.begun != self.since:
            self.begun, self.accepted = self.since, 0
        self.accepted += calls

    def refused(self, sent_at: float, now: float, wait: float) -> None:
        """Fall back to what was borne; of several refusals at once the first tells the rate.

        Args:
            sent_at: When the refused call was sent.
            now: When it was refused.
            wait: Seconds until the vendor opens again, as it says; if it refuses again at once, it was longer.
        """
        if self.since is not None and sent_at < self.since:
            return
        again = self.begun != self.since
        self.since = self.next_at = now + wait
        if wait > _LONGEST_SPACED:
            return
        borne = 0.0
        if self.begun is not None:
            # Whole seconds are rounded up: by none for the first rate, which rather is too small, else by a half.
            rounded = 0.0 if self.rate is None or wait % 1 else min(wait, 1.0) / 2
            borne = self.accepted / max(now + wait - rounded - self.begun, _SHORTEST_WINDOW)
        if self.rate is None:
            self.refused_rate, self.rate = _SURELY_REFUSED * borne, _CLOSE_TO_REFUSED * borne or None
            return
        if not again:
            self.refused_rate = self.rate
        least = _CLOSE_TO_REFUSED * min(self.refused_rate, self.rate / _CLOSE_TO_REFUSED)
        if borne < _FAR_BELOW * self.rate:
            least = min(max(borne, _LEAST_FACTOR * self.rate), least)
        self.rate = least

    def _grow(self, rate: float, now: float, passed: float) -> None:
        target = _CLOSE_TO_REFUSED * self.refused_rate
        if rate < target:
            self.rate = min(rate * (1 + _FAST * passed), target)
        else:
            calm = now - (now if self.since is None else self.since)
            self.rate = rate * (1 + _SLOW * passed * max(calm / _PATIENCE, 1.0))
            self.refused_rate = max(self.refused_rate, self.rate)
