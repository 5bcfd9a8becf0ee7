"""Rate limiters as servers have them, on any clock: what they count, and apart from it what they announce.

They share no code with the sandbox, so that a mistake in its counters cannot hide one in the pacing.

| kind | a call is counted |
|---|---|
| `aligned` | until the end of its window; windows follow one another, from a moment of the server's clock |
| `first_call` | until the end of its window, which the first call after the last window opened |
| `sliding` | for the length of the window, each call by itself |
| `bucket` | until its token has been refilled; the bucket is full at the start |

Times are seconds on the server's clock. Limits and costs are units; a call costs one if nothing else is said.
Nothing here is safe for threads. Over 300 lines because kinds and announcements are read side by side.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from airflow_provider_crm.vendors.limits import Limits

Kind = Literal["aligned", "first_call", "sliding", "bucket"]
Grain = Literal["seconds", "milliseconds", "epoch", "none"]
RefusalGrain = Literal["seconds", "milliseconds", "none", "bare"]

DAY = 86_400.0
# Sums of floats miss whole numbers by less than this.
_ROUNDING = 1e-7
_GRAINS: dict[Grain, float | None] = {"seconds": 1.0, "milliseconds": 0.001, "epoch": 1.0, "none": None}


@dataclass(frozen=True, slots=True)
class LimiterRule:
    """A limit: so many units per so many seconds.

    Attributes:
        kind: How calls are counted.
        limit: Units per window; the tokens of a full bucket.
        seconds: Length of a window; the time in which an empty bucket is refilled.
        phase: Of aligned windows: seconds of the first one that had passed at time 0.
        name: Name of the limit, the same in each answer.
        is_daily: Whether the server says of it that it counts a day.
    """

    kind: Kind
    limit: int
    seconds: float
    phase: float = 0.0
    name: str = ""
    is_daily: bool = False

    @classmethod
    def day(cls, limit: int, *, rolling: bool = False, phase: float = 0.0, name: str = "daily") -> LimiterRule:
        """Return the limit of a day: from midnight to midnight, or of any 24 hours."""
        return cls("sliding" if rolling else "aligned", limit, DAY, phase, name, is_daily=True)

    def most(self, seconds: float) -> float:
        """Return the units that a client without latency gets from time 0 on, the first call included.

        | kind | units |
        |---|---|
        | `aligned` | limit * windows that began before the end, the one at time 0 included |
        | `first_call`, `sliding` | limit * (1 + floor(seconds / length)) |
        | `bucket` | limit + limit / length * seconds |
        """
        if self.kind == "bucket":
            return self.limit + self.limit * seconds / self.seconds
        phase = self.phase % self.seconds if self.kind == "aligned" else 0.0
        return self.limit * (1 + math.floor((seconds + phase) / self.seconds))


class Reading(NamedTuple):
    """A limiter's view of one call, right after it was counted or refused.

    Attributes:
        at: When.
        allowed: Whether the call was accepted.
        limit: Units per window.
        remaining: Whole units that are left.
        reset: Seconds until the window ends, the oldest call slides out, or the bucket is full.
        wait: Seconds until a call of this cost is accepted; 0 if it was.
        more: Seconds until there is one more unit than now.
    """

    at: float
    allowed: bool
    limit: int
    remaining: int
    reset: float
    wait: float
    more: float


class Limiter(ABC):
    """The calls counted under one rule."""

    def __init__(self, rule: LimiterRule) -> None:
        self.rule = rule

    def look(self, now: float, cost: int = 1) -> Reading:
        """Return what a call of this cost would get, and count nothing."""
        free = self._free(now)
        whole = math.floor(free + _ROUNDING)
        wait = 0.0 if whole >= cost else self._until(now, cost)
        return Reading(
            now, whole >= cost, self.rule.limit, max(whole, 0), self._reset(now), wait, self._until(now, whole + 1)
        )

    def take(self, now: float, cost: int = 1) -> Reading:
        """Count a call if there are units enough for it."""
        if self.wait(now, cost) > 0:
            return self.look(now, cost)
        self.count(now, cost)
        return self.look(now, 0)

    def wait(self, now: float, cost: int = 1) -> float:
        """Return the seconds until a call of this cost is accepted; 0 for now."""
        return 0.0 if self._free(now) + _ROUNDING >= cost else self._until(now, cost)

    @abstractmethod
    def count(self, now: float, cost: int) -> None:
        """Count a call, even beyond the limit."""

    @abstractmethod
    def _free(self, now: float) -> float:
        """Return the units that are left."""

    @abstractmethod
    def _reset(self, now: float) -> float:
        """Return the seconds after which the window ends, the oldest call slides out, or the bucket is full."""

    @abstractmethod
    def _until(self, now: float, units: int) -> float:
        """Return the seconds until so many units are free, or all, if the limit is lower."""


class AlignedWindow(Limiter):
    """Windows that follow one another, whether there are calls or not."""

    def __init__(self, rule: LimiterRule) -> None:
        super().__init__(rule)
        self._number, self._used = -math.inf, 0

    def count(self, now: float, cost: int) -> None:
        """Count a call in the window of this moment."""
        self._used = self.rule.limit - int(self._free(now)) + cost

    def _free(self, now: float) -> float:
        number = math.floor((now + self.rule.phase) / self.rule.seconds)
        if number != self._number:
            self._number, self._used = number, 0
        return self.rule.limit - self._used

    def _reset(self, now: float) -> float:
        return self.rule.seconds - (now + self.rule.phase) % self.rule.seconds

    def _until(self, now: float, units: int) -> float:
        return 0.0 if units <= self._free(now) else self._reset(now)


class FirstCallWindow(Limiter):
    """A counter with an expiry: the first call after it has expired opens the next window."""

    def __init__(self, rule: LimiterRule) -> None:
        super().__init__(rule)
        self._ends, self._used = -math.inf, 0

    def count(self, now: float, cost: int) -> None:
        """Count a call in the open window, or open one."""
        if now >= self._ends:
            self._ends, self._used = now + self.rule.seconds, 0
        self._used += cost

    def _free(self, now: float) -> float:
        return self.rule.limit - (self._used if now < self._ends else 0)

    def _reset(self, now: float) -> float:
        return self._ends - now if now < self._ends else self.rule.seconds

    def _until(self, now: float, units: int) -> float:
        return 0.0 if units <= self._free(now) else self._reset(now)


class SlidingLog(Limiter):
    """A log of calls: no stretch of the window's length has more than the limit."""

    def __init__(self, rule: LimiterRule) -> None:
        super().__init__(rule)
        self._calls: deque[tuple[float, int]] = deque()
        self._used = 0

    def count(self, now: float, cost: int) -> None:
        """Log a call."""
        self._calls.append((now, cost))
        self._used += cost

    def _free(self, now: float) -> float:
        while self._calls and self._calls[0][0] + self.rule.seconds <= now:
            self._used -= self._calls.popleft()[1]
        return self.rule.limit - self._used

    def _reset(self, now: float) -> float:
        return self._calls[0][0] + self.rule.seconds - now if self._calls else 0.0

    def _until(self, now: float, units: int) -> float:
        free, until = self.rule.limit - self._used, 0.0
        for at, cost in self._calls:
            if free >= units:
                break
            free, until = free + cost, at + self.rule.seconds - now
        return until


class TokenBucket(Limiter):
    """Tokens that come back evenly, parts of them included, until the bucket is full."""

    def __init__(self, rule: LimiterRule) -> None:
        super().__init__(rule)
        self._tokens, self._filled = float(rule.limit), 0.0
        self._rate = rule.limit / rule.seconds

    def count(self, now: float, cost: int) -> None:
        """Use tokens."""
        self._tokens = self._free(now) - cost

    def _free(self, now: float) -> float:
        passed = max(now - self._filled, 0.0)
        self._tokens, self._filled = min(float(self.rule.limit), self._tokens + passed * self._rate), now
        return self._tokens

    def _reset(self, now: float) -> float:
        return self._until(now, self.rule.limit)

    def _until(self, _now: float, units: int) -> float:
        return max(min(units, self.rule.limit) - self._tokens, 0.0) / self._rate


KINDS: dict[Kind, type[Limiter]] = {
    "aligned": AlignedWindow,
    "first_call": FirstCallWindow,
    "sliding": SlidingLog,
    "bucket": TokenBucket,
}


class LimitersAtOnce:
    """Several limits: a call needs units of each, else it is counted by none."""

    def __init__(self, rules: Sequence[LimiterRule]) -> None:
        self.limiters = tuple(KINDS[rule.kind](rule) for rule in rules)

    def take(self, now: float, cost: int = 1) -> tuple[Reading, ...]:
        """Count a call under all of the limits or under none; the call was accepted if all readings allow it."""
        if any(limiter.wait(now, cost) > 0 for limiter in self.limiters):
            return tuple(limiter.look(now, cost) for limiter in self.limiters)
        return tuple(limiter.take(now, cost) for limiter in self.limiters)


@dataclass(frozen=True, slots=True)
class Announcement:
    """The part of a reading that a server announces in its answers.

    Attributes:
        reset: How the reset is written: in whole seconds or milliseconds, rounded up; as an epoch in whole seconds,
            rounded up, which the package compares with the server's clock; or not at all.
        wait: How a refusal says when to come back: in whole seconds or milliseconds, rounded up; not beside what other
            answers say, too; or `bare`: a refusal says nothing at all.
        counts: Whether limit and remaining units are announced.
        length: Whether the length of the window is announced.
        until: The moment that is meant by the reset; `more` is that of the next unit.
    """

    reset: Grain = "seconds"
    wait: RefusalGrain = "seconds"
    counts: bool = True
    length: bool = False
    until: Literal["reset", "more"] = "reset"

    def limits(self, rule: LimiterRule, reading: Reading) -> Limits:
        """Return the reading as the package reads it from an answer."""
        if not reading.allowed and self.wait == "bare":
            return Limits()
        reset = _written(reading.reset if self.until == "reset" else reading.more, self.reset, reading.at)
        # The adapters of vendors wait for the reset where a refusal names nothing else.
        wait = _written(reading.wait, self.wait, reading.at) if self.wait != "none" else reset
        return Limits(
            wait=None if reading.allowed else wait,
            limit=rule.limit if self.counts else None,
            remaining=reading.remaining if self.counts else None,
            reset=reset,
            length=rule.seconds if self.length else None,
            name=rule.name,
            is_daily=rule.is_daily,
            grain=_GRAINS[self.reset],
        )


WHOLE_SECONDS = Announcement()
MILLISECONDS = Announcement("milliseconds", "milliseconds")
HUBSPOT = Announcement("none", "none", length=True)
"""Limit, remaining and length, and no end."""
WAIT_ONLY = Announcement("none", "seconds", counts=False)
"""Nothing but the wait of a refusal."""
BARE = Announcement("none", "bare", counts=False)
"""Nothing at all."""


class VendorAnswer(NamedTuple):
    """A server's answer to one call.

    Attributes:
        accepted: Whether the call was accepted; else it is a 429.
        limits: What the answer announces, by limit.
    """

    accepted: bool
    limits: tuple[Limits, ...]


class LimitedVendor:
    """A server with one limit or several, which may also refuse calls at random for reasons that it keeps to itself.

    Args:
        limits: Each rule, and how it is announced.
        bare_refusals: Probability of a 429 that is none of the limits' and shows none of them.
        wait: Seconds that such a refusal says to wait; None if it says nothing at all.
        seed: Of the random refusals.
    """

    def __init__(
        self,
        *limits: tuple[LimiterRule, Announcement],
        bare_refusals: float = 0.0,
        wait: float | None = None,
        seed: int = 0,
    ) -> None:
        self.rules = tuple(rule for rule, _ in limits)
        self.counted = LimitersAtOnce(self.rules)
        self._announcements = tuple(announcement for _, announcement in limits)
        self._bare_refusals, self._wait, self._random = bare_refusals, wait, random.Random(seed)

    def answer(self, now: float, cost: int = 1) -> VendorAnswer:
        """Return the answer to a call that arrives now."""
        if self._bare_refusals and self._random.random() < self._bare_refusals:
            return VendorAnswer(accepted=False, limits=(Limits(wait=self._wait),))
        readings = self.counted.take(now, cost)
        accepted = all(one.allowed for one in readings)
        shown = tuple(zip(self._announcements, self.rules, readings, strict=True))
        if any(announcement.wait == "bare" and not reading.allowed for announcement, _, reading in shown):
            return VendorAnswer(accepted=False, limits=(Limits(),))
        return VendorAnswer(
            accepted, tuple(announcement.limits(rule, reading) for announcement, rule, reading in shown)
        )


def _written(seconds: float, grain: str, now: float) -> float | None:
    """Return seconds as an answer has them and the package reads them."""
    if grain == "none":
        return None
    if grain == "milliseconds":
        return math.ceil(seconds * 1000 - _ROUNDING) / 1000
    if grain == "epoch":
        return math.ceil(now + seconds - _ROUNDING) - now
    return float(math.ceil(seconds - _ROUNDING))
