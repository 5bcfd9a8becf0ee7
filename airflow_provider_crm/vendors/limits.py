"""Describe what an answer says of the rate limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one answer says about the budget; None where it says nothing.

    Attributes:
        wait: Seconds until the next call may be sent; only set on a refusal.
        limit: Calls per window.
        remaining: Calls left in this window.
        reset: Seconds until the window opens anew.
    """

    wait: float | None = None
    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
