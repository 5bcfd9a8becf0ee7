"""Learn from answers a limit that is refilled all the time: a token bucket.

The state of a bucket is one moment: when it would be full if no call came. An answer names that moment, as
`received + reset`, within its latency. Calls are spaced so that what is left would last until then: a full bucket is
used at once, one that runs dry slowly. So workers that cannot talk to each other find the same pace, at which the
bucket never is empty, and all that flows in is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_crm.budget.limit_state import POLL, LeaseDemand, changed

if TYPE_CHECKING:
    from airflow_provider_crm.budget.limit_state import Observation, OwnCalls

_GRAIN = 0.001
# The range in which the rate lies is narrow enough then to take its middle; before that its lower end is safe.
_ALIKE = 0.9
# Where no token is left, an answer names the next one, of which a part is there already: a slower pace is surely safe.
_SURELY = 0.8
# So much more than it could hold, as part of the limit, was never in a bucket.
_MISREAD = 0.5


@dataclass(frozen=True)
class TokenBucket:
    """One limit of that kind; buckets have no windows to be counted. A call takes as many tokens as it costs units.

    Attributes:
        share: Part of the limit that may be used.
        probes_pace: Whether the calls that are left reveal too fast a pace, as workers on one store use all of them.
        contradicted: Whether calls that remain against expectation show that the answers were misread.
        limit: Tokens that a full bucket holds; 0 until an answer names it.
        rate: Tokens per second by which it is filled; infinite while that is not known.
        slowest: The rate is at least this.
        fastest: The rate is at most this.
        full_at: When it would be full if no call came.
        full_in: The seconds until then at the last answer.
        own_full_at: When it would be full if only our share of it counted.
        token_at: When the next token comes, while none is left.
        number: Always 0.
    """

    share: float
    probes_pace: bool = False
    contradicted: bool = False
    limit: int = 0
    rate: float = math.inf
    slowest: float = 0.0
    fastest: float = math.inf
    full_at: float = -math.inf
    full_in: float = 0.0
    own_full_at: float = -math.inf
    token_at: float = -math.inf
    number: int = 0

    @property
    def length(self) -> float:
        """Seconds in which an empty bucket is refilled; 0 if that is not known yet."""
        return self.limit / self.rate

    def at(self, now: float, calls: OwnCalls) -> TokenBucket:  # noqa: ARG002 - as windows have it
        """Return the same state: no window ends."""
        return self

    def wait(self, now: float, calls: OwnCalls, cost: int = 1, ahead: int = 0) -> float:
        """Return the seconds until a call may be sent; 0 for now."""
        if not math.isfinite(self.rate):
            return POLL if calls.in_flight else 0.0
        left = self.limit - max(self.full_at - now, 0.0) * self.rate - calls.in_flight
        token = max((min(cost + ahead, self.limit) - left) / self.rate, 0.0)
        if not math.isfinite(self.fastest):  # as long as none is left, only the time of the next token is known
            return max(self.token_at - now, POLL if calls.in_flight else 0.0)
        next_at = calls.last_sent + self._gap(calls)
        own_left = max(self.share * self.limit - 1 - cost - ahead, 0)
        own_token = self.own_full_at - own_left / (self.share * self.rate)
        return max(next_at - now, token, own_token - now)

    def _gap(self, calls: OwnCalls) -> float:
        """Return the seconds from the last call to the next, for each of its tokens by what was left before it."""
        others = calls.last_cost - 1
        full_in = max(self.full_in + (calls.in_flight - others) / self.rate, 0.0)
        return calls.last_cost * full_in / max(self.limit - full_in * self.rate, 1.0)

    def record_send(self, now: float, cost: int = 1) -> TokenBucket:
        """Count a call that leaves now."""
        if not math.isfinite(self.rate):
            return self
        return changed(self, own_full_at=max(self.own_full_at, now) + cost / (self.share * self.rate))

    def cancel_send(self, window: int, cost: int = 1) -> TokenBucket:  # noqa: ARG002 - as windows have it
        """Return the same state: what a call used of our share comes back by itself."""
        return self

    def record_unanswered(self, now: float, window: int, cost: int = 1) -> TokenBucket:  # noqa: ARG002 - as windows have it
        """Count a call as used: it got no answer, or one without limits."""
        if not math.isfinite(self.rate):
            return self
        full_at = max(self.full_at, now) + cost / self.rate
        return changed(self, full_at=full_at, full_in=full_at - now)

    def record_refusal(self, now: float, wait: float, cost: int = 1) -> TokenBucket:  # noqa: ARG002 - as windows have it
        """Expect a token at the latest when the vendor says so."""
        return changed(self, token_at=min(self.token_at, now + wait)) if wait > 0 else self

    def observe(self, seen: Observation, calls: OwnCalls) -> TokenBucket:  # noqa: ARG002 - as windows have it
        """Learn from an answer; with no token left, `reset` is the time until there is one."""
        state = self
        if seen.limit != state.limit:
            state = TokenBucket(
                state.share,
                state.probes_pace,
                state.contradicted,
                seen.limit,
                full_in=state.full_in,
                token_at=state.token_at,
            )
        if seen.remaining and seen.counted and seen.reset > _GRAIN:
            state = _narrowed(state, (seen.counted - 1) / seen.reset, seen.counted / (seen.reset - _GRAIN))
        elif not seen.remaining and seen.reset > _GRAIN and not math.isfinite(state.fastest):
            # The best that is known until some tokens are left.
            rate, token_at = min(state.rate, 1 / seen.reset), seen.received_at + seen.reset
            state = changed(state, rate=rate, token_at=token_at)
        return state if not math.isfinite(state.rate) else _filled(state, seen)

    def join(
        self,
        now: float,  # noqa: ARG002 - as windows have it, like the other arguments
        calls: OwnCalls,  # noqa: ARG002
        *,
        limit: int,  # noqa: ARG002
        is_new: bool,  # noqa: ARG002
        ends_at: float | None,  # noqa: ARG002
    ) -> TokenBucket:
        """Return the same state: workers share windows, and of a bucket only its pace."""
        return self

    def demand(self, now: float, calls: OwnCalls) -> LeaseDemand:
        """Return the knowledge that the shared store needs to lease calls: how fast the bucket is filled."""
        return LeaseDemand(now, 0, 0, calls.in_flight, now, None, 0.0, self.number, _pace(self))


def _filled(state: TokenBucket, seen: Observation) -> TokenBucket:
    """Learn from an answer when the bucket would be full."""
    own_full_at, full_at = state.own_full_at, state.full_at
    if not math.isfinite(own_full_at):  # our share may have been used before it was known for a bucket
        own_full_at = seen.received_at + state.limit / state.rate
    expected = state.limit - (full_at - seen.received_at) * state.rate
    misread = math.isfinite(full_at) and seen.remaining - expected > state.limit * _MISREAD
    missing = 0.0 if seen.remaining else (state.limit - 1) / state.rate
    latest = seen.received_at + min(seen.reset + missing, state.limit / state.rate)
    full_at = max(full_at, latest)
    return changed(
        state,
        contradicted=state.contradicted or misread,
        own_full_at=own_full_at,
        full_at=full_at,
        # As the answer has it, because what flows in since then may be gone: others call, too.
        full_in=full_at - seen.received_at,
    )


def _narrowed(state: TokenBucket, slowest: float, fastest: float) -> TokenBucket:
    """Narrow the range of the rate: each answer gives one, as `remaining` is rounded down and `reset` up."""
    low, high = max(state.slowest, slowest), min(state.fastest, fastest)
    if low > high:  # the vendor has changed it
        low, high = slowest, fastest
    rate = (low + high) / 2 if low > _ALIKE * high else low or high
    return changed(state, slowest=low, fastest=high, rate=rate)


def _pace(state: TokenBucket) -> float:
    """Return the units per second that all workers together may use; 0 while nothing is known."""
    if not math.isfinite(state.rate):
        return 0.0
    if state.slowest > _ALIKE * state.fastest or not state.probes_pace:
        return state.rate
    # With none left, a little slower, so that soon some are: they say more. Nearly full says only the upper end.
    return state.fastest if math.isfinite(state.fastest) else _SURELY * state.rate
