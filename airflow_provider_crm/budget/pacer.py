"""Pace calls so that the vendor's rate limit is used and never exceeded.

The vendor counts arrivals, and names in its answers what is left. A `Pacer` holds the present state of the limit, see
`limit_state`, and replaces it by the next one at each call and answer; `kinds` chooses the kind of limit.

Calls may cost several units of the limit. A call that finds too few left waits, and cheaper ones use up the rest; once
the limit is renewed they leave it room, so that it never waits for ever.

Beside it, or alone where answers name no limit, `rate.DiscoveredRate` obeys a limit that only refusals show, and
`sliding.SlidingLimit` a limit whose windows slide.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_crm.budget.kinds import fitting, stated_window
from airflow_provider_crm.budget.limit_state import POLL, LeaseDemand, Observation, OwnCalls
from airflow_provider_crm.budget.rate import DiscoveredRate
from airflow_provider_crm.budget.refusals import Refusals
from airflow_provider_crm.budget.shared_budget import LeaseRequest, ObservedRefusal
from airflow_provider_crm.budget.sliding import SlidingLimit
from airflow_provider_crm.budget.usage import GroupUse
from airflow_provider_crm.vendors.limits import paced_limit, sliding_limit

if TYPE_CHECKING:
    from airflow_provider_crm.budget.lease import Leases
    from airflow_provider_crm.budget.limit_state import LimitState
    from airflow_provider_crm.budget.shared_budget import Lease, SharedBudget
    from airflow_provider_crm.budget.stated import StatedLimit
    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.vendors.limits import Limits

# So many seconds late, a call that waits still finds its room: threads do not wake to the moment, and some give up.
_WAKING = 0.1


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


class Reservation(NamedTuple):
    """Permission for one call.

    Attributes:
        sent_at: Monotonic seconds; the call leaves then or later.
        window: Number of the window for which it was given.
        cost: Units of the limit that it costs.
    """

    sent_at: float
    window: int
    cost: int = 1


class Pacer:
    """The pace of the calls of one key and endpoint group; safe for many threads, and never sleeps.

    Args:
        clock: Time.
        share: Part of the vendor's limit that may be used.
        stated: What the connection says about the limit, or None.
        leases: Where calls come from that are shared with other workers; None for a worker of its own.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        share: float = 1.0,
        stated: StatedLimit | None = None,
        leases: Leases | None = None,
    ) -> None:
        self._clock = clock
        self._share = share
        self._leases = leases
        self._lock = threading.Lock()
        self._calls = OwnCalls()
        # By cost, the first to wait comes first: until when its thread has asked again, unless it gave up.
        self._waiting: dict[int, float] = {}
        self._answers = self._answered_units = 0
        self._began = self._paused_until = clock.monotonic()
        self._refusals = Refusals()
        self._sliding: SlidingLimit | None = None
        self._limit: LimitState | None = stated_window(stated, share, shared=leases is not None)
        spaced = stated is not None and self._limit is None
        self._stated = stated.calls / stated.seconds if stated is not None and spaced else 0.0
        self._discovered = DiscoveredRate.stated(self._stated) if self._stated else DiscoveredRate()

    def acquire(self, cost: int = 1) -> Reservation | float:
        """Return a reservation for a call that leaves now, or else the seconds after which to ask again.

        Args:
            cost: Units of the limit that the call costs.

        Raises:
            TransientError: The store of a shared budget cannot be used.
        """
        with self._lock:
            now = self._clock.monotonic()
            ahead = self._ahead(now, cost)
            wait = self._wait(now, cost, ahead)
            if self._leases is None:
                return self._waits(now, wait, cost, ahead) if wait > 0 else self._reservation(now, cost)
            demand = self._demand(now)
            request = self._leased(self._leases, demand, wait, cost, ahead)
            if not isinstance(request, LeaseRequest):
                return self._waits(now, request, cost, ahead) if request > 0 else self._reservation(now, cost)
        lease = self._leases.lease_batch(request)
        with self._lock:
            wait = max(self._joined(self._leases, lease, demand.number), wait)
            return self._waits(now, wait, cost, ahead) if wait > 0 else 0.0

    def cancel(self, reservation: Reservation) -> None:
        """Take a reservation back: its call was not sent."""
        with self._lock:
            self._calls.in_flight -= reservation.cost
            if self._sliding is not None:
                self._sliding.cancel_send(reservation.cost)
            if self._limit is not None:
                self._limit = self._limit.cancel_send(reservation.window, reservation.cost)
            if self._leases is not None:
                self._leases.give_back(reservation.window, reservation.cost)

    def record_answer(
        self, reservation: Reservation, limits: tuple[Limits, ...] | None, *, refused: bool = False
    ) -> float:
        """Learn from the answer to a call, or from its absence.

        Args:
            reservation: Its reservation.
            limits: The limits that the answer names; None if there was no answer.
            refused: Whether a limit was the reason of a refusal (429).

        Returns:
            The seconds that only this call waits before it is tried again; 0 if all calls wait, or none has to.
        """
        shown = None if limits is None else paced_limit(limits)
        sliding = None if limits is None else sliding_limit(limits)
        with self._lock:
            now = self._clock.monotonic()
            if sliding is not None and self._sliding is None:
                self._sliding = SlidingLimit(self._share, self._calls.in_flight)
            if self._sliding is not None:
                self._sliding.record_answer(now, reservation.cost, sliding)
            self._calls.in_flight -= reservation.cost
            self._answers += 1
            self._answered_units += reservation.cost
            seen = _observation(reservation, shown, now)
            if refused and seen is not None and self._limit is not None and self._limit.limit not in (0, seen.limit):
                seen = None  # of another, stricter limit than the answers name
            self._learn(seen, reservation, now)
            if refused:
                return self._record_refusal(reservation, now, (shown.wait if shown is not None else None) or 0.0)
            self._refusals.accept(reservation.sent_at)
            if self._leases is not None:
                self._leases.accept(reservation.sent_at, reservation.cost)
            else:
                self._discovered = self._discovered.accept(reservation.sent_at, reservation.cost)
            return 0.0

    def use(self, group: str) -> GroupUse:
        """Return what was used so far, under the name of the endpoint group."""
        with self._lock:
            seconds = self._clock.monotonic() - self._began
            limit, window = (0, 0.0) if self._limit is None else (self._limit.limit, self._limit.length)
            use = GroupUse.over_time(group, self._answers, limit=limit, window=window, seconds=seconds)
            return replace(use, cost=self._answered_units) if self._answered_units != self._answers else use

    def close(self) -> None:
        """Give back what was leased and not used."""
        if self._leases is not None:
            self._leases.close()

    def _wait(self, now: float, cost: int, ahead: int) -> float:
        """Return the seconds until our own knowledge allows the call; not above 0 for now."""
        wait = self._paused_until - now
        if self._limit is not None:
            self._limit = self._limit.at(now, self._calls)
            wait = max(wait, self._limit.wait(now, self._calls, cost, ahead))
        if self._sliding is not None:
            wait = max(wait, self._sliding.wait(now, cost))
        return wait if self._leases is not None else max(wait, self._discovered.wait(now))

    def _leased(self, leases: Leases, demand: LeaseDemand, wait: float, cost: int, ahead: int) -> LeaseRequest | float:
        """Use leased units; return 0 if there were enough, else the seconds to wait, or the request to make."""
        if wait <= 0 and (leased := leases.use(demand.number, demand.at, cost, ahead)) is not None:
            return leased
        # The tokens of a bucket gather for a call only while other workers are not given them.
        gathers = cost > 1 and demand.rate > 0 and not leases.covers(demand.number, cost)
        if wait > 0 and not gathers and not leases.must_report(demand.number, end_known=demand.ends_at is not None):
            return wait
        if not self._answers and self._calls.in_flight:
            return max(wait, POLL)  # the answer to the first call shows which limit it is
        request = leases.begin(demand, wants_calls=wait <= 0 or gathers, stated=self._stated, cost=cost, ahead=ahead)
        return request if isinstance(request, LeaseRequest) else max(wait, request)

    def _waits(self, now: float, wait: float, cost: int, ahead: int) -> float:
        """Note that a call waits; one that leaves room for another asks again when that one may have given up."""
        if ahead in self._waiting:
            wait = min(wait, self._waiting[ahead] - now)
        self._waiting[cost] = now + wait + _WAKING
        return wait

    def _ahead(self, now: float, cost: int) -> int:
        """Return the cost of the call that waits for longest; 0 if none waits, or only calls of this same cost."""
        while self._waiting:
            first = next(iter(self._waiting))
            if now < self._waiting[first]:
                return 0 if first == cost else first
            del self._waiting[first]
        return 0

    def _demand(self, now: float) -> LeaseDemand:
        if self._limit is None:  # nothing is known yet
            return LeaseDemand(now, 0, 0, self._calls.in_flight, now, None, 0.0, 0)
        return self._limit.demand(now, self._calls)

    def _joined(self, leases: Leases, lease: Lease, requested_in: int) -> float:
        """Learn what the store knows and leases; a limit that it does not know, either, has to be found out."""
        now = self._clock.monotonic()
        if self._limit is None and lease.limit:
            self._choose()
        if self._limit is not None:
            is_new = lease.is_new and self._limit.number == requested_in
            self._limit = self._limit.join(now, self._calls, limit=lease.limit, is_new=is_new, ends_at=lease.ends_at)
        leases.store_lease(lease, requested_in, 0 if self._limit is None else self._limit.number, now)
        return lease.wait

    def _reservation(self, now: float, cost: int) -> Reservation:
        calls = self._calls
        calls.in_flight += cost
        self._waiting.pop(cost, None)
        if self._sliding is not None:
            self._sliding.record_send(cost)
        if self._leases is None and self._discovered.counts:
            gap = self._discovered.gap(self._share)
            self._discovered = self._discovered.record_send(now, gap, cost, share=self._share)
        if self._limit is None:
            return Reservation(now, 0, cost)
        calls.sent += cost
        calls.last_sent, calls.last_cost = now, cost
        self._limit = self._limit.record_send(now, cost)
        return Reservation(now, self._limit.number, cost)

    def _record_refusal(self, reservation: Reservation, now: float, wait: float) -> float:
        """Return the seconds that only the refused call waits; pause all threads if they are 0.

        Where no answer has named a limit, learn from the refusal. Where one has, a refusal that it does not explain is
        of another limit: obeyed, not learned from. One that names no wait is isolated until others follow it.
        """
        if wait <= 0:
            wait = self._refusals.add(reservation.sent_at, self._clock.jitter())
            if self._refusals.are_isolated:
                return wait
        self._paused_until = max(self._paused_until, now + wait)
        if self._limit is not None:
            self._limit = self._limit.record_refusal(now, wait, reservation.cost)
        elif self._leases is not None:
            self._leases.record_refusal(ObservedRefusal(reservation.sent_at, now, wait))
        else:
            self._discovered = self._discovered.record_refusal(reservation.sent_at, now, wait)
        return 0.0

    def _learn(self, seen: Observation | None, reservation: Reservation, now: float) -> None:
        if seen is not None:
            limit = self._limit
            if limit is None or limit.contradicted:
                limit = self._choose()
            self._limit = limit.observe(seen, self._calls)
        elif self._limit is not None:
            self._limit = self._limit.record_unanswered(now, reservation.window, reservation.cost)

    def _choose(self) -> LimitState:
        """Choose the kind of limit by what is known; calls are counted from the start under another kind."""
        limit = fitting(self._limit, self._share, shared=self._leases is not None)
        if limit is not self._limit:
            self._limit, self._calls = limit, OwnCalls(self._calls.in_flight)
        return limit


def _observation(reservation: Reservation, limits: Limits | None, now: float) -> Observation | None:
    """Return what an answer says of the limit; None if it leaves out a part of it."""
    if limits is None or limits.limit is None or limits.remaining is None or limits.reset is None:
        return None
    sent_at, window, cost = reservation
    return Observation(sent_at, now, window, limits.limit, limits.remaining, limits.reset, cost)
