"""Pace calls so that the vendor's rate limits are used and never exceeded.

A `Pacer` holds the present `Pace` of one key and endpoint group, and replaces it by the next one at each call and
answer. Where workers share a budget, the pace is in the database, and the pacer leases calls from it, see `lease`.

Calls may cost several units of a limit. A call that finds too few left waits, and cheaper ones use up the rest; once
the limit is renewed they leave it room, so that it never waits for ever.
"""

from __future__ import annotations

import datetime as dt
import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_crm.budget.call_answer import CallAnswer
from airflow_provider_crm.budget.pace import Pace
from airflow_provider_crm.budget.usage import DayUse, GroupUse
from airflow_provider_crm.budget.waiting_calls import WaitingCalls

if TYPE_CHECKING:
    from airflow_provider_crm.budget.stated import StatedLimit
    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.vendors.limits import Limits

# Units of calls whose answers leave ample room, and are looked at together: until then these count as on their way.
_MOST_AT_ONCE = 24


class Reservation(NamedTuple):
    """Permission for one call.

    Attributes:
        sent_at: Monotonic seconds; the call leaves then or later.
        cost: Units of the limit that it costs.
    """

    sent_at: float
    cost: int = 1


class CallCount:
    """The calls of one worker, for its report; not safe for threads.

    Args:
        began: Monotonic seconds of the first one.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._calls = self._units = 0

    def add(self, cost: int) -> None:
        """Count a call that was sent."""
        self._calls += 1
        self._units += cost

    def use(self, group: str, pace: Pace, now: float, wall_clock: dt.datetime) -> GroupUse:
        """Return what was used so far of the limits of a group.

        Args:
            group: Its name.
            pace: What is known of its limits.
            now: The time by which the pace counts.
            wall_clock: The same moment, aware.
        """
        burst = pace.burst()
        limit, window = (0, 0.0) if burst is None else (burst.units, burst.length)
        use = GroupUse.over_time(group, self._calls, limit=limit, window=window, seconds=now - self._began)
        kind = ("refusals" if pace.discovered.is_known else None) if burst is None else burst.kind or None
        cost = self._units if self._units != self._calls else None
        return replace(use, cost=cost, kind=kind, day=self._day(pace, now, wall_clock))

    def _day(self, pace: Pace, now: float, wall_clock: dt.datetime) -> DayUse | None:
        day = pace.day()
        if day is None:
            return None
        ends_in = day.ends_before - now
        ends_at = (wall_clock + dt.timedelta(seconds=ends_in)).isoformat() if math.isfinite(ends_in) else None
        return DayUse(day.units, self._units, day.remaining, ends_at, day.share)


class Pacer:
    """The pace of the calls of one key and endpoint group; safe for many threads, and never sleeps.

    Args:
        clock: Time.
        share: Part of the vendor's limit that may be used.
        daily_share: Part of a daily limit that may be used.
        stated: What the connection says about the limit, or None.
    """

    def __init__(
        self, clock: Clock, *, share: float = 1.0, daily_share: float = 0.5, stated: StatedLimit | None = None
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._pace = Pace.begin(share, daily_share, stated)
        self._ample: CallAnswer | None = None
        self._waiting = WaitingCalls()
        self._count = CallCount(clock.monotonic())

    def acquire(self, cost: int = 1) -> Reservation | float:
        """Return a reservation for a call that leaves now, or else the seconds after which to ask again.

        Args:
            cost: Units of the limit that the call costs.

        Raises:
            TransientError: The store of a shared budget cannot be used.
        """
        with self._lock:
            now = self._clock.monotonic()
            ahead = self._waiting.ahead(now, cost)
            pace = self._pace.at(now)
            wait = pace.wait(now, cost, ahead)
            if self._ample is not None and (wait > 0 or self._ample.is_old(now)):
                self._learn(self._ample)
                self._ample = None
                pace = self._pace.at(now)
                wait = pace.wait(now, cost, ahead)
            if wait > 0:
                self._pace = pace
                return self._waiting.add(now, wait, cost, ahead)
            self._waiting.remove(cost)
            self._pace = pace.sent(now, cost)
            return Reservation(now, cost)

    def cancel(self, reservation: Reservation) -> None:
        """Take a reservation back: its call was not sent."""
        with self._lock:
            self._pace = self._pace.cancelled(reservation.cost)

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
            answer = CallAnswer(sent_at, now, cost, limits, refused)
            if self._ample is not None:
                if answer.goes_with(self._ample) and self._ample.cost < _MOST_AT_ONCE:
                    self._ample = answer.with_earlier(self._ample)
                    return 0.0
                self._learn(self._ample)
                self._ample = None
            elif answer.is_ample and self._pace.limits:
                self._ample = answer
                return 0.0
            wait = self._learn(answer)
            return wait if any(one.wait for one in limits or ()) else wait * (0.5 + self._clock.jitter() / 2)

    def use(self, group: str) -> GroupUse:
        """Return what was used so far.

        Args:
            group: Name of the endpoint group.
        """
        with self._lock:
            return self._count.use(group, self._pace, self._clock.monotonic(), self._clock.now())

    def _learn(self, answer: CallAnswer) -> float:
        sent_at, received_at, cost, limits, refused = answer
        self._pace, wait = self._pace.at(received_at).answered(sent_at, received_at, cost, limits, refused=refused)
        return wait

    def close(self) -> None:
        """Give back what was leased and not used."""
