"""Limit how long one call is tried."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryRules:
    """The limits of the attempts of one call.

    Attributes:
        attempts: Maximum number of attempts that end with a 5xx, a reset or a timeout. Refusals by the rate limit do
            not count.
        total: Seconds after which no new attempt starts.
        first_wait: Seconds before the second attempt; doubled for each further one, with jitter from half to all of it.
        longest_wait: Maximum seconds between two attempts.
        defer_after: If the vendor asks for a wait of more than these seconds, the attempts end, so that the caller can
            free its worker slot.
    """

    attempts: int = 8
    total: float = 600.0
    first_wait: float = 0.25
    longest_wait: float = 30.0
    defer_after: float = 60.0

    def backoff(self, attempt: int, jitter: float) -> float:
        """Return the seconds to wait after that many failed attempts."""
        return min(self.longest_wait, self.first_wait * 2.0 ** (attempt - 1)) * (0.5 + jitter / 2)

    def repeated_wait(self, wait: float, times: int) -> float:
        """Return the seconds to wait when a call has to wait for the same reason again: doubled each time.

        Args:
            wait: Seconds to wait the first time.
            times: How often it has had to wait, this time included.
        """
        return max(wait, min(self.longest_wait, wait * 2.0 ** (times - 1)))

    def allows_wait(self, wait: float, passed: float) -> bool:
        """Return whether a call may wait that many seconds, so many seconds after its first attempt began."""
        return wait <= self.defer_after and passed + wait <= self.total
