"""What a run on the proving ground made of a limit: used, refused, most at once, and idle.

| kind | units that a client without latency gets in T seconds from its first call, windows of W seconds |
|---|---|
| `aligned` | limit * windows that began before the end, the one of the first call included |
| `first_call`, `sliding` | limit * (1 + floor(T / W)) |
| `bucket` | limit + limit / W * T |
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .limiters import KINDS, LimitersAtOnce
from .proving_ground import OTHER_PROGRAM, Arrival

if TYPE_CHECKING:
    from .limiters import LimiterRule


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of one run.

    Attributes:
        used: Accepted units, as a part of what the share of the limit that leaves the fewest makes possible; units that
            other programs got are not possible.
        refused: Refused calls, as a part of all that the workers sent.
        peak: The most units that counted at once, as a part of the share; the highest of all limits. Of a bucket: the
            level that they reach in a bucket that holds the share and is emptied at the share's rate.
        idle: The longest stretch without a call while one more was within share and limit, in windows of the shortest
            limit.
        others_refused: Refused calls of other programs, as a part of theirs.
    """

    used: float
    refused: float
    peak: float
    idle: float
    others_refused: float


def measure(
    arrivals: Sequence[Arrival], rules: Sequence[LimiterRule], shares: Sequence[float], seconds: float
) -> Measured:
    """Return the figures of a run.

    Args:
        arrivals: All calls that arrived, in order.
        rules: The limits.
        shares: The part of each limit that the workers may use.
        seconds: Length of the run.
    """
    ours = [one for one in arrivals if one.worker != OTHER_PROGRAM]
    others = [one for one in arrivals if one.worker == OTHER_PROGRAM]
    units = sum(one.cost for one in ours if one.accepted)
    taken = sum(one.accepted for one in others)
    limits = list(zip(rules, shares, strict=True))
    possible = min(min(share * rule.most(seconds), rule.most(seconds) - taken) for rule, share in limits)
    return Measured(
        used=units / possible,
        refused=_refused(ours),
        peak=max(_peak(arrivals, rule, share) for rule, share in limits),
        idle=_idle(arrivals, rules, shares, seconds) / min(rule.seconds for rule in rules),
        others_refused=_refused(others),
    )


def _refused(arrivals: Sequence[Arrival]) -> float:
    return sum(not one.accepted for one in arrivals) / max(len(arrivals), 1)


def _peak(arrivals: Sequence[Arrival], rule: LimiterRule, share: float) -> float:
    """Return the most units of ours that counted at once, as a part of the share."""
    units = [(one.at, 0 if one.worker == OTHER_PROGRAM else one.cost) for one in arrivals if one.accepted]
    if rule.kind == "bucket":
        return _peak_of_bucket(units, share, rule) / (share * rule.limit)
    if rule.kind == "sliding":
        return _peak_of_sliding(units, rule) / (share * rule.limit)
    windows, opened = Counter[float](), -math.inf
    for at, cost in units:
        if rule.kind == "aligned":
            opened = math.floor((at + rule.phase) / rule.seconds)
        elif at >= opened + rule.seconds:
            opened = at
        windows[opened] += cost
    return max(windows.values(), default=0) / (share * rule.limit)


def _peak_of_bucket(units: Sequence[tuple[float, int]], share: float, rule: LimiterRule) -> float:
    level = highest = before = 0.0
    for at, cost in units:
        level = max(level - (at - before) * share * rule.limit / rule.seconds, 0.0) + cost
        highest, before = max(highest, level), at
    return highest


def _peak_of_sliding(units: Sequence[tuple[float, int]], rule: LimiterRule) -> int:
    calls: deque[tuple[float, int]] = deque()
    counted = highest = 0
    for at, cost in units:
        while calls and calls[0][0] + rule.seconds <= at:
            counted -= calls.popleft()[1]
        calls.append((at, cost))
        counted += cost
        highest = max(highest, counted)
    return highest


def _idle(arrivals: Sequence[Arrival], rules: Sequence[LimiterRule], shares: Sequence[float], seconds: float) -> float:
    """Return the longest stretch without a call of ours while a call was within the share and the limit."""
    whole = LimitersAtOnce(rules)
    within = [
        KINDS[rule.kind](replace(rule, limit=max(math.floor(share * rule.limit + 1e-9), 1)))
        for rule, share in zip(rules, shares, strict=True)
    ]
    counters, longest, allowed_at = [*whole.limiters, *within], 0.0, 0.0
    for at, worker, cost, accepted, _ in [*arrivals, Arrival(seconds, 0, 0, accepted=False)]:
        longest = max(longest, at - allowed_at)
        if accepted:
            for one in counters if worker != OTHER_PROGRAM else whole.limiters:
                one.count(at, cost)
        wait = max(one.wait(at) for one in counters)
        if wait > 0 or worker != OTHER_PROGRAM:  # what another program leaves over is still ours
            allowed_at = at + wait
    return longest
