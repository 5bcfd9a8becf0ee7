"""Keep the limit of a day, which counts the calls of all endpoint groups of a key together."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_crm.budget.usage import DayUse

if TYPE_CHECKING:
    from airflow_provider_crm.budget.lease import LeasingPacer
    from airflow_provider_crm.budget.pacer import Pacer, Reservation
    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.vendors.limits import Limits


class DailyLimit:
    """The limit of a day of one key; safe for many threads.

    Args:
        pacer: Paces calls by this limit alone.
        share: Part of it that may be used.
        clock: Time.
    """

    def __init__(self, pacer: Pacer | LeasingPacer, share: float, clock: Clock) -> None:
        self._pacer = pacer
        self._share = share
        self._clock = clock
        self._lock = threading.Lock()
        self._use: DayUse | None = None

    @property
    def is_known(self) -> bool:
        """Whether an answer to this worker, or to one that shares the budget, has named the limit."""
        return self.known() is not None

    def acquire(self, cost: int) -> Reservation | float:
        """Return a reservation for a call that leaves now, or else the seconds after which to ask again."""
        return self._pacer.acquire(cost)

    def cancel(self, reservation: Reservation) -> None:
        """Take a reservation back: its call was not sent."""
        self._pacer.cancel(reservation)

    def record_answer(self, reservation: Reservation, limits: Sequence[Limits] | None, *, refused: bool) -> None:
        """Learn from the answer to a call, or from its absence.

        Args:
            reservation: Its reservation.
            limits: The daily limits that the answer shows; None if there was no answer.
            refused: Whether one of them was the reason of a refusal.
        """
        self._pacer.record_answer(reservation, limits, refused=refused)
        units = 0 if refused else reservation.cost
        now = self._clock.now()
        with self._lock:
            shown = next((_use_of(one, units, self._share, now) for one in limits or () if one.limit), None)
            if shown is not None:
                self._use = shown.after(self._use)
            elif self._use is not None:
                self._use = replace(self._use, used=self._use.used + units)

    def use(self) -> DayUse | None:
        """Return the use of the limit by this worker's calls; None where no answer to it has named the limit."""
        with self._lock:
            return self._use

    def known(self) -> DayUse | None:
        """Return the same, or what the workers know that share the budget."""
        use = self.use()
        return self._pacer.use("").day if use is None else use

    def close(self) -> None:
        """Give back what was leased and not used.

        Raises:
            TransientError: The store of the shared budget cannot be used.
        """
        self._pacer.close()


def _use_of(shown: Limits, units: int, share: float, now: dt.datetime) -> DayUse:
    """Return the use by one call, by its answer."""
    end = None if shown.reset is None else _second(now + dt.timedelta(seconds=shown.reset))
    return DayUse(shown.limit or 0, units, shown.remaining, end, share)


def _second(moment: dt.datetime) -> str:
    """Return the nearest whole second, in UTC."""
    nearest = (moment + dt.timedelta(seconds=0.5)).astimezone(dt.UTC).replace(microsecond=0)
    return nearest.isoformat().replace("+00:00", "Z")
