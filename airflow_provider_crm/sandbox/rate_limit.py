"""Count calls against a limit, by windows of four kinds.

| kind | a call is counted |
|---|---|
| `window` | until the end of its window; windows follow one another and are aligned to the clock |
| `first_call` | until the end of its window, which the first call after the last window opened |
| `sliding` | for the length of the window |
| `bucket` | until it has been refilled, at the rate of the limit per window |
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal, Protocol

LimitKind = Literal["window", "bucket", "sliding", "first_call"]

UNLIMITED = 1_000_000
"""The limit that is announced where none is enforced."""
DAY = 86_400.0
"""Seconds of the window of a daily limit; a day that is aligned to the clock begins at midnight UTC."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A limit: so many calls (or the vendor's units) per so many seconds. `limit=None` counts but never refuses."""

    limit: int | None
    window: float
    kind: LimitKind = "window"

    @property
    def announced(self) -> int:
        """Return the limit that the headers announce."""
        return UNLIMITED if self.limit is None else self.limit


@dataclass(frozen=True, kw_only=True)
class CallsLeft:
    """The rest of a limit: units remaining, and the seconds until there are more."""

    limit: int
    remaining: int
    reset: float
    allowed: bool


class _UnitCount(Protocol):
    """The units used of one limit, as one kind of window counts them."""

    def left(self, now: float, cost: int) -> tuple[int, float]:
        """Return the units remaining, and the seconds until there are more, or enough for a call of this cost."""

    def use(self, now: float, cost: int) -> None:
        """Count a call; `left` has been asked at the same time."""


class _WindowByTheClock:
    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._number = -1
        self._used = 0

    def left(self, now: float, _cost: int) -> tuple[int, float]:
        length = self._rule.window
        number = math.floor(now / length)
        if number != self._number:
            self._number, self._used = number, 0
        return max(self._rule.announced - self._used, 0), (number + 1) * length - now

    def use(self, _now: float, cost: int) -> None:
        self._used += cost


class _WindowFromFirstCall:
    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._end = -math.inf
        self._used = 0

    def left(self, now: float, _cost: int) -> tuple[int, float]:
        if now >= self._end:
            return self._rule.announced, self._rule.window
        return max(self._rule.announced - self._used, 0), self._end - now

    def use(self, now: float, cost: int) -> None:
        if now >= self._end:
            self._end, self._used = now + self._rule.window, 0
        self._used += cost


class _CountedCalls:
    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._calls: deque[tuple[float, int]] = deque()
        self._used = 0

    def left(self, now: float, cost: int) -> tuple[int, float]:
        length = self._rule.window
        while self._calls and self._calls[0][0] + length <= now:
            self._used -= self._calls.popleft()[1]
        remaining = max(self._rule.announced - self._used, 0)
        free = remaining
        for at, units in self._calls:
            free += units
            if free >= cost:
                return remaining, at + length - now
        return remaining, length

    def use(self, now: float, cost: int) -> None:
        self._calls.append((now, cost))
        self._used += cost


class _RefilledBucket:
    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._tokens = float(rule.announced)
        self._filled = 0.0

    def left(self, now: float, cost: int) -> tuple[int, float]:
        full = self._rule.announced
        if not full:
            return 0, self._rule.window
        rate = full / self._rule.window
        self._tokens = min(float(full), self._tokens + (now - self._filled) * rate)
        self._filled = now
        whole = math.floor(self._tokens + 1e-9)
        missing = (full if whole >= cost else min(cost, full)) - self._tokens
        return whole, missing / rate

    def use(self, _now: float, cost: int) -> None:
        self._tokens -= cost


_COUNTS: dict[LimitKind, type[_WindowByTheClock | _WindowFromFirstCall | _CountedCalls | _RefilledBucket]] = {
    "window": _WindowByTheClock,
    "first_call": _WindowFromFirstCall,
    "sliding": _CountedCalls,
    "bucket": _RefilledBucket,
}


class Counter:
    """The calls of one key (or group, or organization) against one rule."""

    def __init__(self, rule: Rule) -> None:
        self._limit = rule.announced
        self._count: _UnitCount = _COUNTS[rule.kind](rule)

    def look(self, now: float, cost: int = 1) -> CallsLeft:
        """Return what is left at this time, without using any of it.

        Args:
            now: epoch seconds.
            cost: the units of the call that is `allowed` or not.
        """
        remaining, reset = self._count.left(now, cost)
        return CallsLeft(limit=self._limit, remaining=remaining, reset=reset, allowed=remaining >= cost)

    def take(self, now: float, cost: int = 1) -> CallsLeft:
        """Use up a call if enough is left for it, and return what is left then."""
        before = self.look(now, cost)
        if not before.allowed:
            return before
        self._count.use(now, cost)
        after = self.look(now)
        return CallsLeft(limit=after.limit, remaining=after.remaining, reset=after.reset, allowed=True)


class Limiter:
    """All counters of one vendor. A changed rule starts from zero."""

    def __init__(self) -> None:
        self._counters: dict[tuple[Rule, str], Counter] = {}

    def look(self, rules: list[tuple[Rule, str]], now: float, cost: int = 1) -> list[CallsLeft]:
        """Return what is left of each named counter, without using any of it: for headers of several limits."""
        return [self._counter(rule, name).look(now, cost) for rule, name in rules]

    def take(self, rules: list[tuple[Rule, str]], now: float, cost: int = 1) -> CallsLeft:
        """Use one call of every named counter, or of none of them if one refuses.

        Args:
            rules: rule and counter name; the headers show the first one.
            now: epoch seconds.
            cost: the units that the call uses of each counter.

        Returns:
            The calls left of the first rule, or of the one that refused.
        """
        for left in self.look(rules, now, cost):
            if not left.allowed:
                return left
        first, *others = [self._counter(rule, name) for rule, name in rules]
        for counter in others:
            counter.take(now, cost)
        return first.take(now, cost)

    def _counter(self, rule: Rule, name: str) -> Counter:
        counter = self._counters.get((rule, name))
        if counter is None:
            counter = self._counters[rule, name] = Counter(rule)
        return counter
