"""Define what all kinds of limits have in common: each is a value, and each event makes the next value.

A kind of limit says when the units that calls have used come back. So a state foresees what the next answer shows to
be left; an answer that shows more than that contradicts it. `kinds` keeps the kinds that no answer has contradicted.

A call costs one unit of the limit, or several where the vendor counts rows or tokens. All numbers here are units; times
are seconds of one clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

POLL = 0.005
"""Seconds after which to ask again where an answer on its way will say more."""

_WHOLE_SECONDS, _MILLISECONDS = 1.0, 0.001
# Answers that are kept at most, and for how many times the longest latency: those that crossed a call on its way.
# Workers report theirs late at first, in an order of their own.
_MOST_CROSSING, _LATENCIES = 512, 10.0
_LATENCY_FADES = 0.99
# Products of floats miss whole numbers by less than this.
_ROUNDING = 1e-9
_State = TypeVar("_State")


class Agreement(Enum):
    """How an answer fits what a state foresaw."""

    AGREES = "agrees"
    """It shows what was foreseen, or what another program explains."""
    CONFIRMS = "confirms"
    """It shows units that came back when they were foreseen to."""
    DOUBTFUL = "doubtful"
    """It shows less than was foreseen, by units of our own that should have come back."""
    CONTRADICTS = "contradicts"
    """It shows more than was foreseen, which no other program explains."""
    REFUTES = "refutes"
    """It shows far more, or more at a moment that leaves no doubt."""


class Seen(NamedTuple):
    """One answer, as far as it is about one limit.

    Attributes:
        sent_at: When its call was sent, at the earliest.
        received_at: When the answer came.
        limit: Units per window, or that a full bucket holds.
        remaining: Units left.
        reset: Seconds until there are more, rounded up to `grain`; None if the answer does not say.
        length: Seconds of a window, as the answer or earlier ones say; 0 if none has.
        grain: To what the vendor rounds `reset` up, in seconds.
        cost: Units that the vendor counted for the call: 0 where it was refused.
        is_named: Whether an answer has named that length; else it is the longest time that one has named.
        is_sure: Whether it is named, or another answer has named as long a time later.
    """

    sent_at: float
    received_at: float
    limit: int
    remaining: int
    reset: float | None
    length: float
    grain: float = _MILLISECONDS
    cost: int = 1
    is_named: bool = False
    is_sure: bool = True

    @property
    def used(self) -> int:
        """Units that the vendor has counted, those of this call included."""
        return max(self.limit - self.remaining, 0)

    @property
    def earliest_end(self) -> float:
        """There are more then or later."""
        return self.sent_at + max((self.reset or 0.0) - self.grain, 0.0)

    @property
    def latest_end(self) -> float:
        """There are more then or earlier; infinite if the answer does not say."""
        return math.inf if self.reset is None else self.received_at + self.reset


@dataclass(frozen=True)
class Traffic:
    """The calls of all workers that share this knowledge.

    Attributes:
        in_flight: Units sent and not answered.
        last_sent: When the last call was sent.
        last_cost: Units of the last call.
        answers: When the latest answers came, and the units of their calls, the oldest first.
        latency: Seconds that the slowest of the latest calls took.
    """

    in_flight: int = 0
    last_sent: float = -math.inf
    last_cost: int = 1
    answers: tuple[tuple[float, int], ...] = ()
    latency: float = 0.0

    def sent(self, now: float, cost: int) -> Traffic:
        """Return the traffic with a call that leaves now."""
        return changed(self, in_flight=self.in_flight + cost, last_sent=now, last_cost=cost)

    def without(self, cost: int) -> Traffic:
        """Return the traffic without a call that is no longer on its way."""
        return changed(self, in_flight=max(self.in_flight - cost, 0))

    def answered(self, sent_at: float, received_at: float, cost: int, now: float) -> Traffic:
        """Return the traffic with an answer; its call was taken out before.

        Args:
            sent_at: When the call was sent.
            received_at: When the answer came.
            cost: Units that the vendor counted for the call.
            now: When the answer is known here: workers report theirs a little later.
        """
        latency = max(now - sent_at, self.latency * _LATENCY_FADES)
        oldest = now - _LATENCIES * latency
        kept = self.answers
        if len(kept) >= _MOST_CROSSING or (kept and kept[0][0] < oldest):
            kept = tuple(one for one in kept[1 - _MOST_CROSSING :] if one[0] >= oldest)
        return changed(self, answers=(*kept, (received_at, cost)), latency=latency)

    def crossed(self, sent_at: float) -> int:
        """Return the units of calls whose answers came since then: they may have arrived after a call sent then."""
        return sum(cost for received_at, cost in self.answers if received_at > sent_at)


class LimitState(Protocol):
    """The knowledge of one limit of one kind. Nothing changes a state: each transition returns the next one."""

    kind: ClassVar[str]

    @property
    def limit(self) -> int:
        """Units per window, or that a full bucket holds; 0 if no answer has named it yet."""
        ...

    def at(self, now: float) -> Self:
        """Return the state at this moment, in which units that are back count no more."""
        ...

    def wait(self, now: float, traffic: Traffic, cost: int, ahead: int) -> float:
        """Return the seconds until a call may be sent; 0 for now.

        Args:
            now: The time.
            traffic: The calls on their way.
            cost: Units of the call; where they are more than the limit, it goes when all of the limit is free.
            ahead: Units of a call that waits for longer; they are left free if it may go before the limit is renewed.
        """
        ...

    def free(self, now: float, traffic: Traffic) -> int:
        """Return the units that may be sent now."""
        ...

    def observe(self, seen: Seen, traffic: Traffic) -> tuple[Self, Agreement]:
        """Learn from an answer that names the limit; its call is no longer in the traffic, the answer not yet."""
        ...

    def unanswered(self, sent_at: float, now: float, cost: int) -> Self:
        """Count a call as used: it got no answer, or one that does not name the limit."""
        ...


def grain_of(reset: float) -> float:
    """Return to what a number of seconds seems to be rounded."""
    return _WHOLE_SECONDS if float(reset).is_integer() else _MILLISECONDS


def units_of_share(share: float, limit: int) -> int:
    """Return the units of a share of a limit: whole ones, and at least one, so that every worker learns."""
    return max(math.floor(share * limit + _ROUNDING), 1)


def nearest(value: int, low: int, high: int) -> int:
    """Return the number from low to high that is nearest to a value."""
    return max(min(value, high), low)


def changed(state: _State, **changes: Any) -> _State:
    """Return a copy of a frozen dataclass without slots, with some fields changed.

    Each call makes some copies, and `dataclasses.replace` takes as long for one as all the arithmetic does.
    """
    copy = object.__new__(type(state))
    object.__setattr__(copy, "__dict__", state.__dict__ | changes)
    return copy
