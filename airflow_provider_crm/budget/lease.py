"""Lease one worker's part of a shared budget: calls in batches, of which it gives back the unused ones.

Where calls cost several units of the limit, what is leased, granted, counted and given back are units.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_crm.budget.shared_budget import LeaseRequest, ObservedRefusal

if TYPE_CHECKING:
    from airflow_provider_crm.budget.limit_state import LeaseDemand
    from airflow_provider_crm.budget.shared_budget import Lease, SharedBudget


# Seconds after which to look again while another thread makes a request.
_PAUSE = 0.002


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

    def after_use(self, cost: int) -> LeasedCalls:
        """Return the rest after a call; a thread that wakes late catches up, as a batch of spaced calls is small."""
        return LeasedCalls(self.calls - cost, self.window, self.number, self.next_at + cost * self.gap, self.gap)

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

    def with_accepted(self, sent_at: float, cost: int) -> Unreported:
        """Return the news with one more call that was not refused."""
        return Unreported(self.accepted + cost, min(self.accepted_from, sent_at), self.returned, self.refusal)

    def with_refusal(self, refusal: ObservedRefusal, returned: int) -> Unreported:
        """Return the news with a refusal, of several of which the first says the most, and calls given back."""
        return self._replace(refusal=self.refusal or refusal, returned=self.returned + returned)

    def request(
        self, demand: LeaseDemand, leased: LeasedCalls, share: float, *, wants_calls: bool, stated: float, units: int
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
            units=units,
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
        self._requested = 1
        self._end_unknown = False

    def covers(self, window: int, units: int) -> bool:
        """Return whether so many units are leased for this worker's window of that number."""
        return window == self._leased.window and self._leased.calls >= units

    def use(self, window: int, now: float, cost: int, ahead: int) -> float | None:
        """Use what is leased for this worker's window of that number.

        Args:
            window: The number.
            now: Monotonic seconds.
            cost: Units of the call.
            ahead: Units of a call that waits for longer, which are left to it if it can get the rest of its units.

        Returns:
            0 if it was used, seconds if the next call is for later, None if there is not enough.
        """
        leased = self._leased
        if not self.covers(window, cost + self._left_to(ahead, window, now)):
            return None
        if now < leased.next_at:
            return leased.next_at - now
        self._leased = leased.after_use(cost)
        return 0.0

    def give_back(self, window: int, cost: int) -> None:
        """Keep the units of a call for later that was not sent."""
        if window == self._leased.window:
            self._leased = self._leased._replace(calls=self._leased.calls + cost)

    def accept(self, sent_at: float, cost: int) -> None:
        """Note a call that was not refused."""
        self._unreported = self._unreported.with_accepted(sent_at, cost)

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

    def begin(
        self, demand: LeaseDemand, *, wants_calls: bool, stated: float, cost: int, ahead: int
    ) -> LeaseRequest | float:
        """Return the request that this thread is to make; else the seconds after which to look again.

        Until the store has more, only a call that needs less than it could not give is worth a request.
        """
        units = cost + self._left_to(ahead, demand.number, demand.at) - self._left(demand.number)
        if self._requesting or (demand.at < self._next_request_at and wants_calls and units >= self._requested):
            return max(self._next_request_at - demand.at, _PAUSE)
        request = self._unreported.request(
            demand, self._leased, self._share, wants_calls=wants_calls, stated=stated, units=units
        )
        self._requesting, self._ended = True, demand.number != self._leased.window
        self._requested = units if wants_calls else self._requested
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

    def _left(self, window: int) -> int:
        """Return the units that are leased for this worker's window of that number."""
        return self._leased.calls if window == self._leased.window else 0

    def _left_to(self, ahead: int, window: int, now: float) -> int:
        """Return the units to leave to a call that waits for longer: none if the store has not enough for it now."""
        is_out = now < self._next_request_at and ahead >= self._left(window) + self._requested
        return 0 if is_out else ahead

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
