"""A limit that no answer tells: found from refusals, and then stayed just under.

Before the first refusal calls go out as they come. The first one only tells when the vendor opens again; the second
one tells a rate: what was accepted in between, over the time until the vendor opens once more. From then on calls are
spaced evenly, which suits windows of any phase and buckets alike, at a rate that grows fast to a little below the last
one refused, then slowly beyond it, because limits change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Waits beyond this tell of windows that are better used at once than spaced out: the task defers to the next one.
_LONGEST_SPACED = 60.0
_CLOSE_TO_REFUSED = 0.97
# Growth below the last refused rate, per window, because one that is longer refuses later; and per second beyond it.
_FAST, _SLOW = 0.05, 0.0003
# Seconds without a refusal after which growth beyond the last refused rate speeds up.
_PATIENCE = 60.0
# Of the rate that was refused the least to fall to: what was borne is known less well, because waits are rounded up.
_LEAST_FACTOR = 0.8
# A smaller share never comes near to the limit, so that it could not notice that its idea of it has outgrown it, nor
# that it has taken too much of a bucket.
TESTING_SHARE = 0.9
# A thread that wakes late may catch up by that many seconds, so that the rate is kept.
_CATCH_UP = 0.03
_SHORTEST_WINDOW = 0.5


@dataclass(slots=True)
class DiscoveredRate:
    """What refusals have told of a limit; times are seconds of whatever clock its owner has.

    Attributes:
        rate: Calls per second that are surely borne, or None before that is known.
        refused_rate: Calls per second that were refused, and are tried again some day; 0 before that is known.
        closed_for: Seconds that the vendor said to wait when the rate was found; windows are about as long, or shorter.
        since: When the last refusal was over; None before the first one.
        begun: When the last refusal was over after which calls were accepted; None while nothing is to be learned.
        accepted: Calls that were accepted since then, until the refusal after it.
        next_at: When the next call may be sent.
    """

    rate: float | None = None
    refused_rate: float = 0.0
    closed_for: float = 1.0
    since: float | None = None
    begun: float | None = None
    accepted: int = 0
    next_at: float = 0.0

    @classmethod
    def stated(cls, rate: float) -> DiscoveredRate:
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
        if self.rate is None and now - self.next_at > _LONGEST_SPACED:
            self.since = self.begun = None  # what little is accepted while nobody has much to send tells no rate
        begin = max(self.next_at, now - _CATCH_UP)
        if self.since is None and self.rate is not None:
            self.since = self.begun = begin
        self.next_at = begin + calls * gap
        if self.rate is not None and share >= TESTING_SHARE:
            self._grow(self.rate, now, calls * gap)
        return begin

    def accept(self, sent_at: float, calls: int = 1) -> None:
        """Count calls that were not refused.

        Args:
            sent_at: When the first of them was sent: answers, and workers on one store, tell of some only after the
                refusal that followed.
            calls: How many.
        """
        if self.since is None:
            return
        if sent_at >= self.since and self.begun != self.since:
            self.begun, self.accepted = self.since, 0
        self.accepted += calls
        if self.begun != self.since:
            self._fall()

    def refused(self, sent_at: float, now: float, wait: float) -> None:
        """Fall back to what was borne; of several refusals at once the first tells the rate.

        Args:
            sent_at: When the refused call was sent.
            now: When it was refused.
            wait: Seconds until the vendor opens again, as it says; if it refuses again at once, it was longer.
        """
        if self.since is not None and sent_at < self.since:
            return
        if self.rate is not None and self.begun == self.since:
            # A rate that grew fast was lower when the window began.
            self.refused_rate = self.rate / (1 + _FAST / 2) if self.rate < self._target() else self.rate
        self.since = now + wait
        self.next_at = max(self.next_at, self.since)
        if wait > _LONGEST_SPACED:
            self.begun = None
        if not self.refused_rate:
            self.closed_for = wait
        self._fall()

    def _fall(self) -> None:
        """Set the rate by what was borne from one opening to the next."""
        if self.begun is None or self.since is None:
            return
        borne = self.accepted / max(self.since - self.begun, _SHORTEST_WINDOW)
        if not self.refused_rate:
            self.rate = _CLOSE_TO_REFUSED * borne or None
        else:
            self.rate = min(max(borne, _LEAST_FACTOR * self.refused_rate), _CLOSE_TO_REFUSED * self.refused_rate)

    def _target(self) -> float:
        """Calls per second up to which the rate grows fast: as far as it goes until one was refused."""
        return _CLOSE_TO_REFUSED * self.refused_rate if self.refused_rate else math.inf

    def _grow(self, rate: float, now: float, passed: float) -> None:
        target = self._target()
        if rate < target:
            self.rate = min(rate * (1 + _FAST * passed / max(self.closed_for, 1.0)), target)
        else:
            calm = now - (now if self.since is None else self.since)
            self.rate = rate * (1 + _SLOW * passed * max(calm / _PATIENCE, 1.0))
            self.refused_rate = max(self.refused_rate, self.rate)
