"""Define what all kinds of limits have in common: each is a value, and each event makes the next value.

A new kind of limit is a module of its own with one state type that satisfies `LimitState`; `kinds` chooses among them.

A call costs one unit of the limit, or several where the vendor counts rows or tokens. All numbers here are units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self, TypeVar

POLL = 0.005
"""Seconds after which to ask again where an answer on its way will say more."""

_WHOLE_SECONDS, _MILLISECONDS = 1.0, 0.001
_State = TypeVar("_State")


class Observation(NamedTuple):
    """One answer, as far as it is about the limit.

    Attributes:
        sent_at: Monotonic seconds before the call was sent.
        received_at: Monotonic seconds after its answer came.
        window: Number of the window for which the call was sent.
        limit: Units per window.
        remaining: Units left.
        reset: Seconds until the window ends, rounded up.
        cost: Units of the call.
    """

    sent_at: float
    received_at: float
    window: int
    limit: int
    remaining: int
    reset: float
    cost: int = 1

    @property
    def counted(self) -> int:
        """Units that the vendor has counted in this window, this call included."""
        return max(self.limit - self.remaining, 0)

    @property
    def whole_seconds(self) -> bool:
        """Whether `reset` was rounded to seconds; a whole number of milliseconds counts, too, which does no harm."""
        return float(self.reset).is_integer() and self.reset > 0

    @property
    def earliest_end(self) -> float:
        """The window ends then or later."""
        grain = _WHOLE_SECONDS if self.whole_seconds else _MILLISECONDS
        return self.sent_at + max(self.reset - grain, 0.0)

    @property
    def latest_end(self) -> float:
        """The window ends then or earlier."""
        return self.received_at + self.reset


class LeaseDemand(NamedTuple):
    """The knowledge that a worker shares with the store when it asks for calls.

    Attributes:
        at: Monotonic seconds to which `ends_at` refers.
        limit: Units per window.
        counted: Units that the vendor has counted in this window, as far as known here.
        in_flight: Units sent and not answered, which may land in a window that is new to this worker.
        opened_at: Latest end of the window before.
        ends_at: Latest end of the window by this worker's knowledge, or None.
        length: Seconds that a window lasts, as far as known.
        number: This worker's number of the window.
        rate: Units per second by which a bucket is filled; 0 where there are windows, or nothing is known.
    """

    at: float
    limit: int
    counted: int
    in_flight: int
    opened_at: float
    ends_at: float | None
    length: float
    number: int
    rate: float = 0.0


@dataclass(slots=True)
class OwnCalls:
    """The units of a worker's calls under one limit, counted where each call passes.

    Attributes:
        in_flight: Units sent and not answered.
        sent: Units sent since the limit is of its present kind.
        last_sent: When the last call was sent, in monotonic seconds.
        last_cost: Units of the last call.
    """

    in_flight: int = 0
    sent: int = 0
    last_sent: float = -math.inf
    last_cost: int = 1


class LimitState(Protocol):
    """The knowledge of one limit. Nothing changes a state: each transition returns the next one, or the same."""

    @property
    def number(self) -> int:
        """Number of the present window, counted by this worker; 0 for a limit without windows."""
        ...

    @property
    def limit(self) -> int:
        """Units per window, or that a full bucket holds; 0 if no answer has named it yet."""
        ...

    @property
    def length(self) -> float:
        """Seconds that a window lasts, or in which an empty bucket is refilled; 0 if that is not known yet."""
        ...

    @property
    def contradicted(self) -> bool:
        """Whether the answers contradict this kind of limit."""
        ...

    def at(self, now: float, calls: OwnCalls) -> Self:
        """Return the state at this moment, in which a window that is over has given way to the next."""
        ...

    def wait(self, now: float, calls: OwnCalls, cost: int = 1, ahead: int = 0) -> float:
        """Return the seconds until a call may be sent; 0 for now.

        Args:
            now: Monotonic seconds.
            calls: This worker's calls.
            cost: Units of the call; where they are more than the limit, it goes when all of the limit is free.
            ahead: Units of a call that waits for longer; they are left free if it may go before the limit is renewed.
        """
        ...

    def record_send(self, now: float, cost: int = 1) -> Self:
        """Learn that a call leaves now."""
        ...

    def cancel_send(self, window: int, cost: int = 1) -> Self:
        """Count a call of that window no more, because it was not sent."""
        ...

    def observe(self, seen: Observation, calls: OwnCalls) -> Self:
        """Learn from an answer that names the limit."""
        ...

    def record_unanswered(self, now: float, window: int, cost: int = 1) -> Self:
        """Count a call of that window as used: it got no answer, or one that does not name the limit."""
        ...

    def record_refusal(self, now: float, wait: float, cost: int = 1) -> Self:
        """Learn from a refusal, after which the vendor opens again in that many seconds, as it says."""
        ...

    def join(self, now: float, calls: OwnCalls, *, limit: int, is_new: bool, ends_at: float | None) -> Self:
        """Learn what other workers know: the limit, whether a new window has begun, and when it ends."""
        ...

    def demand(self, now: float, calls: OwnCalls) -> LeaseDemand:
        """Return the knowledge that the shared store needs to lease calls."""
        ...


def changed(state: _State, **changes: Any) -> _State:
    """Return a copy of a frozen dataclass without slots, with some fields changed.

    Each call makes some copies, and `dataclasses.replace` takes as long for one as all the arithmetic does.
    """
    copy = object.__new__(type(state))
    object.__setattr__(copy, "__dict__", state.__dict__ | changes)
    return copy
