"""Pace calls so that the vendor's rate limit is used and never exceeded.

The vendor counts arrivals, and names in its answers what is left. A `Pacer` holds the present state of the limit, see
`limit_state`, and replaces it by the next one at each call and answer; `kinds` chooses the kind of limit.

Beside it, or alone where answers name no limit, `rate.DiscoveredRate` obeys a limit that only refusals show.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_crm.budget.kinds import fitting, stated_window
from airflow_provider_crm.budget.lease import LeaseRequest, ObservedRefusal
from airflow_provider_crm.budget.limit_state import POLL, LeaseDemand, Observation, OwnCalls
from airflow_provider_crm.budget.rate import DiscoveredRate
from airflow_provider_crm.budget.usage import GroupUse

if TYPE_CHECKING:
    from airflow_provider_crm.budget.lease import Lease, Leases, SharedBudget
    from airflow_provider_crm.budget.limit_state import LimitState
    from airflow_provider_crm.budget.stated import StatedLimit
    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.vendors.limits import Limits


@dataclass(frozen=True, slots=True)
class Budget:
    """The part of the vendor's limit that a session may use.

    Attributes:
        share: Part of the vendor's limit, above 0, at most 1; the rest is left to people and other programs.
        store: Where workers on one account share it; None where each converges by what the vendor says remains.
    """

    share: float = 1.0
    store: SharedBudget | None = None


class Reservation(NamedTuple):
    """Permission for one call.

    Attributes:
        sent_at: Monotonic seconds; the call leaves then or later.
        window: Number of the window for which it was given.
    """

    sent_at: float
    window: int


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
        self._answers = 0
        self._began = self._paused_until = clock.monotonic()
        self._limit: LimitState | None = stated_window(stated, share, shared=leases is not None)
        spaced = stated is not None and self._limit is None
        self._stated = stated.calls / stated.seconds if stated is not None and spaced else 0.0
        self._discovered = DiscoveredRate.stated(self._stated) if self._stated else DiscoveredRate()

    def acquire(self) -> Reservation | float:
        """Return a reservation for a call that leaves now, or else the seconds after which to ask again.

        Raises:
            TransientError: The store of a shared budget cannot be used.
        """
        with self._lock:
            now = self._clock.monotonic()
            wait = self._paused_until - now
            if self._limit is not None:
                self._limit = self._limit.at(now, self._calls)
                wait = max(wait, self._limit.wait(now, self._calls))
            if self._leases is None:
                wait = max(wait, self._discovered.wait(now))
                return wait if wait > 0 else self._reservation(now)
            demand = self._demand(now)
            if wait <= 0 and (leased := self._leases.use(demand.number, now)) is not None:
                return leased if leased > 0 else self._reservation(now)
            if wait > 0 and not self._leases.must_report(demand.number, end_known=demand.ends_at is not None):
                return wait
            if not self._answers and self._calls.in_flight:
                return max(wait, POLL)  # the answer to the first call shows which limit it is
            request = self._leases.begin(demand, wants_calls=wait <= 0, stated=self._stated)
            if not isinstance(request, LeaseRequest):
                return max(wait, request)
        lease = self._leases.lease_batch(request)
        with self._lock:
            return max(self._joined(self._leases, lease, demand.number), wait)

    def cancel(self, reservation: Reservation) -> None:
        """Take a reservation back: its call was not sent."""
        with self._lock:
            self._calls.in_flight -= 1
            if self._limit is not None:
                self._limit = self._limit.cancel_send(reservation.window)
            if self._leases is not None:
                self._leases.give_back(reservation.window)

    def record_answer(self, reservation: Reservation, limits: Limits | None, *, refused: bool = False) -> None:
        """Learn from the answer to a call, or from its absence.

        Args:
            reservation: Its reservation.
            limits: What the answer says about the limit; None if there was no answer.
            refused: Whether the limit was the reason of a refusal (429).
        """
        with self._lock:
            now = self._clock.monotonic()
            self._calls.in_flight -= 1
            self._answers += 1
            seen = _observation(reservation, limits, now)
            if refused and seen is not None and self._limit is not None and self._limit.limit not in (0, seen.limit):
                seen = None  # of another, stricter limit than the answers name
            self._learn(seen, reservation, now)
            if refused:
                self._record_refusal(reservation, now, (limits.wait if limits is not None else None) or 0.0)
            elif self._leases is not None:
                self._leases.accept(reservation.sent_at)
            else:
                self._discovered = self._discovered.accept(reservation.sent_at)

    def pause(self, seconds: float) -> None:
        """Let no call pass for that long; a shorter pause never ends a longer one."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def use(self, group: str) -> GroupUse:
        """Return what was used so far.

        Args:
            group: Name of the endpoint group.
        """
        with self._lock:
            seconds = self._clock.monotonic() - self._began
            limit, window = (0, 0.0) if self._limit is None else (self._limit.limit, self._limit.length)
            return GroupUse.over_time(group, self._answers, limit=limit, window=window, seconds=seconds)

    def close(self) -> None:
        """Give back what was leased and not used."""
        if self._leases is not None:
            self._leases.close()

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

    def _reservation(self, now: float) -> Reservation:
        calls = self._calls
        calls.in_flight += 1
        if self._leases is None and self._discovered.counts:
            self._discovered = self._discovered.record_send(now, self._discovered.gap(self._share), share=self._share)
        if self._limit is None:
            return Reservation(now, 0)
        calls.sent += 1
        calls.last_sent = now
        self._limit = self._limit.record_send(now)
        return Reservation(now, self._limit.number)

    def _record_refusal(self, reservation: Reservation, now: float, wait: float) -> None:
        """Pause all threads; where no answer has named a limit, learn from the refusal.

        Where one has, a refusal that it does not explain is of another limit: obeyed, not learned from.
        """
        self._paused_until = max(self._paused_until, now + wait)
        if self._limit is not None:
            self._limit = self._limit.record_refusal(now, wait)
        elif self._leases is not None:
            self._leases.record_refusal(ObservedRefusal(reservation.sent_at, now, wait))
        else:
            self._discovered = self._discovered.record_refusal(reservation.sent_at, now, wait)

    def _learn(self, seen: Observation | None, reservation: Reservation, now: float) -> None:
        if seen is not None:
            limit = self._limit
            if limit is None or limit.contradicted:
                limit = self._choose()
            self._limit = limit.observe(seen, self._calls)
        elif self._limit is not None:
            self._limit = self._limit.record_unanswered(now, reservation.window)

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
    return Observation(reservation.sent_at, now, reservation.window, limits.limit, limits.remaining, limits.reset)
