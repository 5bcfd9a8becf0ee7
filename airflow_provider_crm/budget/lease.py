"""Pace one worker's calls by a budget that it shares with others: it leases them in batches.

As long as nothing bounds the calls, the store is asked every few seconds. From the first answer that shows a limit, or
the first refusal, calls are leased: as many at once as the worker uses up in time, and it gives the others back.
"""

from __future__ import annotations

import math
import threading
import uuid
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_crm.budget.call_answer import CallAnswer
from airflow_provider_crm.budget.limit_state import POLL
from airflow_provider_crm.budget.pace import Pace
from airflow_provider_crm.budget.pacer import CallCount, Reservation
from airflow_provider_crm.budget.shared_budget import LeaseRequest
from airflow_provider_crm.budget.waiting_calls import WaitingCalls

if TYPE_CHECKING:
    from airflow_provider_crm.budget.shared_budget import SharedBudget
    from airflow_provider_crm.budget.stated import StatedLimit
    from airflow_provider_crm.budget.usage import GroupUse
    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.vendors.limits import Limits

_LARGEST_BATCH = 64
# Seconds that a refused call waits where the store has yet to find out whether a limit was the reason.
_OWN_WAIT = 0.25


class LeasingPacer:
    """The pace of one worker's calls of one key and endpoint group; safe for many threads, and never sleeps.

    Args:
        clock: Time.
        store: Shared with other workers.
        name: Name of the key and endpoint group, the same for all workers.
        share: Part of the vendor's limit that all workers together may have used.
        daily_share: The same of a daily limit.
        stated: What the connection says about the limit, or None.
    """

    def __init__(
        self,
        clock: Clock,
        store: SharedBudget,
        name: str,
        *,
        share: float = 1.0,
        daily_share: float = 0.5,
        stated: StatedLimit | None = None,
    ) -> None:
        self._clock = clock
        self._store = store
        self._name = name
        self._worker = uuid.uuid4().hex
        self._begin = self._pace = Pace.begin(share, daily_share, stated)
        self._lock = threading.Lock()
        self._waiting = WaitingCalls()
        self._count = CallCount(clock.now().timestamp())
        self._leased: deque[tuple[float, int]] = deque()
        self._leased_until = self._unbound_until = self._ask_at = -math.inf
        self._offset: float | None = None
        self._in_flight = 0
        self._answers: list[CallAnswer] = []
        # Calls that were accepted while nothing bounded them: how many, and when the first of them was sent.
        self._silent_units, self._silent_from = 0, 0.0
        self._batch = 1
        self._asking = self._has_news = False

    def acquire(self, cost: int = 1) -> Reservation | float:
        """Return a reservation for a call that leaves now, or else the seconds after which to ask again.

        Args:
            cost: Units of the limit that the call costs.

        Raises:
            TransientError: The store of the shared budget cannot be used.
        """
        with self._lock:
            now = self._clock.monotonic()
            got = self._take(now, cost)
            if got is not None:
                return got
            if self._asking:
                return POLL
            ahead = self._waiting.ahead(now, cost)
            if now < self._ask_at and not self._has_news:
                return self._waiting.add(now, self._ask_at - now, cost, ahead)
            request = self._request(now, cost, ahead)
        try:
            lease = self._store.lease(self._name, request)
        except BaseException:
            with self._lock:
                self._asking = False
                self._answers[:0] = request.answers
            raise
        with self._lock:
            now = self._clock.monotonic()
            self._asking = False
            self._pace, self._offset = lease.pace, lease.offset
            self._leased.extend((moment, cost) for moment in lease.moments)
            self._leased_until, self._unbound_until = lease.until, lease.unbound_until
            self._ask_at = now + lease.wait
            got = self._take(now, cost)
            return self._waiting.add(now, max(lease.wait, POLL), cost, ahead) if got is None else got

    def cancel(self, reservation: Reservation) -> None:
        """Take a reservation back: its call was not sent."""
        with self._lock:
            self._in_flight -= reservation.cost

    def record_answer(
        self, reservation: Reservation, limits: Sequence[Limits] | None, *, refused: bool = False
    ) -> float:
        """Learn from the answer to a call, or from its absence.

        Args:
            reservation: Its reservation.
            limits: The limits that the answer shows; None if there was no answer.
            refused: Whether a limit was the reason of a refusal (429).

        Returns:
            The seconds that only this call has to wait before it is tried again.
        """
        sent_at, cost = reservation
        with self._lock:
            now = self._clock.monotonic()
            self._count.add(cost)
            self._in_flight -= cost
            shows = any(one.is_sufficient for one in limits or ())
            if refused or (shows and now < self._unbound_until):
                self._unbound_until = -math.inf
                self._leased.clear()
                self._has_news = True
            if not refused and not shows and limits is not None and now < self._unbound_until:
                self._silent_from = self._silent_from if self._silent_units else sent_at
                self._silent_units += cost
                return 0.0
            self._note(CallAnswer(sent_at, now, cost, limits, refused))
            if not refused or any(one.is_sufficient and (one.remaining or 0) < cost for one in limits or ()):
                return 0.0  # a limit that is used up keeps all calls back
            named = max((one.wait for one in limits or () if one.wait), default=None)
            return _OWN_WAIT * (0.5 + self._clock.jitter() / 2) if named is None else named

    def use(self, group: str) -> GroupUse:
        """Return what was used so far.

        Args:
            group: Name of the endpoint group.
        """
        with self._lock:
            pace, now = self._pace, self._store_time()
            if not pace.limits:  # the answers that show one are not reported yet
                now = self._clock.monotonic()
                for sent_at, received_at, cost, limits, refused in self._answers:
                    pace, _ = pace.answered(sent_at, received_at, cost, limits, refused=refused)
            return self._count.use(group, pace, now, self._clock.now())

    def close(self) -> None:
        """Give back what was leased and not used, and report the last answers.

        Raises:
            TransientError: The store of the shared budget cannot be used.
        """
        with self._lock:
            if not self._leased and not self._answers:
                return
            self._leased.clear()
            request = self._request(self._clock.monotonic(), 1, 0, wants=0)
        self._store.lease(self._name, request)

    def _note(self, answer: CallAnswer) -> None:
        """Keep an answer for the next report, together with the one before where that says as much."""
        if self._answers and answer.goes_with(self._answers[-1]):
            answer = answer.with_earlier(self._answers.pop())
        self._answers.append(answer)

    def _take(self, now: float, cost: int) -> Reservation | float | None:
        """Use leased units, or return the seconds until they may leave; None if too few are leased."""
        if now < self._unbound_until:
            return self._reserved(now, cost)
        if self._leased and now > self._leased_until:
            self._leased.clear()
            self._batch = max(self._batch // 2, 1)
        if sum(units for _, units in self._leased) < cost:
            return None
        moment, units = now, 0
        for at, leased in self._leased:
            moment, units = max(moment, at), units + leased
            if units >= cost:
                break
        if moment > now:
            return moment - now
        left = units - cost
        while units > 0:
            units -= self._leased.popleft()[1]
        if left:
            self._leased.appendleft((now, left))
        return self._reserved(now, cost)

    def _reserved(self, now: float, cost: int) -> Reservation:
        self._waiting.remove(cost)
        self._in_flight += cost
        return Reservation(now, cost)

    def _request(self, now: float, cost: int, ahead: int, wants: int | None = None) -> LeaseRequest:
        leased = sum(units for _, units in self._leased)
        if not self._leased:
            self._batch = min(2 * self._batch, _LARGEST_BATCH)
        if self._silent_units:
            self._answers.insert(0, CallAnswer(self._silent_from, now, self._silent_units, (), refused=False))
            self._silent_units = 0
        answers, self._answers = tuple(self._answers), []
        self._asking, self._has_news = True, False
        return LeaseRequest(
            self._worker,
            self._begin,
            answers,
            in_flight=self._in_flight + leased,
            wants=self._batch * cost if wants is None else wants,
            cost=cost,
            ahead=ahead,
            at=-math.inf if self._offset is None else self._store_time(),
        )

    def _store_time(self) -> float:
        """Return the time by which the pace counts: the store's, or this machine's before the first lease."""
        return self._clock.now().timestamp() if self._offset is None else self._clock.monotonic() + self._offset
