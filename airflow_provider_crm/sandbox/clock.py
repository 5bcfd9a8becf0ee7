"""The sandbox's clock: real time until it is set, then it stands still."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta


class SandboxClock:
    """The time in the sandbox. Every stamp, expiry, limit window and "today" is read from here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frozen: datetime | None = None

    def now(self) -> datetime:
        """Return the current instant, in UTC."""
        return self._frozen or datetime.now(UTC)

    def set(self, instant: datetime | None) -> None:
        """Stop the clock at an instant, or let real time run again.

        Args:
            instant: an aware datetime; None goes back to real time.

        Raises:
            ValueError: the datetime has no offset, so it names no instant.
        """
        if instant is not None and instant.utcoffset() is None:
            message = f"The clock needs an aware datetime, got {instant.isoformat()}; add a tzinfo."
            raise ValueError(message)
        with self._lock:
            self._frozen = None if instant is None else instant.astimezone(UTC)

    def advance(self, seconds: float) -> None:
        """Move the clock on by some seconds. A running clock is stopped first, at its present instant."""
        with self._lock:
            self._frozen = (self._frozen or datetime.now(UTC)) + timedelta(seconds=seconds)
