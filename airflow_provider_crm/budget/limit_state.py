"""Define what all kinds of limits have in common: each is a value, and each event makes the next value.

A new kind of limit is a module of its own with one state type that satisfies `LimitState`; `kinds` chooses among them.
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
        limit: Calls per window.
        remaining: Calls left.
        reset: Seconds until the window ends, rounded up.
    """

    sent_at: float
    received_at: float
    window: int
    limit: int
    remaining: int
    reset: float

    @property
    def counted(self) -> int:
        """Calls that the vendor has counted in this window, this one included."""
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
        limit: Calls per window.
        counted: Calls that the vendor has counted in this window, as far as known here.
        in_flight: Calls sent and not answered, which may land in a window that is new to this worker.
        opened_at: Latest end of the window before.
        ends_at: Latest end of the window by this worker's knowledge, or None.
        length: Seconds that a window lasts, as far as known.
        number: This worker's number of the window.
        rate: Calls per second by which a bucket is filled; 0 where there are windows, or nothing is known.
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
    """A worker's calls under one limit, counted where each of them passes.

    Attributes:
        in_flight: Calls sent and not answered.
        sent: Calls sent since the limit is of its present kind.
        last_sent: When the last of them was sent, in monotonic seconds.
    """

    in_flight: int = 0
    sent: int = 0
    last_sent: float = -math.inf


class LimitState(Protocol):
    """The knowledge of one limit. Nothing changes a state: each transition returns the next one, or the same."""

    @property
    def number(self) -> int:
        """Number of the present window, counted by this worker; 0 for a limit without windows."""
        ...

    @property
    def limit(self) -> int:
        """Calls per window, or that a full bucket holds; 0 if no answer has named it yet."""
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

    def wait(self, now: float, calls: OwnCalls) -> float:
        """Return the seconds until the next call may be sent; 0 for now."""
        ...

    def record_send(self, now: float) -> Self:
        """Learn that a call leaves now."""
        ...

    def cancel_send(self, window: int) -> Self:
        """Count a call of that window no more, because it was not sent."""
        ...

    def observe(self, seen: Observation, calls: OwnCalls) -> Self:
        """Learn from an answer that names the limit."""
        ...

    def record_unanswered(self, now: float, window: int) -> Self:
        """Count a call of that window as used: it got no answer, or one that does not name the limit."""
        ...

    def record_refusal(self, now: float, wait: float) -> Self:
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
