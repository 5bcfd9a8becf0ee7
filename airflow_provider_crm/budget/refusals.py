"""Distinguish refusals that are isolated from those of a limit that is used up."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Seconds that a call waits, at most and with jitter from half of it, whose refusal names no wait.
_WAIT = 1.0
_NOT_ISOLATED = 3


@dataclass(slots=True)
class Refusals:
    """The refusals that name no wait, one after another.

    Attributes:
        in_a_row: How many there were since the last call that was sent after a refused one and accepted.
        sent_at: When the latest of their calls was sent, in monotonic seconds.
    """

    in_a_row: int = 0
    sent_at: float = -math.inf

    @property
    def are_isolated(self) -> bool:
        """Whether they may have nothing to do with the calls around them, so that only their own calls wait."""
        return self.in_a_row < _NOT_ISOLATED

    def accept(self, sent_at: float) -> None:
        """Note a call that was not refused; one that was sent before the refused ones says nothing about them."""
        if self.in_a_row and sent_at > self.sent_at:
            self.in_a_row = 0

    def add(self, sent_at: float, jitter: float) -> float:
        """Note a refusal; return the seconds to wait after it."""
        self.in_a_row += 1
        self.sent_at = max(self.sent_at, sent_at)
        return _WAIT * (0.5 + jitter / 2)
