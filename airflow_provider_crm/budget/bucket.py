"""A limit that is refilled all the time: a token bucket, learned from the answers.

The state of a bucket is one moment: when it would be full if nobody called. An answer tells that moment, as
`received + reset`, within its latency. Calls are spaced so that what is left would last until then: a full bucket is
used at once, one that runs dry slowly. So workers that cannot talk to each other find the same pace, at which the
bucket never is empty, and all that flows in is used.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from airflow_provider_crm.budget.windows import POLL, LeaseDemand

if TYPE_CHECKING:
    from airflow_provider_crm.budget.windows import Answer

_GRAIN = 0.001
# The range in which the rate lies is narrow enough then to take its middle; before that its lower end is safe.
_CLOSE = 0.9
# Where none is left, the next token is told of, and a part of it is there already: surely borne is less than its pace.
_SURELY = 0.8
# So much more than it could hold, as part of the limit, was never in a bucket.
_MISREAD = 0.5


class TokenBucket:
    """One limit of that kind.

    Args:
        share: Part of the limit that may be used.
        tries: Whether too fast a pace would show itself by what is left, because workers on one store use all of it.

    Attributes:
        number: Buckets have no windows to be counted.
        unfit: Whether calls that remain against expectation show that the answers were misread.
    """

    number = 0

    def __init__(self, share: float, *, tries: bool = False) -> None:
        self.unfit = False
        self._tries = tries
        self._share = share
        self._limit = 0
        self._rate = math.inf
        self._slowest, self._fastest = 0.0, math.inf
        self._full_at, self._full_in = -math.inf, 0.0
        self._own_full_at = -math.inf
        self._last_sent = self._token_at = -math.inf

    @property
    def limit(self) -> int:
        """Calls that a full bucket holds, as the vendor told; 0 if it has not yet."""
        return self._limit

    @property
    def length(self) -> float:
        """Seconds in which an empty bucket is refilled; 0 if that is not known yet."""
        return self._limit / self._rate

    def wait(self, now: float, in_flight: int) -> float:
        """Seconds until the next call may be sent; 0 for now."""
        if not math.isfinite(self._rate):
            return POLL if in_flight else 0.0
        left = self._limit - max(self._full_at - now, 0.0) * self._rate - in_flight
        token = max((1 - left) / self._rate, 0.0)
        if not math.isfinite(self._fastest):  # as long as none are left nobody knows more than when a token comes
            return max(self._token_at - now, POLL if in_flight else 0.0)
        full_in = self._full_in + in_flight / self._rate
        next_at = self._last_sent + full_in / max(self._limit - full_in * self._rate, 1.0)
        own_token = self._own_full_at - max(self._share * self._limit - 2, 0) / (self._share * self._rate)
        return max(next_at - now, token, own_token - now)

    def sent(self, now: float) -> int:
        """Count a call that leaves now."""
        self._last_sent = now
        if math.isfinite(self._rate):
            self._own_full_at = max(self._own_full_at, now) + 1 / (self._share * self._rate)
        return self.number

    def unsent(self, window: int) -> None:
        """A call was not sent; what it took of our share comes back by itself."""

    def untold(self, answered_at: float, window: int) -> None:  # noqa: ARG002 - as windows have it
        """A call had no answer, or one without limits: it counts as used."""
        if math.isfinite(self._rate):
            self._full_at = max(self._full_at, answered_at) + 1 / self._rate
            self._full_in = self._full_at - answered_at

    def refused(self, now: float, wait: float) -> None:
        """A call was refused: there is a token at the latest when the vendor says so."""
        if wait > 0:
            self._token_at = min(self._token_at, now + wait)

    def told(self, answer: Answer, in_flight: int) -> None:  # noqa: ARG002 - as windows have it
        """Take in what an answer says; with no token left, `reset` is the time until there is one."""
        if answer.limit != self._limit:
            self._limit, self._slowest, self._fastest, self._rate = answer.limit, 0.0, math.inf, math.inf
            self._full_at = self._own_full_at = -math.inf
        if answer.remaining and answer.counted and answer.reset > _GRAIN:
            self._narrow((answer.counted - 1) / answer.reset, answer.counted / (answer.reset - _GRAIN))
        elif not answer.remaining and answer.reset > _GRAIN and not math.isfinite(self._fastest):
            self._rate = min(self._rate, 1 / answer.reset)  # the best that is known until some are left
            self._token_at = answer.received_at + answer.reset
        if not math.isfinite(self._rate):
            return
        if not math.isfinite(self._own_full_at):  # our share may have been used before it was known for a bucket
            self._own_full_at = answer.received_at + self._limit / self._rate
        held = self._limit - (self._full_at - answer.received_at) * self._rate
        if math.isfinite(self._full_at) and answer.remaining - held > self._limit * _MISREAD:
            self.unfit = True
        missing = 0.0 if answer.remaining else (self._limit - 1) / self._rate
        latest = answer.received_at + min(answer.reset + missing, self._limit / self._rate)
        self._full_at = max(self._full_at, latest)
        # As it was told, because what flows in since then may be gone: others call, too.
        self._full_in = self._full_at - answer.received_at

    def _narrow(self, slowest: float, fastest: float) -> None:
        """Of how fast the bucket is filled each answer tells a range, as `remaining` is rounded down and `reset` up."""
        self._slowest, self._fastest = max(self._slowest, slowest), min(self._fastest, fastest)
        if self._slowest > self._fastest:  # the vendor has changed it
            self._slowest, self._fastest = slowest, fastest
        middle = (self._slowest + self._fastest) / 2
        self._rate = middle if self._known() else self._slowest or self._fastest

    def _known(self) -> bool:
        """Whether the range in which the rate lies is narrow."""
        return self._slowest > _CLOSE * self._fastest

    def need(self, now: float, in_flight: int) -> LeaseDemand:
        """What the shared store has to know to grant calls: how fast the bucket is filled."""
        return LeaseDemand(now, 0, 0, in_flight, now, None, 0.0, self.number, self._pace())

    def _pace(self) -> float:
        """Calls per second that all workers together may send; 0 while nothing is known."""
        if not math.isfinite(self._rate):
            return 0.0
        if self._known() or not self._tries:
            return self._rate
        # With none left, a little slower, so that soon some are: they tell more. Nearly full tells only the upper end.
        return self._fastest if math.isfinite(self._fastest) else _SURELY * self._rate
