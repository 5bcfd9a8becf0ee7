"""One worker's pacer as the proving ground uses it: all that depends on the pacer's interface is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_crm.budget.lease import LeasingPacer
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
        self._pacer: Pacer | LeasingPacer
        if store is None:
            self._pacer = Pacer(clock, share=share, daily_share=daily_share, stated=stated)
        else:
            self._pacer = LeasingPacer(clock, store, name, share=share, daily_share=daily_share, stated=stated)

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
        return self._pacer.use("").kind or "unknown"
