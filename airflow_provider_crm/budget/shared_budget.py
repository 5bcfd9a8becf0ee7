"""Describe what workers report to a shared budget and request of it, and what its store answers.

Where calls cost several units of the limit, all numbers of calls here are units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from airflow_provider_crm.budget.pace import Pace
    from airflow_provider_crm.vendors.limits import Limits


class CallAnswer(NamedTuple):
    """The answer to one call.

    Attributes:
        sent_at: When the call was sent: in monotonic seconds of its worker; in a database, in its epoch seconds.
        received_at: When the answer came.
        cost: Units of the call.
        limits: The limits that the answer shows; None if there was no answer.
        refused: Whether a limit was the reason of a refusal.
    """

    sent_at: float
    received_at: float
    cost: int
    limits: Sequence[Limits] | None
    refused: bool

    @property
    def is_ample(self) -> bool:
        """Whether it shows limits of which at least half is left, so that it matters little which call it is of."""
        if self.refused or not self.limits:
            return False
        return all(
            one.limit is not None and one.remaining is not None and 2 * one.remaining >= one.limit
            for one in self.limits
        )

    def with_earlier(self, earlier: CallAnswer) -> CallAnswer:
        """Return two ample answers as one; of their limits, those that were counted last: they leave the least."""
        left = [min(one.remaining or 0 for one in answer.limits or ()) for answer in (earlier, self)]
        last = earlier if left[0] < left[1] else self
        return CallAnswer(
            min(self.sent_at, earlier.sent_at),
            max(self.received_at, earlier.received_at),
            self.cost + earlier.cost,
            last.limits,
            refused=False,
        )


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """A worker's report of what it has seen, and its request for calls.

    Attributes:
        worker: Distinguishes the worker from all others.
        begin: What the worker's connection says about the limits, for the first of all requests.
        answers: The answers since its last request, the oldest first.
        in_flight: Units of its calls that are on their way, with what it has leased and not sent.
        wants: Units that it can use now; 0 to report only.
        cost: Units of one call.
        ahead: Units of a call that waits for longer than the one that is wanted.
    """

    worker: str
    begin: Pace
    answers: tuple[CallAnswer, ...] = ()
    in_flight: int = 0
    wants: int = 1
    cost: int = 1
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """The store's answer; times are monotonic seconds of the worker.

    Attributes:
        moments: When the leased calls may leave, the first one first.
        until: After this, they may not any more.
        unbound_until: As long as the worker sees neither a limit nor a refusal, any number of calls may leave until
            then; minus infinity where limits are known.
        wait: Seconds after which to ask again if there are no calls.
        pace: What all workers know, for reports.
    """

    moments: tuple[float, ...]
    until: float
    unbound_until: float
    wait: float
    pace: Pace


class SharedBudget(Protocol):
    """The store in which workers on one account share the calls that they may send."""

    def lease(self, name: str, request: LeaseRequest) -> Lease:
        """Report what a worker has seen, and lease a batch of calls.

        Raises:
            TransientError: The store cannot be used.
        """
        ...


@dataclass(frozen=True, slots=True)
class Budget:
    """The part of the vendor's limit that a session may use.

    Attributes:
        share: Part of the vendor's limit, above 0, at most 1; the rest is left to people and other programs.
        store: Where workers on one account share it; None where each converges by what the vendor says remains.
        daily_share: Part of a daily limit that may be used.
    """

    share: float = 1.0
    store: SharedBudget | None = None
    daily_share: float = 0.5
