"""Foresee the calls of other programs on the same limit, so that room is left to them.

What the vendor has counted beyond our own calls came from other programs. They call at random times: where a mean of n
calls is expected, there are rarely more than n and some square roots of n.
"""

from __future__ import annotations

import math

_DEVIATIONS = 2.5


def room_for(expected: float) -> float:
    """Return the units to leave free where so many of other programs are expected."""
    return expected + _DEVIATIONS * math.sqrt(expected) if expected > 0 else 0.0


def expected_in(room: float) -> float:
    """Return the mean number of units for which this much room is enough."""
    return 0.0 if room <= 0 else ((math.sqrt(_DEVIATIONS**2 + 4 * room) - _DEVIATIONS) / 2) ** 2
