"""The passage of one call through the rate limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.limits import Limits


@dataclass(slots=True)
class Passage:
    """One attempt that the rate limit allows; the sender notes its result here.

    Attributes:
        sent: Whether the call was sent.
        limits: The limits that its answer names; None without an answer.
        refused: Whether the rate limit was the reason of a refusal (429).
        own_wait: Seconds that only this call waits before it is tried again, known when the passage is over; 0 where
            it may go at once, or where all calls wait.
    """

    sent: bool = False
    limits: tuple[Limits, ...] | None = None
    refused: bool = False
    own_wait: float = 0.0
