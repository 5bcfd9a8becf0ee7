"""Lease one worker's part of a shared budget: calls in batches, of which it gives back the unused ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from airflow_provider_crm.budget.limit_state import LeaseDemand


# Seconds after which to look again while another thread makes a request.
_PAUSE = 0.002


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


class LeasedCalls(NamedTuple):
    """The calls that a worker may still send.

    Attributes:
        calls: How many.
        window: The worker's number of their window.
        number: The store's number of it; None before the first lease.
        next_at: Monotonic seconds at which the next one may be sent.
        gap: Seconds from one call to the next.
    """

    calls: int = 0
    window: int = -1
    number: int | None = None
    next_at: float = -math.inf
    gap: float = 0.0

    def after_use(self) -> LeasedCalls:
        """Return the rest after one call; a thread that wakes late catches up, as a batch of spaced calls is small."""
        return LeasedCalls(self.calls - 1, self.window, self.number, self.next_at + self.gap, self.gap)

    def with_lease(self, lease: Lease, window: int) -> LeasedCalls:
        """Return the calls with those of a lease for that window; calls of another window are of no use in it."""
        calls = lease.calls + (self.calls if window == self.window else 0)
        next_at, gap = (lease.begins_at, lease.gap) if lease.calls else (self.next_at, self.gap)
        return LeasedCalls(calls, window, lease.number, next_at, gap)


class Unreported(NamedTuple):
    """The news that the store does not have yet.

    Attributes:
        accepted: Calls that were not refused.
        accepted_from: When the first of them was sent.
        returned: Calls given back.
        refusal: The first refusal.
    """

    accepted: int = 0
    accepted_from: float = math.inf
    returned: int = 0
    refusal: ObservedRefusal | None = None

    def with_accepted(self, sent_at: float) -> Unreported:
        """Return the news with one more call that was not refused."""
        return Unreported(self.accepted + 1, min(self.accepted_from, sent_at), self.returned, self.refusal)

    def with_refusal(self, refusal: ObservedRefusal, returned: int) -> Unreported:
        """Return the news with a refusal, of several of which the first says the most, and calls given back."""
        return self._replace(refusal=self.refusal or refusal, returned=self.returned + returned)

    def request(
        self, demand: LeaseDemand, leased: LeasedCalls, share: float, *, wants_calls: bool, stated: float
    ) -> LeaseRequest:
        """Return the request that reports this and asks for calls; its times are seconds ago."""
        ended = demand.number != leased.window
        end, first = demand.opened_at if ended else demand.ends_at, self.refusal
        return LeaseRequest(
            share=share,
            limit=demand.limit,
            counted=0 if ended else demand.counted,
            in_flight=demand.in_flight,
            number=leased.number,
            ends_in=None if end is None else end - demand.at,
            length=demand.length,
            rate=demand.rate,
            stated=stated,
            returned=self.returned,
            accepted=self.accepted,
            accepted_from=demand.at - min(self.accepted_from, demand.at),
            refusal=None
            if first is None
            else ObservedRefusal(demand.at - first.sent_at, demand.at - first.at, first.wait),
            wants_calls=wants_calls,
        )


class Leases:
    """The calls that one worker has leased for one key and endpoint group.

    `lease_batch` is called without the pacer's lock, by one thread at a time; everything else under it.

    Args:
        store: Shared with other workers.
        name: Name of the key and endpoint group, the same for all workers.
        share: Part of the limit that may be used.
    """

    def __init__(self, store: SharedBudget, name: str, share: float) -> None:
        self._store = store
        self._name = name
        self._share = share
        self._leased = LeasedCalls()
        self._unreported = Unreported()
        self._requesting, self._ended = False, False
        self._next_request_at = -math.inf
        self._end_unknown = False

    def use(self, window: int, now: float) -> float | None:
        """Use one of the calls leased for this worker's window of that number.

        Returns:
            0 if one was used, seconds if the next one is for later, None if there is none.
        """
        leased = self._leased
        if window != leased.window or not leased.calls:
            return None
        if now < leased.next_at:
            return leased.next_at - now
        self._leased = leased.after_use()
        return 0.0

    def give_back(self, window: int) -> None:
        """Keep a call for later that was not sent."""
        if window == self._leased.window:
            self._leased = self._leased._replace(calls=self._leased.calls + 1)

    def accept(self, sent_at: float) -> None:
        """Note a call that was not refused."""
        self._unreported = self._unreported.with_accepted(sent_at)

    def record_refusal(self, refusal: ObservedRefusal) -> None:
        """Note a refusal for the other workers, and give back all calls.

        Calls that were leased before it was known how they have to be spaced would all leave at once.
        """
        self._unreported = self._unreported.with_refusal(refusal, self._leased.calls)
        self._leased = self._leased._replace(calls=0)

    def must_report(self, window: int, *, end_known: bool) -> bool:
        """Return whether the store does not know yet what was learned here: a window's end, or a refusal."""
        end_is_news = end_known and self._end_unknown and window == self._leased.window
        return (self._unreported.refusal is not None or end_is_news) and not self._requesting

    def begin(self, demand: LeaseDemand, *, wants_calls: bool, stated: float = 0.0) -> LeaseRequest | float:
        """Return the request that this thread is to make; else the seconds after which to look again."""
        if self._requesting or (demand.at < self._next_request_at and wants_calls):
            return max(self._next_request_at - demand.at, _PAUSE)
        request = self._unreported.request(demand, self._leased, self._share, wants_calls=wants_calls, stated=stated)
        self._requesting, self._ended = True, demand.number != self._leased.window
        self._unreported = Unreported()
        return request

    def lease_batch(self, request: LeaseRequest) -> Lease:
        """Report to the store what is known here, and lease a batch of calls if the request wants any.

        Raises:
            TransientError: The store's database cannot be used.
        """
        try:
            lease = self._store.acquire(self._name, request)
            return replace(lease, is_new=lease.is_new and not self._ended)
        except BaseException:
            self._requesting = False
            raise

    def store_lease(self, lease: Lease, requested_in: int, window: int, now: float) -> None:
        """Store what was leased.

        Args:
            lease: The lease.
            requested_in: This worker's number of the window in which it made the request.
            window: Its number of the present window.
            now: Monotonic seconds.
        """
        if lease.number == self._leased.number:
            window = requested_in  # what was leased in a window that has ended since is of no use in the next
        self._requesting, self._next_request_at = False, now + lease.wait
        self._end_unknown = lease.ends_at is None
        self._leased = self._leased.with_lease(lease, window)

    def close(self) -> None:
        """Give back what is left.

        Raises:
            TransientError: The store's database cannot be used.
        """
        returned, number = self._leased.calls, self._leased.number
        if returned and number is not None:
            self._leased = self._leased._replace(calls=0)
            request = LeaseRequest(self._share, 0, 0, 0, number, None, 0.0, returned=returned, wants_calls=False)
            self._store.acquire(self._name, request)
