"""Describe what workers report to a shared budget and request of it, and what its store answers.

Where calls cost several units of the limit, all numbers of calls here are units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from airflow_provider_crm.budget.call_answer import CallAnswer
    from airflow_provider_crm.budget.pace import Pace


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
        at: The store's time, as the worker knows it from its last lease; minus infinity before the first one.
    """

    worker: str
    begin: Pace
    answers: tuple[CallAnswer, ...] = ()
    in_flight: int = 0
    wants: int = 1
    cost: int = 1
    ahead: int = 0
    at: float = -math.inf


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
        offset: Seconds by which the times of `pace` are ahead of the worker's monotonic clock.
    """

    moments: tuple[float, ...]
    until: float
    unbound_until: float
    wait: float
    pace: Pace
    offset: float


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
