"""Describe the rate limit that an answer shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The rate limit as one answer shows it; None for each part that is missing.

    Attributes:
        wait: Seconds until the next call may be sent; only set on a refusal.
        limit: Calls per window.
        remaining: Calls left in this window.
        reset: Seconds until the next window opens.
    """

    wait: float | None = None
    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
