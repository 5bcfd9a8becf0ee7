"""Foresee the calls of other programs on the same limit, so that room is left to them.

What the vendor has counted beyond our own calls came from other programs. They call at random times: where a mean of n
calls is expected, there are rarely more than n and some square roots of n, and one that is on its way.
"""

from __future__ import annotations

import math

# A window leaves its room until it ends, so that each moment of it is a chance to exceed it.
_DEVIATIONS, _IN_A_WINDOW = 3.0, 4.0
_ON_THE_WAY = 1.0
# Part of a limit that is left at most to others that may come.
_MOST = 0.8


def room_for(expected: float, deviations: float = _DEVIATIONS) -> float:
    """Return the units to leave free where so many of other programs are expected."""
    return expected + deviations * math.sqrt(expected) + _ON_THE_WAY if expected > 0 else 0.0


def room_within(limit: int, expected: float) -> float:
    """Return the same for a window, but never all of the limit: what others do shows only where we call."""
    return min(room_for(expected, _IN_A_WINDOW), _MOST * limit)


def expected_in(room: float) -> float:
    """Return the mean number of units for which this much room of a window is enough."""
    left = room - _ON_THE_WAY
    return 0.0 if left <= 0 else ((math.sqrt(_IN_A_WINDOW**2 + 4 * left) - _IN_A_WINDOW) / 2) ** 2
