"""Count calls under a limit whose windows slide: any stretch of that length may have so many units.

The vendor counts a call at some moment between its sending and its answer. So its units count here until that length
after its answer. No other kind of the same limit and length gives units back later: what it allows, they all allow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from airflow_provider_crm.budget.limit_state import POLL, Agreement, Seen, Traffic, changed, nearest, units_of_share
from airflow_provider_crm.budget.others import room_for, room_within

# Calls are put together whose answers came within so small a part of the length.
_SLOTS = 128
# So much of the length after its sending a call certainly still counts, as lengths are rounded up.
_CERTAINLY = 0.9
# Over how many lengths the units of others are averaged; what each answer changes where no length is known; and the
# units below which nothing is expected of them.
_LENGTHS, _WEIGHT, _NONE = 2.0, 0.05, 0.2
_SMALLEST_WAIT = 0.001
# Seconds that show a length are that many times as long as what they are rounded to, and not as short as a token takes.
_GRAINS, _SHORT = 3, 1.0


class Slot(NamedTuple):
    """Calls of our own whose answers came at about the same time.

    Attributes:
        sent_at: When the first of them was sent.
        received_at: When the last answer came.
        units: What they cost.
    """

    sent_at: float
    received_at: float
    units: int


@dataclass(frozen=True)
class SlidingWindow:
    """The units that count now.

    Attributes:
        share: Part of the limit that may be used.
        limit: Units in any stretch of that length; 0 until an answer names it.
        length: Seconds of a stretch; 0 while that is not known.
        slots: Our own calls that count, the oldest first.
        others: Units of other programs, by the latest answer: as far as our own do not explain them.
        most_others: The same, as far as our own certainly do not explain them; 0 where no others are expected.
        others_expected: Units of other programs within the length, over some lengths.
        others_at: When they were counted last.
        more_at: When there is more, by the latest answer; infinite if it does not say.
        shows_length: Whether an answer has shown the whole length.
    """

    kind: ClassVar[str] = "sliding"

    share: float
    limit: int = 0
    length: float = 0.0
    slots: tuple[Slot, ...] = ()
    others: int = 0
    most_others: int = 0
    others_expected: float = 0.0
    others_at: float = -math.inf
    more_at: float = math.inf
    shows_length: bool = False

    def at(self, now: float) -> SlidingWindow:
        """Return the state without the calls that count no more."""
        if not self.length or not self.slots or self.slots[0].received_at + 2 * self.length > now:
            return self
        kept = next(
            (i for i, slot in enumerate(self.slots) if slot.received_at + 2 * self.length > now), len(self.slots)
        )
        return changed(self, slots=self.slots[kept:])

    def wait(self, now: float, traffic: Traffic, cost: int, ahead: int) -> float:
        """Return the seconds until a call may be sent; 0 for now."""
        if not self.limit:
            return POLL if traffic.in_flight else 0.0
        cap = units_of_share(self.share, self.limit)
        free = self._free(cap, self._own(now), traffic)
        need = min(cost, cap)
        if ahead and self._delays(need, min(ahead, cap), now, free, traffic):
            need = min(need + ahead, cap)
        elif need <= free:
            return 0.0
        if not self.length:
            return POLL if traffic.in_flight else math.inf
        for slot in self.slots:
            if slot.received_at + self.length <= now:
                continue
            free += slot.units
            if need <= free:
                return max(slot.received_at + self.length - now, _SMALLEST_WAIT)
        if traffic.in_flight:
            return POLL
        # Other programs have it all: a call asks when the vendor says that there is more.
        asks_at = self.more_at if math.isfinite(self.more_at) else self.others_at + self.length / 16
        return max(asks_at - now, 0.0)

    def free(self, now: float, traffic: Traffic) -> int:
        """Return the units that may be sent now."""
        return self._free(units_of_share(self.share, self.limit), self._own(now), traffic)

    def observe(self, seen: Seen, traffic: Traffic) -> tuple[SlidingWindow, Agreement]:
        """Learn from an answer: what other programs have used, and whether units came back too early."""
        state = self if seen.limit == self.limit else changed(self, limit=seen.limit, others=0)
        length = seen.length if seen.is_named else max(seen.length, state.length)
        certain, possible = state.counted(length, seen, traffic)
        agreement = _agreement(certain - seen.used, certain)
        if agreement is not Agreement.AGREES and length > seen.length > 0:
            # Units of others were taken for older ones of ours, as if these counted for longer.
            shorter = state.counted(seen.length, seen, traffic)
            if _agreement(shorter[0] - seen.used, shorter[0]) is Agreement.AGREES:
                length, (certain, possible), agreement = seen.length, shorter, Agreement.AGREES
        least, most = max(seen.used - possible, 0), max(seen.used - certain, 0)
        shows_length = state.shows_length or _shows_length(seen)
        if least > max(room_for(state.others_expected), state.others) and not shows_length:
            length, least = state.longer(length, least, seen, traffic.in_flight)
        others = nearest(state.others, least, most)
        expected = state.others_then(others, seen.received_at)
        return changed(
            state,
            length=length,
            slots=state.slots_with(seen.sent_at, seen.received_at, seen.cost),
            others=others,
            most_others=most if expected else 0,
            others_expected=expected,
            others_at=seen.received_at,
            more_at=seen.latest_end,
            shows_length=shows_length,
        ), agreement

    @property
    def room_of_others(self) -> int:
        """Units that are left to other programs, those that they have used included."""
        return math.ceil(max(room_within(self.limit, self.others_expected), self.others, self.most_others))

    def counted(self, length: float, seen: Seen, traffic: Traffic) -> tuple[int, int]:
        """Return how many units of our own an answer certainly counts, and how many at most, in so many seconds."""
        certain = possible = 0
        for slot in self.slots:
            if not length or slot.sent_at + _CERTAINLY * length > seen.received_at:
                certain += slot.units
            if not length or slot.received_at + length > seen.sent_at:
                possible += slot.units
        certain = max(certain - traffic.crossed(seen.sent_at), 0) + seen.cost
        return certain, possible + seen.cost + traffic.in_flight

    def unanswered(self, sent_at: float, now: float, cost: int) -> SlidingWindow:
        """Count a call as used."""
        return changed(self, slots=self.slots_with(sent_at, now, cost))

    def _own(self, now: float) -> int:
        units = 0
        for slot in reversed(self.slots):
            if self.length and slot.received_at + self.length <= now:
                break
            units += slot.units
        return units

    def _free(self, cap: int, own: int, traffic: Traffic) -> int:
        used = own + traffic.in_flight
        return min(cap - used, self.limit - self.room_of_others - used)

    def _delays(self, need: int, ahead: int, now: float, free: int, traffic: Traffic) -> bool:
        """Return whether a call now would delay one that waits: its units come back later than all that count now.

        Where other programs leave no room for the one that waits, nothing of ours delays it.
        """
        coming = [slot.units for slot in self.slots if slot.received_at + self.length > now]
        for units in (*coming, traffic.in_flight):
            if ahead <= free:
                break
            free += units
        return ahead <= free < need + ahead

    def longer(self, length: float, surplus: int, seen: Seen, uncertain: int) -> tuple[float, int]:
        """Return the length if calls of our own that were thought to count no more explain a surplus, and its rest.

        Calls of which the surplus would be only a part do not explain it: all of them would count.
        """
        for slot in reversed(self.slots):
            if slot.received_at + length <= seen.sent_at:
                if surplus <= 0 or slot.units > surplus + uncertain:
                    break
                length, surplus = max(length, seen.received_at - slot.sent_at), surplus - slot.units
        return length, max(surplus, 0)

    def others_then(self, others: int, now: float) -> float:
        """Return the units of other programs that are expected within the length, after so many were counted.

        The last answer before a pause counts for its time: of several calls at once it is the one that shows most.
        """
        if not self.others_expected:
            return float(others)
        passed = max(now - self.others_at, 0.0)
        weight = 1 - math.exp(-passed / (_LENGTHS * self.length)) if self.length else _WEIGHT
        expected = self.others_expected + weight * (self.others - self.others_expected)
        return expected if expected > _NONE else 0.0

    def slots_with(self, sent_at: float, now: float, units: int) -> tuple[Slot, ...]:
        """Return the calls that count, with one more."""
        if not units:
            return self.slots
        if self.slots and now - self.slots[-1].sent_at < self.length / _SLOTS:
            last = self.slots[-1]
            return (*self.slots[:-1], Slot(min(last.sent_at, sent_at), now, last.units + units))
        return (*self.slots, Slot(sent_at, now, units))


def _shows_length(seen: Seen) -> bool:
    """Return whether an answer names the whole length: also the one to a call that is alone in it.

    Of a bucket the same answer may name the time of a token, which is mostly short.
    """
    alone = 0 < seen.used == seen.cost
    return seen.is_named or (alone and (seen.reset or 0.0) >= max(_GRAINS * seen.grain, _SHORT))


def _agreement(missing: int, certain: int) -> Agreement:
    """Judge an answer that leaves out so many of the units that certainly count."""
    if missing <= 0:
        return Agreement.AGREES
    return Agreement.REFUTES if missing >= max(2, certain / 4) else Agreement.CONTRADICTS
