"""Count calls under a limit of so many units per window, all of which come back when the window ends.

An answer that says "the window ends in `reset` seconds" was written between sending and receiving, and vendors round
`reset` up. So the end lies between `sent + reset - grain` and `received + reset`; the answers of one window narrow that
down by intersection. A call that is sent after the latest possible end lands in the next window; one that was sent
before and is not answered yet may land in either, so it counts in both until its answer comes.

Windows follow one another in two ways, of which each foresees the end of a window in its own way as well:

- `AlignedWindow`: the next one begins when the last one ends, whether anybody calls or not. So the ends are a length
  apart, and what one window has shown narrows down all others.
- `FirstCallWindow`: the next one begins with the first call after the last one has ended, and ends a length after that.

Over 300 lines because both learn the same from an answer, by functions that make no sense apart from the window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self, TypeVar

from airflow_provider_crm.budget.limit_state import POLL, Agreement, Seen, Traffic, changed, nearest, units_of_share
from airflow_provider_crm.budget.others import expected_in, room_for, room_within

_TOLERANCE = 0.004
_DRIFT = 0.0005
# Part of its length for which a window is taken to last beyond its end: clocks run apart, and long resets are rounded.
_LASTS = 1e-5
# A part of the units that were used before a window ended, and of more than some at least a few: if more are still used
# after it, it was no end.
_PARTLY, _SMALL, _FEW = 0.2, 8, 2
# Ends that came as foreseen, after which the calls of a window leave together and not after the first one's answer.
_TRUSTED = 2
# Of the calls of others, how much a window with more of them than expected changes that, or one with none; and one with
# fewer, as they show only as far as we leave them room.
_CHANGES, _SINKS, _FADES = 0.5, 0.25, 0.7
# Until so many calls of others are expected, no call asks how many there were; nor after less than a part of a window.
_ASKS, _SHORTEST_ASK = 0.25, 1 / 64
# In one of so many windows that are not long the last call waits for their end: it sees others, whose calls come all
# the time, and find room only there where we use the whole limit.
_LOOKS, _LONGEST_LOOK, _BEFORE_END = 4, 15.0, 0.01
# Before a window that one call needs whole, no other leaves for so many seconds: what lands late would take a part.
_DRAINED = 2.0


_Kind = TypeVar("_Kind", bound="_LimitWindow")


@dataclass(frozen=True)
class _LimitWindow:
    """The present window of one limit.

    Attributes:
        share: Part of the limit that may be used.
        limit: Units per window; 0 until an answer names it.
        length: Seconds of a window, as far as answers have shown; 0 if none has yet.
        begun_after: The window has begun then or later.
        begun_before: The window has begun then or earlier, so that a call sent since then lands in it.
        ends_after: It ends then or later.
        ends_before: It ends then or earlier; infinite while that is not known.
        own: Units of our own answered calls that may count in it.
        certain: Those of them that surely count in it.
        others: Units of other programs in it, by the latest answer, as far as our own do not explain them.
        others_rate: Units of other programs per second that are expected.
        opened_after: A call of our own has opened it then or later; minus infinity if another one may have.
        first_received_at: When the first of their answers came; infinite before that.
        observed: Whether an answer of this window has come.
        seen_at: When the last one came.
        number: Windows since the first one.
        used_before: Units that were used when the last window ended.
        trusted: How many ends in a row came as foreseen.
    """

    kind: ClassVar[str]

    share: float
    limit: int = 0
    length: float = 0.0
    begun_after: float = -math.inf
    begun_before: float = -math.inf
    ends_after: float = -math.inf
    ends_before: float = math.inf
    own: int = 0
    certain: int = 0
    others: int = 0
    others_rate: float = 0.0
    opened_after: float = -math.inf
    first_received_at: float = math.inf
    observed: bool = False
    seen_at: float = -math.inf
    number: int = 0
    used_before: int = 0
    trusted: int = 0

    def at(self, now: float) -> Self:
        """Return the window at this moment: the next one if this one is surely over."""
        return self if now < self.over_at else self.following(self.ends_after, self.ends_before, now)

    @property
    def over_at(self) -> float:
        """When calls land in the next window in any case; infinite while the end is not known."""
        return self.ends_before + _LASTS * self.length

    def wait(self, now: float, traffic: Traffic, cost: int, ahead: int) -> float:
        """Return the seconds until a call may be sent; 0 for now."""
        asks = POLL if traffic.in_flight else 0.0
        if not self.limit:
            return asks
        cap, used, left = units_of_share(self.share, self.limit), self.own + traffic.in_flight, self.over_at - now
        need = min(cost, cap) + (ahead if used + ahead <= cap and ahead < cap else 0)
        room = self.limit - self.others - used - need
        drains = ahead >= cap and used > 0 and 0 < left <= _DRAINED
        if used + need > cap or room < 0 or drains:
            until = left if math.isfinite(left) else self._unknown_end(now, traffic)
            return min(until, asks) if asks else until
        if not self.observed and self.trusted < _TRUSTED and traffic.in_flight:
            return POLL  # the first call shows whether the window has begun
        if self.others_rate:
            return self._until_room(now, traffic, room)
        return 0.0

    def free(self, now: float, traffic: Traffic) -> int:  # noqa: ARG002 - as others have it
        """Return the units that may be sent now."""
        used = self.own + traffic.in_flight
        room = self.limit - self.others - used
        if self.others_rate:
            room -= math.ceil(room_within(self.limit, self.others_rate * self._rest(self.seen_at)))
        return min(units_of_share(self.share, self.limit) - used, room)

    def observe(self, seen: Seen, traffic: Traffic) -> tuple[Self, Agreement]:
        """Learn from an answer: which window it shows, when that ends, and what other programs have used of it."""
        state = self if seen.limit == self.limit else changed(self, limit=seen.limit, others=0)
        is_longer = seen.length > state.length > 0 and not seen.is_named
        if seen.length != state.length:
            state = changed(state, length=seen.length)
        tolerance = _TOLERANCE + _DRIFT * (seen.reset or 0.0)
        if seen.received_at <= state.begun_after or _is_earlier(state, seen, traffic, tolerance):
            return state, Agreement.AGREES
        certain = max(state.certain - traffic.crossed(seen.sent_at), 0) + seen.cost
        if is_longer and seen.used < certain:
            return _seen_alone(state, seen, traffic), Agreement.AGREES  # what was foreseen went by a shorter length
        if seen.used < certain or seen.earliest_end > state.ends_before + tolerance:
            if seen.received_at < state.ends_after - tolerance:
                fewer = seen.used < certain
                agreement = Agreement.REFUTES if fewer else Agreement.CONTRADICTS
                return _restarted(state, seen, state.begun_after, traffic), agreement
            ends_before = min(state.ends_before, seen.received_at)
            next_one = state.following(min(state.ends_after, ends_before), ends_before, seen.received_at)
            return _first(next_one, seen, traffic, early=True)
        if not state.observed:
            return _first(state, seen, traffic, early=False)
        return _narrowed(state, seen, traffic, certain)

    def unanswered(self, sent_at: float, now: float, cost: int) -> Self:  # noqa: ARG002 - as others have it
        """Count a call as used."""
        return self if now <= self.begun_after else changed(self, own=self.own + cost)

    def following(self, ends_after: float, ends_before: float, now: float) -> Self:
        """Return the next window, which begins between two moments."""
        raise NotImplementedError

    def begun_between(self, begun_after: float, begun_before: float, ends_after: float, ends_before: float) -> Self:
        """Return the window after this one, of which these moments are known."""
        return type(self)(
            self.share,
            self.limit,
            self.length,
            begun_after=begun_after,
            begun_before=begun_before,
            ends_after=ends_after,
            ends_before=ends_before,
            others_rate=self._others_seen(),
            number=self.number + 1,
            used_before=self.own + self.others,
            trusted=self.trusted,
        )

    def foreseen_end(self) -> tuple[float, float]:
        """Return between which moments this window ends, by what is known besides its answers."""
        raise NotImplementedError

    def may_have_ended(self, now: float) -> bool:  # noqa: ARG002 - as aligned windows have it
        """Return whether a window without an answer of its own may have ended, so that another has begun."""
        return False

    def _rest(self, now: float) -> float:
        """Return the seconds of this window that are left after a moment."""
        end = self.ends_before if math.isfinite(self.ends_before) else self.begun_before + self.length
        return max(min(end - now, self.length), 0.0) if math.isfinite(end) else self.length

    def until_look(self, now: float, traffic: Traffic) -> float:
        """Return the seconds for which the last call of a window waits to see whether others have called in it."""
        if self.number % _LOOKS != _LOOKS - 1 or self.length > _LONGEST_LOOK:
            return 0.0
        return max(self.ends_after - traffic.latency - _BEFORE_END - now, 0.0)

    def _until_room(self, now: float, traffic: Traffic, room: int) -> float:
        """Return the seconds until other programs need no more than that much room in the rest of the window.

        Their calls since the last answer are not known, so that they count as still to come. Where only that keeps a
        call back, one call goes and finds out.
        """
        if room >= room_within(self.limit, self.others_rate * self._rest(self.seen_at)):
            return 0.0
        if traffic.in_flight:
            return POLL
        asks_at = max(self.seen_at, traffic.last_sent) + max(_ASKS / self.others_rate, self.length * _SHORTEST_ASK)
        enough = self._rest(now) - expected_in(room) / self.others_rate
        return max(asks_at - now, enough, 0.0)

    def _unknown_end(self, now: float, traffic: Traffic) -> float:
        """Return the seconds until a call has to find out whether the window has ended."""
        length = self.length or max(now - self.first_received_at, POLL)
        return max(traffic.last_sent + length - now, 0.0)

    def _others_seen(self) -> float:
        """Return the units of other programs per second, with those of this window."""
        begun = self.begun_before if math.isfinite(self.begun_before) else self.ends_before - self.length
        seen_for = min(self.seen_at - begun, self.length)
        if not self.length or not math.isfinite(seen_for):
            return self.others_rate
        rate = self.others_rate
        if seen_for >= self.length / 4:
            more = self.others / seen_for - rate
            rate += (_SINKS if more < 0 < self.others else _CHANGES) * more
        elif not self.others:  # too little was seen to say how many they are, unless they are none
            rate *= _FADES
        return rate if rate * self.length > _SINKS else 0.0


class AlignedWindow(_LimitWindow):
    """A window of a row without gaps."""

    kind: ClassVar[str] = "aligned"

    def following(self, ends_after: float, ends_before: float, now: float) -> Self:
        """Return the window of this moment, also where no call came in those before it."""
        passed = math.floor((now - ends_before) / self.length) * self.length if self.length else 0.0
        passed = max(passed, 0.0)
        begun_after, begun_before = ends_after + passed, ends_before + passed
        known = self.length > 0 and self.trusted > 0
        ends = (begun_after + self.length, begun_before + self.length) if known else (begun_after, math.inf)
        return self.begun_between(begun_after, begun_before, *ends)

    def foreseen_end(self) -> tuple[float, float]:
        """Return the end that the windows before foretell."""
        if not self.length or not math.isfinite(self.begun_before) or not self.trusted:
            return -math.inf, math.inf
        return self.begun_after + self.length, self.begun_before + self.length

    def may_have_ended(self, now: float) -> bool:
        """Return whether the window that began first may have ended by then."""
        return self.length > 0 and now > self.begun_after + self.length > -math.inf


class FirstCallWindow(_LimitWindow):
    """A window that its first call has opened, whoever made it."""

    kind: ClassVar[str] = "first_call"

    def following(self, ends_after: float, ends_before: float, now: float) -> Self:  # noqa: ARG002 - as the other has it
        """Return the next window, which has begun by now only if a call has opened it."""
        return self.begun_between(ends_after, ends_before, ends_after, math.inf)

    def foreseen_end(self) -> tuple[float, float]:
        """Return the end of a window that a call of our own has opened, else only the latest one."""
        if not self.length or not math.isfinite(self.begun_before):
            return -math.inf, math.inf
        return self.opened_after + self.length, self.first_received_at + self.length


def _is_earlier(window: _Kind, seen: Seen, traffic: Traffic, tolerance: float) -> bool:
    """Return whether a call that was on its way when this window began was counted in the one before."""
    if seen.sent_at >= window.begun_before:
        return False
    if window.observed and seen.latest_end < window.ends_after - tolerance:
        return True
    if not window.observed and seen.reset is not None and seen.latest_end <= window.begun_before + tolerance:
        return True
    return not window.observed and seen.used > window.own + traffic.in_flight + seen.cost + window.used_before * _PARTLY


def _restarted(window: _Kind, seen: Seen, begun_after: float, traffic: Traffic) -> _Kind:
    """Return the window as one answer alone shows it."""
    fresh = type(window)(
        window.share,
        window.limit,
        window.length,
        begun_after=begun_after,
        begun_before=seen.received_at,
        others_rate=window.others_rate,
    )
    return _first(fresh, seen, traffic, early=True)[0]


def _seen_alone(window: _Kind, seen: Seen, traffic: Traffic) -> _Kind:
    """Return the window as one answer alone shows it, which is not the one that was foreseen."""
    fresh = type(window)(window.share, window.limit, window.length, begun_before=seen.received_at, number=window.number)
    return changed(_first(fresh, seen, traffic, early=True)[0], others_rate=window.others_rate, trusted=0)


def _first(window: _Kind, seen: Seen, traffic: Traffic, *, early: bool) -> tuple[_Kind, Agreement]:
    """Learn from the first answer of a window when it ends, and what was counted before.

    Args:
        seen: The answer.
        traffic: The calls on their way.
        early: Whether the answer itself is what shows that the window has begun.
    """
    own = (0 if early else window.own) + seen.cost
    # Of the calls that crossed this one some may count in this window as well.
    possible = own + traffic.in_flight + (traffic.crossed(seen.sent_at) if early else 0)
    left_over = max(seen.used - possible, 0)
    begun = math.isfinite(window.begun_before)
    agreement = Agreement.AGREES
    if begun:
        by_others = room_for(window.others_rate * max(seen.received_at - window.begun_after, 0.0))
        few = max(window.used_before * _PARTLY, _FEW if window.used_before > _SMALL else 1) + by_others
        agreement = Agreement.DOUBTFUL if left_over > few else Agreement.CONFIRMS
    if seen.used == seen.cost:
        opened_after = seen.sent_at
    else:
        opened_after = window.begun_before if not left_over and seen.sent_at >= window.begun_before else -math.inf
    rate = window.others_rate
    if left_over and not rate and window.length and agreement is not Agreement.DOUBTFUL:
        rate = left_over / window.length
    state = changed(
        window,
        begun_before=seen.received_at if window.may_have_ended(seen.received_at) else window.begun_before,
        own=own,
        certain=seen.cost,
        others=left_over,
        others_rate=rate,
        observed=True,
        seen_at=seen.received_at,
        opened_after=opened_after,
        first_received_at=seen.received_at,
        ends_after=max(seen.earliest_end, window.begun_after),
        ends_before=seen.latest_end,
        trusted=window.trusted + 1 if agreement is Agreement.CONFIRMS and seen.is_sure else 0,
    )
    return _within(state, *state.foreseen_end(), seen, agreement)


def _narrowed(window: _Kind, seen: Seen, traffic: Traffic, certain: int) -> tuple[_Kind, Agreement]:
    """Learn from one more answer of a window."""
    possible, most = window.own + traffic.in_flight + seen.cost, max(seen.used - certain, 0)
    state = changed(
        window,
        own=window.own + seen.cost,
        certain=window.certain + (seen.cost if seen.sent_at >= window.begun_before else 0),
        others=nearest(window.others, max(seen.used - possible, 0), most),
        seen_at=seen.received_at,
    )
    return _within(state, seen.earliest_end, seen.latest_end, seen, Agreement.AGREES)


def _within(
    window: _Kind, ends_after: float, ends_before: float, seen: Seen, agreement: Agreement
) -> tuple[_Kind, Agreement]:
    """Return the window with an end that is known better; if nothing is left, the answer is right."""
    tolerance = _TOLERANCE + _DRIFT * (seen.reset or 0.0)
    after, before = max(window.ends_after, ends_after), min(window.ends_before, ends_before)
    if after <= before:
        return changed(window, ends_after=after, ends_before=before), agreement
    if after <= before + tolerance:
        return changed(window, ends_after=before, ends_before=max(before, seen.earliest_end)), agreement
    return changed(window, ends_after=seen.earliest_end, ends_before=seen.latest_end), Agreement.CONTRADICTS
