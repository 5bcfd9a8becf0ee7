"""Apply the vendor's rate limits to one session's calls: a pacer for each endpoint group."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_crm.budget.lease import LeasingPacer
from airflow_provider_crm.budget.pacer import Pacer, Reservation
from airflow_provider_crm.client.passage import Passage
from airflow_provider_crm.client.used_up import used_up_text
from airflow_provider_crm.exceptions import RateLimitedError, TransientError

if TYPE_CHECKING:
    from airflow_provider_crm.budget.pacer import Budget
    from airflow_provider_crm.budget.usage import GroupUse
    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.client.retry import RetryRules
    from airflow_provider_crm.client.waiting import Waiting

log = logging.getLogger(__name__)

# A wait of less than a float's precision would never pass.
_SHORTEST_SLEEP = 0.001


class RateLimits:
    """The pacers of one session's calls; safe for many threads.

    Args:
        account: The account; calls are limited by its key.
        budget: How much of the limit may be used, and where it is shared.
        retry: How long a call may wait.
        waiting: Time, and the measure of waits.
    """

    def __init__(self, account: Account, budget: Budget, retry: RetryRules, waiting: Waiting) -> None:
        self._account = account
        self._budget = budget
        self._retry = retry
        self._waiting = waiting
        self._clock = waiting.clock
        self._lock = threading.Lock()
        self._pacers: dict[str, Pacer | LeasingPacer] = {}

    @contextmanager
    def passage(self, group: str, started: float, cost: int = 1) -> Iterator[Passage]:
        """Wait until a call may go, and report its result to its pacer, however the block ends.

        Args:
            group: The endpoint group of the call, see `Vendor.budget_group`.
            started: Monotonic seconds at which its first attempt began.
            cost: Units of the limit that it costs.

        Raises:
            RateLimitedError: The wait is longer than the retry rules allow.
            TransientError: The store of a shared budget cannot be used.
        """
        pacer = self._pacer(group)
        with self._waiting.for_limit():
            reservation = self._reservation(pacer, started, cost)
        passage = Passage()
        try:
            yield passage
        finally:
            if passage.sent:
                passage.own_wait = pacer.record_answer(reservation, passage.limits, refused=passage.refused)
            else:
                pacer.cancel(reservation)

    def used(self) -> tuple[GroupUse, ...]:
        """Return what was used so far, by endpoint group."""
        with self._lock:
            pacers = dict(self._pacers)
        return tuple(pacer.use(group) for group, pacer in pacers.items())

    def close(self) -> None:
        """Give back the leased calls that were not used."""
        for group, pacer in self._pacers.items():
            try:
                pacer.close()
            except TransientError as err:
                log.warning("Unused calls of %r are free again only when their window ends: %s", group, err)

    def _pacer(self, group: str) -> Pacer | LeasingPacer:
        with self._lock:
            if group not in self._pacers:
                share, store = self._budget.share, self._budget.store
                daily_share, stated = self._budget.daily_share, self._account.stated
                if store is None:
                    pacer: Pacer | LeasingPacer = Pacer(
                        self._clock, share=share, daily_share=daily_share, stated=stated
                    )
                else:
                    name = self._account.budget_name(group)
                    pacer = LeasingPacer(self._clock, store, name, share=share, daily_share=daily_share, stated=stated)
                self._pacers[group] = pacer
            return self._pacers[group]

    def _reservation(self, pacer: Pacer | LeasingPacer, started: float, cost: int) -> Reservation:
        while not isinstance(wait := pacer.acquire(cost), Reservation):
            if not self._retry.allows_wait(wait, self._clock.monotonic() - started):
                vendor = self._account.vendor
                day = pacer.use("").day if pacer.waits_for_day(cost) else None
                msg = used_up_text(vendor.display_name, wait, self._clock.now(), day)
                raise RateLimitedError(msg, vendor=vendor.name, code="BUDGET_USED_UP", retry_after=wait)
            if wait > 0:
                self._clock.sleep(max(wait, _SHORTEST_SLEEP))
        return wait
