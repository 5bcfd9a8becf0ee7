"""Find from refusals a limit that no answer names, and stay just under it.

Before the first refusal calls go out as they come. The first one only says when the vendor opens again; the second
one shows a rate: what was accepted in between, over the time until the vendor opens once more. From then on calls are
spaced evenly, which suits windows of any phase and buckets alike. Their rate grows fast to a little below the last one
refused, then slowly beyond it, because limits change.
"""

from __future__ import annotations

import math
from typing import NamedTuple

# Longer waits show windows that are better used at once than spaced out: the task defers to the next one.
_LONGEST_SPACED = 60.0
_BELOW_REFUSED = 0.97
# Growth below the last refused rate, per window, because one that is longer refuses later; and per second beyond it.
_FAST, _SLOW = 0.05, 0.0003
# Seconds without a refusal after which growth beyond the last refused rate speeds up.
_PATIENCE = 60.0
# Part of the refused rate, the least to fall to: the accepted rate is known less well, because waits are rounded up.
_LEAST_FACTOR = 0.8
# A smaller share never comes near to the limit, so that it could not notice that its idea of it has outgrown it, nor
# that it has used too much of a bucket.
TESTING_SHARE = 0.9
# A thread that wakes late may catch up by that many seconds, so that the rate is kept.
_CATCH_UP = 0.03
_SHORTEST_WINDOW = 0.5


class DiscoveredRate(NamedTuple):
    """A limit as refusals have shown it: a value; times are seconds of whatever clock its owner has.

    Attributes:
        rate: Calls per second that are surely accepted, or None before that is known.
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
        """Begin just under a limit that a connection states, in calls per second."""
        return cls(rate=_BELOW_REFUSED * rate, refused_rate=rate)

    @property
    def counts(self) -> bool:
        """Whether calls have to be counted: not as long as nothing is known, and no call was refused."""
        return self.rate is not None or self.since is not None

    def gap(self, share: float) -> float:
        """Return the seconds from one call to the next, where this part of the limit may be used."""
        return 0.0 if self.rate is None else 1 / (self.rate * min(share / _BELOW_REFUSED, 1.0))

    def wait(self, now: float) -> float:
        """Return the seconds until the next call may be sent; 0 for now."""
        return max(self.next_at - now, 0.0)

    def first_at(self, now: float) -> float:
        """Return when the first of the calls that are sent now may leave."""
        return max(self.next_at, now - _CATCH_UP)

    def record_send(self, now: float, gap: float, calls: int = 1, *, share: float = 1.0) -> DiscoveredRate:
        """Count calls that leave one after another, the first of them at `first_at`.

        Args:
            now: When they are sent.
            gap: Seconds from one to the next.
            calls: How many.
            share: Part of the limit that may be used.
        """
        rate, refused_rate, closed_for, since, begun, accepted, next_at = self
        if rate is None and now - next_at > _LONGEST_SPACED:
            since = begun = None  # what little is accepted while few calls are wanted shows no rate
        begin = self.first_at(now)
        if since is None and rate is not None:
            since = begun = begin
        next_at = begin + calls * gap
        sent = DiscoveredRate(rate, refused_rate, closed_for, since, begun, accepted, next_at)
        return sent if rate is None or share < TESTING_SHARE else _grown(sent, rate, now, calls * gap)

    def accept(self, sent_at: float, calls: int = 1) -> DiscoveredRate:
        """Count calls that were not refused.

        Args:
            sent_at: When the first of them was sent: answers, and workers on one store, report some only after the
                refusal that followed.
            calls: How many.
        """
        if self.since is None:
            return self
        begun, accepted = self.begun, self.accepted
        if sent_at >= self.since and begun != self.since:
            begun, accepted = self.since, 0
        counted = self._replace(begun=begun, accepted=accepted + calls)
        return counted if begun == self.since else _fallen(counted)

    def record_refusal(self, sent_at: float, now: float, wait: float) -> DiscoveredRate:
        """Fall back to the accepted rate; of several refusals at once the first shows it.

        Args:
            sent_at: When the refused call was sent.
            now: When it was refused.
            wait: Seconds until the vendor opens again, as it says; if it refuses again at once, it was longer.
        """
        if self.since is not None and sent_at < self.since:
            return self
        refused_rate = self.refused_rate
        if self.rate is not None and self.begun == self.since:
            # A rate that grew fast was lower when the window began.
            refused_rate = self.rate / (1 + _FAST / 2) if self.rate < _target(self) else self.rate
        since = now + wait
        refused = self._replace(
            refused_rate=refused_rate,
            closed_for=self.closed_for if refused_rate else wait,
            since=since,
            begun=None if wait > _LONGEST_SPACED else self.begun,
            next_at=max(self.next_at, since),
        )
        return _fallen(refused)


def _fallen(state: DiscoveredRate) -> DiscoveredRate:
    """Set the rate by what was accepted from one opening to the next."""
    if state.begun is None or state.since is None:
        return state
    accepted_rate = state.accepted / max(state.since - state.begun, _SHORTEST_WINDOW)
    if not state.refused_rate:
        return state._replace(rate=_BELOW_REFUSED * accepted_rate or None)
    least, most = _LEAST_FACTOR * state.refused_rate, _BELOW_REFUSED * state.refused_rate
    return state._replace(rate=min(max(accepted_rate, least), most))


def _target(state: DiscoveredRate) -> float:
    """Return the calls per second up to which the rate grows fast: without end until one was refused."""
    return _BELOW_REFUSED * state.refused_rate if state.refused_rate else math.inf


def _grown(state: DiscoveredRate, rate: float, now: float, passed: float) -> DiscoveredRate:
    target = _target(state)
    if rate < target:
        return state._replace(rate=min(rate * (1 + _FAST * passed / max(state.closed_for, 1.0)), target))
    calm = now - (now if state.since is None else state.since)
    rate *= 1 + _SLOW * passed * max(calm / _PATIENCE, 1.0)
    return state._replace(rate=rate, refused_rate=max(state.refused_rate, rate))
