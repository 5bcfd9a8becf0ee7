"""Count calls under a limit that is refilled all the time: a token bucket.

Tokens come back at a rate that answers show: of two of them, what is left, and what we took in between, say how many
tokens came in that time. The level between two answers is foreseen by that rate; each answer puts it right. A bucket
that never is full loses no token, however low it is: so calls leave some tokens in it, and none is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from airflow_provider_crm.budget.limit_state import POLL, Agreement, Seen, Traffic, changed, units_of_share
from airflow_provider_crm.budget.others import room_for

# Tokens that are left in the bucket at least: answers name whole ones, and one more may be on its way.
_SPARE = 1.0
# As long as that many tokens of a bucket have come since, an earlier answer is compared with the present one.
_COMPARED = 2.0
_WEIGHT = 0.05
# Where so many tokens came at least, others leave some of them.
_SURELY_SOME = 3.0
# Rates that differ by less are one; those that differ by more are none of one bucket.
_ROUGHLY, _FAR = 1.02, 1.3
# Seconds of a whole bucket that differ by less are alike.
_ALIKE = 1.5
_SMALLEST_WAIT = 0.001
_LONGEST_WAIT = 5.0


@dataclass(frozen=True)
class Reference:
    """An answer that later ones are compared with.

    Attributes:
        sent_at: When its call was sent.
        received_at: When it came.
        remaining: Tokens that were left.
        taken: Tokens that our answered calls had taken until then.
        crossing: Tokens of calls that may have been counted before or after it.
    """

    sent_at: float
    received_at: float
    remaining: int
    taken: int
    crossing: int


class _Evidence(NamedTuple):
    """What two answers say about the rate of a bucket.

    Attributes:
        apart: Seconds between them.
        slowest: Tokens per second that came at least.
        fastest: Tokens per second that came at most; infinite if they do not say.
        is_full: Whether the bucket is full.
        was_full: Whether it was.
        shows_none: Whether no token came in between, by answers that no call has crossed.
    """

    apart: float
    slowest: float
    fastest: float
    is_full: bool
    was_full: bool
    shows_none: bool


@dataclass(frozen=True)
class TokenBucket:
    """The tokens in a bucket, those that calls on their way will take included.

    Attributes:
        share: Part of the limit that may be used.
        limit: Tokens that a full bucket holds; 0 until an answer names it.
        length: Seconds in which an empty bucket is refilled, if an answer has named them; else 0.
        period: The same, as far as the seconds show that answers have named; 0 if they have named none.
        shortest: The shortest time that one of them shows; infinite if they have named none.
        level: Tokens at the time of the last answer.
        level_at: That time.
        slowest: The rate is at least this, in tokens per second.
        fastest: The rate is at most this.
        taken: Tokens that our answered calls have taken.
        reference: The answer that later ones are compared with.
        own_level: Tokens of our share at that time.
        others_expected: Tokens of other programs per answer that are expected.
    """

    kind: ClassVar[str] = "bucket"

    share: float
    limit: int = 0
    length: float = 0.0
    period: float = 0.0
    shortest: float = math.inf
    level: float = 0.0
    level_at: float = -math.inf
    slowest: float = 0.0
    fastest: float = math.inf
    taken: int = 0
    reference: Reference | None = None
    own_level: float = 0.0
    others_expected: float = 0.0

    @property
    def rate(self) -> float:
        """Tokens per second, as far as known; 0 if nothing is."""
        if period := self.length or self.period:
            return min(max(self.limit / period, self.slowest), self.fastest)
        return self.slowest if math.isinf(self.fastest) else max(self.slowest, self.fastest / 4)

    @property
    def names_one_rate(self) -> bool:
        """Whether the seconds of all answers are about those of one rate; a window's are not for long."""
        return 0 < self.period <= _ALIKE * self.shortest

    def at(self, now: float) -> TokenBucket:  # noqa: ARG002 - as windows have it
        """Return the same state: tokens come back all the time."""
        return self

    def wait(self, now: float, traffic: Traffic, cost: int, ahead: int) -> float:
        """Return the seconds until a call may be sent; 0 for now."""
        if not self.limit:
            return POLL if traffic.in_flight else 0.0
        spare = self._spare(traffic)
        most = max(self.limit - math.ceil(spare), 1)
        missing = min(min(cost + ahead, most) + spare, self.limit) - self.level_then(now) + traffic.in_flight
        wait = self.wait_of_share(now, traffic, cost, ahead)
        if missing > 0:
            wait = max(wait, self._until_come(missing, self.rate, traffic))
        return max(wait, POLL) if ahead and cost + ahead > most else wait  # those ahead leave first: they take all

    def wait_of_share(self, now: float, traffic: Traffic, cost: int, ahead: int) -> float:
        """Return the seconds until our share has the tokens of a call, whatever the bucket holds; 0 for now."""
        own_most = units_of_share(self.share, self.limit)
        missing = min(cost + ahead, own_most) - self.own_level_then(now) + traffic.in_flight
        return 0.0 if missing <= 0 else self._until_come(missing, self.share * self.rate, traffic)

    def _until_come(self, missing: float, rate: float, traffic: Traffic) -> float:
        if not rate:
            return POLL if traffic.in_flight else math.inf
        return min(max(missing / rate, _SMALLEST_WAIT), self.length or self.period or _LONGEST_WAIT)

    def free(self, now: float, traffic: Traffic) -> int:
        """Return the units that may be sent now."""
        level = min(self.level_then(now) - self._spare(traffic), self.own_level_then(now))
        return math.floor(level) - traffic.in_flight

    def observe(self, seen: Seen, traffic: Traffic) -> tuple[TokenBucket, Agreement]:
        """Learn from an answer: how many tokens there are, and how fast they come."""
        state = self if seen.limit == self.limit else self._begun(seen)
        now, crossed = max(seen.received_at, state.level_at), traffic.crossed(seen.sent_at)
        period = _period(seen)
        state = changed(
            state,
            taken=state.taken + seen.cost,
            length=seen.length,
            period=max(state.period, period),
            shortest=min(state.shortest, period or math.inf),
        )
        state, agreement = state.compared(seen, crossed, traffic)
        lowest = float(max(seen.remaining - crossed, 0))
        highest = seen.remaining + 1 + (now - seen.sent_at) * state.rate + traffic.in_flight
        foreseen = state.level_then(now) - seen.cost
        level = min(max(foreseen, lowest), highest, float(state.limit))
        missing = max(foreseen - highest, 0.0)  # taken by others
        expected = state.others_expected + _WEIGHT * (missing - state.others_expected)
        return changed(
            state,
            level=level,
            own_level=state.own_level_then(now) - seen.cost,
            level_at=now,
            others_expected=expected if expected > _WEIGHT / 10 else 0.0,
        ), agreement

    def unanswered(self, sent_at: float, now: float, cost: int) -> TokenBucket:  # noqa: ARG002 - as windows have it
        """Count a call as used."""
        return changed(
            self,
            level=max(self.level_then(now) - cost, 0.0),
            own_level=self.own_level_then(now) - cost,
            level_at=max(now, self.level_at),
            taken=self.taken + cost,
        )

    def _begun(self, seen: Seen) -> TokenBucket:
        own = units_of_share(self.share, seen.limit)
        return TokenBucket(
            self.share,
            seen.limit,
            level=float(seen.remaining + seen.cost),
            level_at=seen.received_at,
            own_level=float(own),
            taken=self.taken,
        )

    def level_then(self, now: float) -> float:
        """Return the tokens at a moment, if no call comes until then."""
        passed = max(now - self.level_at, 0.0) if math.isfinite(self.level_at) else 0.0
        return min(self.level + passed * self.rate, float(self.limit))

    def own_level_then(self, now: float) -> float:
        """Return the tokens of our share at a moment, if no call comes until then."""
        passed = max(now - self.level_at, 0.0) if math.isfinite(self.level_at) else 0.0
        own_most = units_of_share(self.share, self.limit)
        return min(self.own_level + passed * self.share * self.rate, float(own_most))

    def _spare(self, traffic: Traffic) -> float:
        """Return the tokens to leave: calls arrive earlier or later than foreseen, and other programs call, too."""
        uncertain = self.rate * traffic.latency + room_for(self.others_expected * 4)
        return min(max(uncertain, _SPARE), self.limit / 3)

    def compared(self, seen: Seen, crossed: int, traffic: Traffic) -> tuple[TokenBucket, Agreement]:
        """Narrow the range of the rate by an earlier answer."""
        crossing, reference = crossed + traffic.in_flight, self.reference
        here = Reference(seen.sent_at, seen.received_at, seen.remaining, self.taken, crossing)
        if reference is None:
            return changed(self, reference=here), Agreement.AGREES
        if reference.received_at > seen.sent_at:
            return self, Agreement.AGREES
        evidence = self._evidence(reference, seen, crossed, traffic)
        low, high = max(self.slowest, evidence.slowest), min(self.fastest, evidence.fastest)
        agreement = Agreement.AGREES
        if low > high * _ROUGHLY:
            agreement = Agreement.DOUBTFUL
            if evidence.slowest > self.fastest:  # no other program gives tokens back
                far = evidence.slowest > _FAR * self.fastest
                agreement = Agreement.REFUTES if far else Agreement.CONTRADICTS
            low, high = evidence.slowest, max(evidence.fastest, evidence.slowest)
        elif evidence.shows_none and low * evidence.apart > _SURELY_SOME and not evidence.was_full:
            # Other programs do not take each token that comes, and no more.
            agreement = Agreement.DOUBTFUL
        state = changed(self, slowest=low, fastest=max(high, low))
        # A full bucket loses tokens, so that it shows no fastest rate; calls that crossed an answer blur what it shows.
        shows_more = evidence.is_full or (not crossing and (evidence.was_full or reference.crossing > 0))
        if shows_more or evidence.apart * max(state.rate, 1e-9) > _COMPARED * self.limit:
            state = changed(state, reference=here)
        return state, agreement

    def _evidence(self, reference: Reference, seen: Seen, crossed: int, traffic: Traffic) -> _Evidence:
        """Return what two answers say about the rate."""
        came = seen.remaining - reference.remaining + self.taken - reference.taken
        least = came - crossed - reference.crossing - 1
        most = came + traffic.in_flight + reference.crossing + 1
        between = seen.received_at - reference.sent_at  # none by a clock that has not moved
        apart = seen.sent_at - reference.received_at
        is_full, was_full = seen.remaining >= self.limit - max(seen.cost, 1), reference.remaining >= self.limit - 1
        # What others took in between shows as a slower rate.
        shows_fastest = apart > 0 and not (is_full or was_full or self.others_expected)
        blurred = crossed + traffic.in_flight + reference.crossing
        return _Evidence(
            apart,
            slowest=max(least / between, 0.0) if between > 0 else 0.0,
            fastest=max(most / apart, 0.0) if shows_fastest else math.inf,
            is_full=is_full,
            was_full=was_full,
            shows_none=not blurred and came <= 0 and 0 < seen.remaining < self.limit,
        )


def _period(seen: Seen) -> float:
    """Return the seconds that a whole bucket takes, if an answer says when it is full or has one more token."""
    if not seen.reset or not seen.used:
        return 0.0
    return seen.reset * seen.limit / seen.used if seen.grain < 1 else seen.reset
