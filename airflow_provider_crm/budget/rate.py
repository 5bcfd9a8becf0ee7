"""Find from refusals a limit that no answer names, and stay just under it.

Before the first refusal calls go out as they come, and are counted. A refusal closes the vendor; the first call that is
accepted again shows when it had opened, at the latest. What was accepted from one opening to the next, over the time in
between, is a rate. From then on calls are spaced evenly, which suits windows of any phase and buckets alike. Their rate
grows fast to a little below the last one refused, then slowly beyond it, because limits change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from airflow_provider_crm.budget.limit_state import changed

# Longer waits show windows that are better used at once than spaced out: the task defers to the next one.
_LONGEST_SPACED = 60.0
_BELOW_REFUSED = 0.97
# Growth below the last refused rate, per window, because one that is longer refuses later; and per second beyond it.
_FAST, _SLOW = 0.05, 0.0003
# Seconds without a refusal after which growth beyond the last refused rate speeds up.
_PATIENCE = 60.0
# Part of the refused rate, the least to fall to: what was accepted is known less well than what was refused.
_LEAST_FACTOR = 0.8
# What was accepted is known well if the vendor was closed for hardly any of the time.
_WELL_KNOWN = 0.9
# A smaller share never comes near to the limit, so that it could not notice that its idea of it has outgrown it, nor
# that it has used too much of a bucket.
TESTING_SHARE = 0.9
# A thread that wakes late may catch up by that many seconds, so that the rate is kept.
_CATCH_UP = 0.03
_SHORTEST_WINDOW = 0.2
USUAL_LENGTHS = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 3600.0)
"""Seconds: vendors count by windows of whole units of time. One that fits what was seen is the length of a window."""
# Of so many of the latest calls, the part that may be refused for other reasons before calls slow down, and to what.
_LATEST, _TOO_MANY, _TOO_FAST = 100, 0.018, 0.94
# How often in a row, with never fewer than that refused in between: more often, the rate is not the reason.
_MOST_FALLS, _FEW = 3, 0.002
# Seconds after which a call asks whether the vendor has opened again, where it does not say when: at first, at first
# where the length of its windows is known as part of it, and at most.
_FIRST_PAUSE, _PART, _LONGEST_PAUSE = 0.25, 0.1, 60.0


@dataclass(frozen=True)
class DiscoveredRate:
    """A limit as refusals have shown it; times are seconds of whatever clock its owner has.

    Attributes:
        rate: Calls per second that are surely accepted, or None before that is known.
        refused_rate: Calls per second that were refused, and are tried again some day; 0 before that is known.
        begun: When the present window had begun at the latest; None before the first call.
        accepted: Calls that were accepted since then.
        refused_at: When the last refused call was sent; minus infinity before the first one.
        opens_at: While the vendor is closed, when the next call asks whether it has opened; else infinity.
        pause: Seconds until then, where the vendor does not say when it opens; 0 where it does.
        next_at: When the next call may be sent.
        calm_since: When the last refusal was over.
        falls: How often calls have slowed down since fewer were refused.
        refused_share: Part of the latest calls that were refused for no known reason.
        length: Seconds of a window, as far as known; 0 if not.
    """

    rate: float | None = None
    refused_rate: float = 0.0
    begun: float | None = None
    accepted: int = 0
    refused_at: float = -math.inf
    opens_at: float = math.inf
    pause: float = 0.0
    next_at: float = -math.inf
    calm_since: float = 0.0
    refused_share: float = 0.0
    falls: int = 0
    length: float = 0.0

    @classmethod
    def stated(cls, rate: float) -> DiscoveredRate:
        """Begin just under a limit that a connection states, in calls per second."""
        return cls(rate=_BELOW_REFUSED * rate, refused_rate=rate)

    @property
    def is_closed(self) -> bool:
        """Whether the vendor refuses calls: the next one finds out whether it has opened again."""
        return math.isfinite(self.opens_at)

    @property
    def is_known(self) -> bool:
        """Whether a refusal or a connection has shown a limit."""
        return self.rate is not None or math.isfinite(self.refused_at)

    def gap(self, share: float) -> float:
        """Return the seconds from one call to the next, where this part of the limit may be used."""
        return 0.0 if self.rate is None else 1 / (self.rate * min(share / _BELOW_REFUSED, 1.0))

    def wait(self, now: float) -> float:
        """Return the seconds until the next call may be sent; 0 for now."""
        opens_at = self.opens_at if self.is_closed else now
        return max(self.next_at - now, opens_at - now, 0.0)

    def record_send(self, now: float, cost: int = 1, *, share: float = 1.0) -> DiscoveredRate:
        """Count a call that leaves now.

        Args:
            now: When it is sent.
            cost: Its units.
            share: Part of the limit that may be used.
        """
        if self.begun is None:
            return changed(self, begun=now, calm_since=now)
        if self.rate is None:
            return self
        gap = self.gap(share)
        sent = changed(self, next_at=max(self.next_at, now - _CATCH_UP) + cost * gap)
        return sent if share < TESTING_SHARE or self.is_closed else _grown(sent, self.rate, now, cost * gap)

    def accept(self, sent_at: float, calls: int = 1, *, learns: bool = True) -> DiscoveredRate:
        """Count calls that were not refused.

        Args:
            sent_at: When the first of them was sent: answers, and workers on one store, report some only after the
                refusal that followed.
            calls: How many.
            learns: Whether refusals show a rate; else the vendor is only left alone until it has opened again. Answers
                that name a limit leave nothing to find: what they do not explain has mostly nothing to do with a rate.
        """
        if not self.is_closed or sent_at <= self.refused_at or sent_at < self.opens_at:
            share = self.refused_share and self.refused_share * (1 - 1 / _LATEST) ** calls
            falls = self.falls if share > _FEW else 0
            begun = sent_at if self.begun is None else self.begun
            return changed(self, begun=begun, accepted=self.accepted + calls, refused_share=share, falls=falls)
        return _opened(self, sent_at, calls) if learns else DiscoveredRate()

    def record_refusal(self, sent_at: float, now: float, wait: float | None) -> DiscoveredRate:
        """Let no call leave until the vendor may have opened again; of several refusals at once the first shows it.

        Args:
            sent_at: When the refused call was sent.
            now: When it was refused.
            wait: Seconds until the vendor opens again, as it says; None if it does not.
        """
        if self.is_closed and sent_at < self.opens_at:
            later = 0.0 if wait is None else now + wait
            return changed(self, opens_at=max(self.opens_at, later), refused_at=max(self.refused_at, sent_at))
        if self.begun is not None and not self.is_closed and sent_at < self.begun:
            return self  # of a window that is over
        if wait is not None:
            pause, opens_at = 0.0, now + wait
        else:
            pause = min(2 * self.pause, _LONGEST_PAUSE) if self.is_closed and self.pause else self._first_pause()
            opens_at = now + pause
        return changed(self, refused_at=sent_at, opens_at=opens_at, pause=pause)

    def record_doubt(self, now: float) -> DiscoveredRate:
        """Count a refusal that may have another reason; slow down where there are too many of them for that."""
        if self.rate is None:
            return self
        share = self.refused_share + (1 - self.refused_share) / _LATEST
        if share < _TOO_MANY:
            return changed(self, refused_share=share)
        if self.falls >= _MOST_FALLS:  # they do not depend on how fast we are
            return DiscoveredRate(begun=now, calm_since=now)
        return changed(
            self,
            rate=_TOO_FAST * self.rate,
            refused_rate=self.rate,
            refused_share=0.0,
            falls=self.falls + 1,
            calm_since=now,
        )

    def _first_pause(self) -> float:
        return self.length * _PART if self.length else _FIRST_PAUSE

    def to_dict(self) -> dict[str, Any]:
        """Return plain types."""
        return dict(self.__dict__)


def _opened(state: DiscoveredRate, opened_at: float, calls: int) -> DiscoveredRate:
    """Learn the rate from what was accepted until the vendor has opened again, by this moment at the latest."""
    begun = state.begun
    fresh = changed(
        state, begun=opened_at, accepted=calls, opens_at=math.inf, pause=0.0, calm_since=opened_at, next_at=opened_at
    )
    if begun is None or not state.accepted or opened_at - state.refused_at > _LONGEST_SPACED:
        return fresh
    longest = max(opened_at - begun, _SHORTEST_WINDOW)
    shortest = max(state.refused_at - begun, 0.0)
    usual = next((length for length in USUAL_LENGTHS if shortest < length <= longest), None)
    length = usual or longest
    accepted_rate = state.accepted / length
    if state.rate is None:
        if usual is None:  # the window may have begun before our first call
            accepted_rate = state.accepted / max(longest, USUAL_LENGTHS[0])
        refused_rate = accepted_rate if usual else 0.0
        return changed(fresh, rate=_BELOW_REFUSED * accepted_rate, refused_rate=refused_rate, length=length)
    # A rate that grew fast was lower when the window began.
    refused = state.rate / (1 + _FAST / 2) if state.rate < _target(state) else state.rate
    accepted_rate = max(accepted_rate, _LEAST_FACTOR * refused)
    if shortest >= longest * _WELL_KNOWN:
        refused = min(refused, accepted_rate)
    rate = min(accepted_rate, _BELOW_REFUSED * refused)
    return changed(fresh, rate=rate, refused_rate=refused, length=length)


def _target(state: DiscoveredRate) -> float:
    """Return the calls per second up to which the rate grows fast: without end until one was refused."""
    return _BELOW_REFUSED * state.refused_rate if state.refused_rate else math.inf


def _grown(state: DiscoveredRate, rate: float, now: float, passed: float) -> DiscoveredRate:
    target = _target(state)
    if rate < target:
        return changed(state, rate=min(rate * (1 + _FAST * passed / max(state.length, 1.0)), target))
    calm = max(now - state.calm_since, 0.0)
    rate *= 1 + _SLOW * passed * max(calm / _PATIENCE, 1.0)
    return changed(state, rate=rate, refused_rate=max(state.refused_rate, rate))
