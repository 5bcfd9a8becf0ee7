"""One worker's pacer as the proving ground uses it: all that depends on the pacer's interface is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_crm.budget.lease import Leases
from airflow_provider_crm.budget.pacer import Pacer, Reservation

if TYPE_CHECKING:
    from airflow_provider_crm.budget.shared_budget import SharedBudget
    from airflow_provider_crm.budget.stated import StatedLimit
    from airflow_provider_crm.clock import Clock

    from .limiters import VendorAnswer


class PacedClient:
    """The calls of one worker, paced.

    Args:
        clock: The worker's clock.
        share: Part of the limit that may be used.
        daily_share: Part of the limit of a day that may be used.
        stated: What the connection says about the limit.
        store: Where it is shared with other workers; None for a worker of its own.
        name: Name of the shared budget.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        share: float,
        daily_share: float,
        stated: StatedLimit | None,
        store: SharedBudget | None,
        name: str,
    ) -> None:
        del daily_share  # the pacer has none yet
        leases = None if store is None else Leases(store, name, share)
        self._pacer = Pacer(clock, share=share, stated=stated, leases=leases)

    def acquire(self, cost: int) -> Reservation | float:
        """Return a reservation, or the seconds after which to ask again."""
        return self._pacer.acquire(cost)

    def record_answer(self, reservation: Reservation, answer: VendorAnswer | None) -> float:
        """Learn from an answer, or from its absence; return the seconds that this call alone has to wait."""
        if answer is None:
            return self._pacer.record_answer(reservation, None)
        return self._pacer.record_answer(reservation, answer.limits, refused=not answer.accepted)

    @property
    def kind(self) -> str:
        """Return the kind of limit that the pacer takes this one for."""
        limit = self._pacer._limit
        sliding = " + SlidingLimit" if self._pacer._sliding is not None else ""
        return ("unknown" if limit is None else type(limit).__name__) + sliding
