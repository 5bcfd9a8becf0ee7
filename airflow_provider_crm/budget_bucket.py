"""A limit that is refilled all the time: a token bucket, learned from the answers.

The state of a bucket is one moment: when it would be full if nobody called. Each call moves it on by the time that
one token takes. An answer tells that moment, as `received + reset`, within its latency; being off by a constant costs
a part of one burst and no throughput, because the next answer tells the moment anew.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from airflow_provider_crm.budget_window import POLL

if TYPE_CHECKING:
    from airflow_provider_crm.budget_window import Answer

_GRAIN = 0.001
# A call that is on its way when another one is answered, or one of another program.
_RESERVE = 1
# So much more than it could hold, as part of the limit, was never in a bucket.
_MISREAD = 0.5


class TokenBucket:
    """One limit of that kind.

    Args:
        share: Part of the limit that may be used.

    Attributes:
        unfit: Whether a refusal, or calls that remain against expectation, show that the answers were misread.
    """

    def __init__(self, share: float) -> None:
        self.unfit = False
        self._share = share
        self._limit = 0
        self._rate = math.inf
        self._full_at = -math.inf
        self._own_full_at = -math.inf

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
        next_token = self._full_at - (self._limit - in_flight - 1 - _RESERVE) / self._rate
        own_token = self._own_full_at - max(self._share * self._limit - 1, 0) / (self._share * self._rate)
        return max(next_token - now, own_token - now, 0.0)

    def sent(self, now: float) -> int:
        """Count a call that leaves now."""
        if math.isfinite(self._rate):
            self._own_full_at = max(self._own_full_at, now) + 1 / (self._share * self._rate)
        return 0

    def unsent(self, window: int) -> None:
        """A call was not sent; what it took of our share comes back by itself."""

    def untold(self, window: int, now: float) -> None:  # noqa: ARG002 - as the other plans have it
        """A call had no answer, or one without limits: it counts as used."""
        if math.isfinite(self._rate):
            self._full_at = max(self._full_at, now) + 1 / self._rate

    def refused(self, now: float, wait: float, *, first: bool) -> None:  # noqa: ARG002 - as the other plans have it
        """A refusal should not have happened."""
        self.unfit = True

    def told(self, answer: Answer, in_flight: int) -> None:  # noqa: ARG002 - as the other plans have it
        """Take in what an answer says; with no token left, `reset` is the time until there is one."""
        if answer.limit != self._limit:
            self._limit, self._rate = answer.limit, math.inf
        if answer.remaining and answer.reset > _GRAIN and answer.counted:
            # `remaining` is rounded down and `reset` up, so that this is never less than the true rate.
            self._rate = min(self._rate, answer.counted / (answer.reset - _GRAIN))
        if not math.isfinite(self._rate):
            return
        held = self._limit - (self._full_at - answer.received_at) * self._rate
        if math.isfinite(self._full_at) and answer.remaining - held > self._limit * _MISREAD:
            self.unfit = True
        missing = 0.0 if answer.remaining else (self._limit - 1) / self._rate
        latest = answer.received_at + min(answer.reset + missing, self._limit / self._rate)
        self._full_at = max(self._full_at, latest)
