"""Count calls against a limit, by fixed windows or by a token bucket."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

LimitKind = Literal["window", "bucket"]

UNLIMITED = 1_000_000
"""The limit that is announced where none is enforced."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A limit: so many calls per so many seconds. `limit=None` counts but never refuses."""

    limit: int | None
    window: float
    kind: LimitKind = "window"

    @property
    def announced(self) -> int:
        """Return the limit that the headers announce."""
        return UNLIMITED if self.limit is None else self.limit


@dataclass(frozen=True, kw_only=True)
class CallsLeft:
    """The rest of a limit: calls remaining, and the seconds until there are more."""

    limit: int
    remaining: int
    reset: float
    allowed: bool


class Counter:
    """The calls of one key (or group, or organization) against one rule."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._window = -1
        self._used = 0
        self._tokens = float(rule.announced)
        self._filled = 0.0

    def look(self, now: float) -> CallsLeft:
        """Return what is left at this time (epoch seconds), without using any of it."""
        rule = self._rule
        if rule.kind == "bucket":
            return self._look_into_bucket(now)
        window = math.floor(now / rule.window)
        if window != self._window:
            self._window, self._used = window, 0
        remaining = max(rule.announced - self._used, 0)
        reset = (window + 1) * rule.window - now
        return CallsLeft(limit=rule.announced, remaining=remaining, reset=reset, allowed=remaining > 0)

    def take(self, now: float) -> CallsLeft:
        """Use up one call if one is left, and return what is left then."""
        before = self.look(now)
        if not before.allowed:
            return before
        self._used += 1
        self._tokens -= 1
        after = self.look(now)
        return CallsLeft(limit=after.limit, remaining=after.remaining, reset=after.reset, allowed=True)

    def _look_into_bucket(self, now: float) -> CallsLeft:
        rule = self._rule
        rate = rule.announced / rule.window
        self._tokens = min(float(rule.announced), self._tokens + (now - self._filled) * rate)
        self._filled = now
        whole = math.floor(self._tokens + 1e-9)
        missing = (rule.announced - self._tokens) if whole else (1 - self._tokens)
        return CallsLeft(limit=rule.announced, remaining=whole, reset=missing / rate, allowed=whole > 0)


class Limiter:
    """All counters of one vendor. A changed rule starts from zero."""

    def __init__(self) -> None:
        self._counters: dict[tuple[Rule, str], Counter] = {}

    def take(self, rules: list[tuple[Rule, str]], now: float) -> CallsLeft:
        """Use one call of every named counter, or of none of them if one refuses.

        Args:
            rules: rule and counter name; the headers show the first one.
            now: epoch seconds.

        Returns:
            The calls left of the first rule, or of the one that refused.
        """
        counters = [self._counter(rule, name) for rule, name in rules]
        for counter in counters:
            allowance = counter.look(now)
            if not allowance.allowed:
                return allowance
        first, *others = counters
        for counter in others:
            counter.take(now)
        return first.take(now)

    def _counter(self, rule: Rule, name: str) -> Counter:
        counter = self._counters.get((rule, name))
        if counter is None:
            counter = self._counters[rule, name] = Counter(rule)
        return counter
