"""Describe what workers report to a shared budget and request of it, and what its store answers.

Where calls cost several units of the limit, all numbers of calls here are units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class ObservedRefusal(NamedTuple):
    """A call that was refused because of a limit that no answer names.

    Attributes:
        sent_at: When it was sent: in monotonic seconds; in a `LeaseRequest`, how many seconds ago.
        at: When it was refused, in the same measure.
        wait: Seconds until the vendor opens again, as it says.
    """

    sent_at: float
    at: float
    wait: float


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """A worker's request for calls, with what it reports.

    Attributes:
        share: Part of the limit that all workers together may have used after this.
        limit: Calls per window, or 0 if the worker does not know it.
        counted: Calls that the vendor has counted in the window.
        in_flight: Calls that may land in a window that is new to this worker.
        number: The store's number of the last window of which the worker knew; None for none.
        ends_in: Seconds until that window ends at the latest; not above 0 if it has ended, None if not known.
        length: Seconds that a window lasts, as far as known.
        rate: Calls per second by which a bucket is filled; 0 where there are windows, or nothing is known.
        stated: Calls per second that the connection states; 0 for none.
        returned: Calls given back.
        accepted: Calls that were not refused since the worker asked last.
        accepted_from: Seconds ago when the first of them was sent.
        refusal: The first one since then that the limit does not explain.
        wants_calls: Whether calls are requested.
        units: Units that are of use to the worker at least: what its call costs, without what it has leased already.
    """

    share: float
    limit: int
    counted: int
    in_flight: int
    number: int | None
    ends_in: float | None
    length: float
    rate: float = 0.0
    stated: float = 0.0
    returned: int = 0
    accepted: int = 0
    accepted_from: float = 0.0
    refusal: ObservedRefusal | None = None
    wants_calls: bool = True
    units: int = 1


@dataclass(frozen=True, slots=True)
class Lease:
    """The store's answer.

    Attributes:
        calls: Calls that may be sent.
        limit: Calls per window; 0 if no worker knows it yet.
        number: The store's number of their window.
        is_new: Whether that window is another than the last one of which the worker knew.
        ends_at: Monotonic seconds of the worker at which it ends at the latest, or None if not known.
        wait: Seconds after which to ask again if there are no calls.
        begins_at: Monotonic seconds of the worker at which the first call may be sent.
        gap: Seconds from one call to the next.
    """

    calls: int
    limit: int
    number: int
    is_new: bool
    ends_at: float | None
    wait: float
    begins_at: float = -math.inf
    gap: float = 0.0


class SharedBudget(Protocol):
    """The store in which workers on one account share the calls that they may send."""

    def acquire(self, name: str, request: LeaseRequest) -> Lease:
        """Report what a worker knows, and lease a batch of calls.

        Raises:
            TransientError: The store cannot be used.
        """
        ...
