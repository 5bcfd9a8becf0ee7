"""Find out of which kind a limit is, and pace calls by what is known of that so far.

Answers say what is left, and often when there is more, but not how the vendor counts. So a limit is kept in all kinds
at once, until its answers have contradicted all but one; calls are paced by the strictest kind that is left. Of a limit
whose kind is not settled, the last few units are sent one by one over the time in which the kinds differ: their answers
show which units have come back by then. Where another kind than the strictest has units again, one call finds out;
but not where only a part of the limit may be used: that call would exceed it if the strictest kind is the right one.

A kind that contradicts its answers later, because it was taken for another one or the vendor has changed it, is given
up, and all kinds are possible again.

Over 300 lines because one value decides by all kinds, and is stored with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.budget.bucket import Reference, TokenBucket
from airflow_provider_crm.budget.limit_state import (
    POLL,
    Agreement,
    LimitState,
    Seen,
    Traffic,
    changed,
    grain_of,
    units_of_share,
)
from airflow_provider_crm.budget.rate import USUAL_LENGTHS
from airflow_provider_crm.budget.sliding import SlidingWindow, Slot
from airflow_provider_crm.budget.windows import AlignedWindow, FirstCallWindow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_crm.vendors.limits import Limits

_DAY = 86_400.0
_KINDS: dict[str, type[LimitState]] = {
    kind.kind: kind for kind in (SlidingWindow, FirstCallWindow, AlignedWindow, TokenBucket)
}
"""The strictest kind first: each allows what those before it allow."""
_OUT = 2.0
"""Doubts after which a kind is given up."""
_DOUBTS = {
    Agreement.AGREES: 0.0,
    Agreement.CONFIRMS: -0.25,
    Agreement.DOUBTFUL: 0.75,
    Agreement.CONTRADICTS: 1.0,
    Agreement.REFUTES: _OUT,
}
# The doubt of one answer in what is known of a day.
_OF_DAY = _OUT / 8
# The doubt in a kind by which a call had room that was refused; another program may have taken it.
_REFUSED = 0.4
# Part of the limit, and the most units, that find out the kind of a limit; windows longer than that many seconds are
# used at once nevertheless, so that short runs do not wait for it.
_FINDING, _MOST_FINDING = 0.1, 8
_LONGEST_FINDING = 15.0
_SHORT, _TIMES = 2.0, 8
_WORTH_ASKING = 0.25
# Our first units, as so many times the limit.
_FIRST = 2
_BEFORE_END = 0.01
# Lengths are mostly whole: the largest reset falls short of one by the time that the first call of a window was late.
_LATE, _STEP = 0.06, 0.5
# Seconds after the end of a window in which an answer is of one of the first calls of the next.
_FOLLOWS = 0.1
# Seconds after which a call asks where no answer says when there is more: each time as many again, up to the longest.
_SHORTEST_ASK, _LONGEST_ASK = 1.0, 60.0


@dataclass(frozen=True)
class Limit:
    """One limit that answers name, in each kind that fits them.

    Attributes:
        share: Part of it that may be used.
        states: The kinds that fit, the strictest first.
        doubts: Of each, how much its answers speak against it.
        grain: To what the vendor rounds the seconds until there are more.
        longest_reset: The most seconds that an answer has named.
        longest_at: When one named that many first.
        length_is_sure: Whether another one has named as many since.
        named_length: The length that answers name; 0 if they do not.
        remaining: Units left by the latest answer.
        ends_at: When there are more by the latest answer; infinite if it does not say.
        seen_at: When that came.
        none_since: Since when nothing has been left; infinite while something is.
        found_at: When a call was sent last that had no room in the strictest kind.
        asked: The kinds that had room for it.
        finding: Calls that were sent one by one to find out the kind.
        is_daily: Whether it is the limit of a day.
    """

    share: float
    states: tuple[LimitState, ...]
    doubts: tuple[float, ...]
    grain: float = 1.0
    longest_reset: float = 0.0
    longest_at: float = -math.inf
    length_is_sure: bool = False
    named_length: float = 0.0
    remaining: int = 0
    ends_at: float = math.inf
    seen_at: float = -math.inf
    none_since: float = math.inf
    found_at: float = -math.inf
    asked: tuple[str, ...] = ()
    finding: int = 0
    is_daily: bool = False

    @classmethod
    def unknown(cls, share: float) -> Limit:
        """Return a limit of which nothing is known."""
        states = tuple(kind(share) for kind in _KINDS.values())  # type: ignore[call-arg]
        return cls(share, states, (0.0,) * len(states))

    @classmethod
    def daily(cls, share: float, shown: Limits) -> Limit:
        """Return the limit of a day as an answer shows it: up to its reset, or without one, of the last 24 hours."""
        kind = SlidingWindow if shown.reset is None else AlignedWindow
        return cls(share, (kind(share, length=_DAY),), (0.0,), named_length=_DAY, is_daily=True)

    @classmethod
    def stated(cls, share: float, limit: int, length: float) -> Limit:
        """Return a limit that a connection states, to go by until an answer says more."""
        return cls(share, (SlidingWindow(share, limit, length),), (0.0,), named_length=length, remaining=limit)

    @property
    def settled(self) -> bool:
        """Whether only one kind is left."""
        return len(self.states) == 1

    @property
    def kind(self) -> str:
        """The kind by the evidence so far; empty while that says nothing, or `window` where both kinds fit."""
        kinds = [state.kind for state in self.states]
        if kinds == [FirstCallWindow.kind, AlignedWindow.kind]:
            return "window"
        return kinds[0] if self.settled else ""

    @property
    def is_spaced(self) -> bool:
        """Whether its calls leave one after another."""
        return isinstance(self.states[0], TokenBucket)

    @property
    def ends_before(self) -> float:
        """When the present window ends at the latest; infinite where there is none, or that is not known."""
        first = self.states[0]
        return first.ends_before if isinstance(first, AlignedWindow | FirstCallWindow) else self.ends_at

    def with_share(self, share: float) -> Limit:
        """Return the limit for a worker that may use another part of it."""
        return changed(self, share=share, states=tuple(changed(state, share=share) for state in self.states))

    def free(self, now: float, traffic: Traffic) -> int:
        """Return the units that may be sent now."""
        return self.states[0].free(now, traffic)

    @property
    def units(self) -> int:
        """Units per window, or that a full bucket holds; 0 if no answer has named it yet."""
        return self.states[0].limit

    @property
    def length(self) -> float:
        """Seconds of a window, or in which an empty bucket is refilled; 0 if that is not known yet."""
        if self.named_length:
            return self.named_length
        first = self.states[0]
        if self.settled and isinstance(first, TokenBucket):
            return first.limit / first.rate if first.rate else 0.0
        return _whole(self.longest_reset, self.grain)

    def at(self, now: float) -> Limit:
        """Return the limit at this moment."""
        states = tuple(state.at(now) for state in self.states)
        if states == self.states:
            return self
        return changed(self, states=states)

    def wait(self, now: float, traffic: Traffic, cost: int, ahead: int) -> float:
        """Return the seconds until a call may be sent; 0 for now.

        Of a part of the limit, no more is used while the kind is not settled than a bucket would allow, if its answers
        look like those of one: windows of a length that is not known yet would allow more.
        """
        wait, last = self._wait_by_windows(now, traffic, cost, ahead), self.states[-1]
        if self.share == 1 or self.settled or not isinstance(last, TokenBucket) or not last.names_one_rate:
            return wait
        # The windows of a second that are told in whole seconds name one rate for ever.
        if self.grain == 1 and last.taken >= _FIRST * self.units and not isinstance(self.states[-2], SlidingWindow):
            return wait
        return max(wait, last.wait_of_share(now, traffic, cost, ahead))

    def _wait_by_windows(self, now: float, traffic: Traffic, cost: int, ahead: int) -> float:
        strictest = self.states[0]
        wait = strictest.wait(now, traffic, cost, ahead)
        if math.isinf(wait):
            return self._until_ask(now, traffic)
        if not strictest.limit or (self.settled and wait > 0):
            return wait
        if wait <= 0:
            one_by_one = 0.0 if self.settled else self._one_by_one(now, traffic)
            return one_by_one or self._until_look(now, traffic, cost)
        if traffic.in_flight:
            return min(wait, POLL)
        if wait < self.length * _WORTH_ASKING or (self.share < 1 and self.length):
            return wait
        others = [state.wait(now, traffic, cost, ahead) for state in self.states[1:] if self._finds(state)]
        asks = max(min(others, default=math.inf), self.found_at + self._pause() - now)
        return min(wait, max(asks, 0.0))

    def sent(self, now: float, traffic: Traffic) -> Limit:
        """Note that a call leaves, which may be one that finds out the kind."""
        if self.settled:
            return self
        free = self.states[0].free(now, traffic)
        if free <= 0:
            asked = tuple(state.kind for state in self.states[1:] if state.wait(now, traffic, 1, 0) <= 0)
            return changed(self, found_at=now, asked=asked)
        return changed(self, finding=self.finding + 1) if free <= self._kept() else self

    def observe(self, sent_at: float, now: float, traffic: Traffic, shown: Limits, cost: int) -> Limit:
        """Learn from an answer that names the limit and what is left of it.

        Args:
            sent_at: When its call was sent.
            now: When it came.
            traffic: Without its call.
            shown: The limit as it names it.
            cost: Units that the vendor counted for the call.
        """
        # What a refusal says itself is nearer to the truth than when the window ends.
        reset, length = shown.wait or shown.reset, shown.length
        limit, remaining = shown.limit or 0, shown.remaining or 0
        if limit != self.units > 0 and not self.is_daily:  # another limit, which may be of another kind
            return changed(self._begun_again(now), grain=self.grain).observe(sent_at, now, traffic, shown, cost)
        grain, (longest, longest_at, sure) = self.grain, (self.longest_reset, self.longest_at, self.length_is_sure)
        if reset is not None and reset > 0:
            grain = shown.grain or min(grain, grain_of(reset))
            longest, longest_at, sure = self._longest(reset, grain, now)
        named = length or self.named_length
        known = named or _whole(longest, grain)
        seen = Seen(
            sent_at, now, limit, remaining, reset, known, grain, cost, is_named=named > 0, is_sure=named > 0 or sure
        )
        if self.is_daily:
            return self._observe_day(seen, traffic, shown)
        found = [
            state.observe(seen if state.kind != TokenBucket.kind else seen._replace(length=named), traffic)
            for state in self.states
        ]
        wrong = self.asked if not cost and sent_at >= self.found_at else ()
        kept = self._kept_kinds(found, wrong, refused=not cost and not remaining, now=now, traffic=traffic)
        if not kept:
            again = self._begun_again(now)
            return changed(again, grain=grain, named_length=named).observe(sent_at, now, traffic, shown, cost)
        return changed(
            self,
            states=tuple(state for state, _ in kept),
            doubts=tuple(doubt for _, doubt in kept),
            grain=grain,
            longest_reset=longest,
            longest_at=longest_at,
            length_is_sure=sure,
            named_length=named,
            remaining=remaining,
            ends_at=seen.latest_end,
            seen_at=now,
            none_since=self._none_since(remaining, cost, now),
            asked=() if sent_at >= self.found_at else self.asked,
        )

    def _begun_again(self, now: float) -> Limit:
        """Return a limit whose kind is open again; what other programs use of it is known still."""
        fresh, rate, length = Limit.unknown(self.share), self._others_rate, self.length
        if not rate or not length:
            return fresh
        states: list[LimitState] = []
        for state in fresh.states:
            if isinstance(state, AlignedWindow | FirstCallWindow):
                states.append(changed(state, others_rate=rate))
            elif isinstance(state, SlidingWindow):
                states.append(changed(state, others_expected=rate * length, others_at=now))
            else:
                states.append(state)
        return changed(fresh, states=tuple(states))

    @property
    def _others_rate(self) -> float:
        """Units of other programs per second, by the strictest kind that says so; 0 if none does."""
        windows = [state.others_rate for state in self.states if isinstance(state, AlignedWindow | FirstCallWindow)]
        sliding = [one.others_expected for one in self.states if isinstance(one, SlidingWindow)]
        return max(windows, default=0.0) or (max(sliding, default=0.0) / self.length if self.length else 0.0)

    def _none_since(self, remaining: int, cost: int, now: float) -> float:
        """Return since when nothing has been left, after an answer that shows so many units."""
        if remaining:
            return math.inf
        return now if cost else min(self.none_since, now)

    def _observe_day(self, seen: Seen, traffic: Traffic, shown: Limits) -> Limit:
        """Learn from an answer about the limit of a day, whose kind is known.

        Workers report answers late and in an order of their own. So a single one that contradicts what the others have
        shown only counts as a call; what is used of the day is forgotten when many in a row contradict it.
        """
        state, agreement = self.states[0].observe(seen, traffic)
        is_wrong = agreement in {Agreement.CONTRADICTS, Agreement.REFUTES}
        doubt = max(self.doubts[0] + (_OF_DAY if is_wrong else -_OF_DAY), 0.0)
        if doubt >= _OUT:
            fresh = Limit.daily(self.share, shown)
            state, doubt = fresh.states[0].observe(seen, traffic)[0], 0.0
        elif is_wrong:
            state = self.states[0].unanswered(seen.sent_at, seen.received_at, seen.cost)
        return changed(
            self,
            states=(state,),
            doubts=(doubt,),
            grain=seen.grain,
            remaining=seen.remaining,
            ends_at=seen.latest_end,
            seen_at=seen.received_at,
        )

    def _longest(self, reset: float, grain: float, now: float) -> tuple[float, float, bool]:
        """Return the longest reset with one more, when it was named first, and whether windows are surely as long.

        Two windows may have been as far by chance; an answer right after the end of one shows the length of the next.
        """
        longest, longest_at, sure = max(self.longest_reset, reset), self.longest_at, self.length_is_sure
        is_whole = (_whole(longest, grain) / _STEP).is_integer()
        follows = 0 <= now - self.ends_at <= _FOLLOWS
        if reset > self.longest_reset + _LATE:
            return longest, now, is_whole and follows
        if reset > self.longest_reset - _LATE and (follows or now > longest_at + longest / 2):
            sure = is_whole
        return longest, longest_at, sure

    def _kept_kinds(
        self,
        found: Sequence[tuple[LimitState, Agreement]],
        wrong: Sequence[str],
        *,
        refused: bool,
        now: float,
        traffic: Traffic,
    ) -> list[tuple[LimitState, float]]:
        """Return the kinds that are still possible after an answer, each with what speaks against it.

        Args:
            found: What each kind has learned from the answer.
            wrong: The kinds that the answer disproves.
            refused: Whether it is a refusal because nothing was left.
            now: When it came.
            traffic: Without its call.
        """
        # A kind that no answer speaks against is the likelier one: of the others nothing is forgiven.
        forgives = self.settled or min(self.doubts) > 0
        kept = []
        for old, (state, agreement), doubt in zip(self.states, found, self.doubts, strict=True):
            change = _DOUBTS[agreement] if forgives else max(_DOUBTS[agreement], 0.0)
            after = max(doubt + change, 0.0) if state.kind not in wrong else _OUT
            if refused and old.limit == state.limit and old.free(now, traffic) > 0:
                after += _REFUSED
            if after < _OUT:
                kept.append((state, after))
        return kept

    def unanswered(self, sent_at: float, now: float, cost: int) -> Limit:
        """Count a call as used: it got no answer, or one that does not name the limit."""
        return changed(self, states=tuple(state.unanswered(sent_at, now, cost) for state in self.states))

    def explains(self, cost: int) -> bool:
        """Return whether a refusal of such a call agrees with what the latest answer has shown to be left."""
        return self.units > 0 and self.remaining < max(cost, 1)

    def _finds(self, state: LimitState) -> bool:
        """Return whether a call may ask for the sake of this kind: its window ends after the latest answer.

        Of a bucket, other answers say enough.
        """
        if isinstance(state, AlignedWindow | FirstCallWindow):
            return not state.observed and state.begun_before > self.seen_at
        return not self.length

    def _until_ask(self, now: float, traffic: Traffic) -> float:
        """Return the seconds until a call asks whether there is more, as no answer says when there will be."""
        pause = min(max(self.seen_at - self.none_since, _SHORTEST_ASK), _LONGEST_ASK)
        return max(max(self.seen_at, traffic.last_sent) + pause - now, 0.0)

    def _kept(self) -> int:
        """Return how many units of a window are sent one by one to find out the kind."""
        most = units_of_share(self.share, self.units)
        return 0 if most == 1 else min(math.ceil(most * _FINDING), _MOST_FINDING)

    def _pause(self) -> float:
        return max((self.length or 1.0) / 16, POLL)

    def _one_by_one(self, now: float, traffic: Traffic) -> float:
        """Return the seconds until one of the last units may be sent that find out the kind; 0 for any other."""
        kept, length = self._kept(), self.length
        most = kept * (_TIMES if length <= _SHORT else 1)
        if len(self.states) == 2 and not isinstance(self.states[-1], TokenBucket):  # noqa: PLR2004 - both are windows
            kept = 1
        if self.finding >= most or length > _LONGEST_FINDING:
            return 0.0
        free = self.states[0].free(now, traffic)
        room = self._room_of_others()
        windows = (state for state in self.states if not isinstance(state, TokenBucket))
        if free > kept or any(state.free(now, traffic) > kept + room for state in windows):
            return 0.0
        if not length:
            return max(traffic.last_sent + 0.25 * 2.0 ** (kept - free) - now, 0.0)
        # Windows differ in their ends, and buckets from windows in between.
        in_between = traffic.last_sent + length / 2
        until = self._differ_until(traffic) if self.finding % 2 else in_between
        left = until - traffic.last_sent
        wait = max(traffic.last_sent + left / max(free, 1) - now, 0.0)
        # Of a part of the limit no call asks, and long windows are worth more than what the wait finds out: then the
        # last units are not waited for when more are back.
        short = self.share == 1 and length <= _SHORT
        return wait if short else min(wait, self.states[0].wait(now, traffic, kept + 1, 0))

    def _until_look(self, now: float, traffic: Traffic, cost: int) -> float:
        """Return the seconds for which the last call of a window waits to see whether other programs have called."""
        if self.states[0].free(now, traffic) != cost or units_of_share(self.share, self.units) == 1:
            return 0.0
        windows = [state for state in self.states if isinstance(state, AlignedWindow | FirstCallWindow)]
        if any(state.free(now, traffic) > cost + self._room_of_others() for state in windows):
            return 0.0
        if self.settled and any(state.others_rate for state in windows):
            return 0.0  # its calls ask for the others all the time
        return min((state.until_look(now, traffic) for state in windows), default=0.0)

    def _room_of_others(self) -> int:
        """Return the units that the strictest kind leaves to other programs where windows do not."""
        strictest = self.states[0]
        return strictest.room_of_others if isinstance(strictest, SlidingWindow) else 0

    def _differ_until(self, traffic: Traffic) -> float:
        """Return until when units of one kind may be back that are not of another, for the answer to show it."""
        last_sent = traffic.last_sent
        for state in self.states:
            if isinstance(state, FirstCallWindow) and last_sent + self.length / 4 < state.ends_after < math.inf:
                return state.ends_after - _BEFORE_END - traffic.latency
        return last_sent + self.length / 2

    def to_dict(self) -> dict[str, Any]:
        """Return plain types."""
        fields = self.__dict__ | {"states": [_to_dict(state) for state in self.states], "doubts": list(self.doubts)}
        return dict(fields)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Limit:
        """Return the limit that `to_dict` wrote."""
        states = tuple(_from_dict(one) for one in values["states"])
        lists = {"doubts": tuple(values["doubts"]), "asked": tuple(values["asked"])}
        return cls(**values | {"states": states} | lists)


def _whole(longest: float, grain: float) -> float:
    """Return the length of a window of which the answers name at most so many seconds that are left."""
    if grain == 1 and not longest.is_integer():  # a moment in whole seconds, which comes up to one after the end
        return next((length for length in USUAL_LENGTHS if longest - grain < length <= longest), longest)
    if grain == 1:
        return longest
    whole = math.ceil(longest / _STEP) * _STEP
    return whole if whole - longest <= _LATE else longest


def _to_dict(state: LimitState) -> dict[str, Any]:
    values = state.__dict__ | {"kind": state.kind}
    if isinstance(state, TokenBucket) and state.reference is not None:
        values["reference"] = state.reference.__dict__
    return values


def _from_dict(values: dict[str, Any]) -> LimitState:
    fields = {name: value for name, value in values.items() if name != "kind"}
    if values["kind"] == SlidingWindow.kind:
        fields["slots"] = tuple(Slot(*slot) for slot in fields["slots"])
    if fields.get("reference"):
        fields["reference"] = Reference(**fields["reference"])
    return _KINDS[values["kind"]](**fields)
