"""Apply the vendor's rate limits to one session's calls: a pacer for each endpoint group, and one for the day."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_crm.budget.lease import LeasingPacer
from airflow_provider_crm.budget.pacer import Pacer, Reservation
from airflow_provider_crm.budget.stated import StatedLimit
from airflow_provider_crm.client.daily_limit import DailyLimit
from airflow_provider_crm.client.passage import Passage
from airflow_provider_crm.client.used_up import used_up_text
from airflow_provider_crm.exceptions import CrmError, RateLimitedError, TransientError

if TYPE_CHECKING:
    from airflow_provider_crm.budget.shared_budget import Budget
    from airflow_provider_crm.budget.usage import GroupUse
    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.client.retry import RetryRules
    from airflow_provider_crm.client.waiting import Waiting

log = logging.getLogger(__name__)

# Name of the budget of the day, which all endpoint groups of a key share.
_DAY = "(day)"
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
        # With a store it is there until an answer names no daily limit, as other workers may know one; without a store,
        # from the first answer that names one. Where a vendor has none, it costs a call nothing.
        self._day = None if budget.store is None else self._daily_limit()

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
        pacer, day = self._pacer(group), self._day
        with self._waiting.for_limit():
            of_day = None if day is None else self._reservation(day, started, cost)
            try:
                reservation = self._reservation(pacer, started, cost)
            except CrmError:
                if day is not None and of_day is not None:
                    day.cancel(of_day)
                raise
        passage = Passage()
        try:
            yield passage
        finally:
            if passage.sent:
                by_day = self._record_day(day, of_day, passage, cost)
                limits = None if passage.limits is None else [one for one in passage.limits if not one.is_daily]
                refused = passage.refused and not by_day
                passage.own_wait = pacer.record_answer(reservation, limits, refused=refused)
            else:
                pacer.cancel(reservation)
                if day is not None and of_day is not None:
                    day.cancel(of_day)

    def used(self) -> tuple[GroupUse, ...]:
        """Return what was used so far, by endpoint group."""
        with self._lock:
            pacers = dict(self._pacers)
        day = None if self._day is None else self._day.use()
        return tuple(replace(pacer.use(group), day=day) for group, pacer in pacers.items())

    def close(self) -> None:
        """Give back the leased calls that were not used."""
        of_day = {} if self._day is None else {_DAY: self._day}
        for group, pacer in (self._pacers | of_day).items():
            try:
                pacer.close()
            except TransientError as err:
                log.warning("Unused calls of %r are free again only when their window ends: %s", group, err)

    def _pacer(self, group: str) -> Pacer | LeasingPacer:
        with self._lock:
            if group not in self._pacers:
                self._pacers[group] = self._new_pacer(group, self._stated(group))
            return self._pacers[group]

    def _new_pacer(self, group: str, stated: StatedLimit | None) -> Pacer | LeasingPacer:
        share, daily_share, store = self._budget.share, self._budget.daily_share, self._budget.store
        if store is None:
            return Pacer(self._clock, share=share, daily_share=daily_share, stated=stated)
        name = self._account.budget_name(group)
        return LeasingPacer(self._clock, store, name, share=share, daily_share=daily_share, stated=stated)

    def _stated(self, group: str) -> StatedLimit | None:
        """Return the limit from which to start: the vendor's own for this group, else that of the connection."""
        stated = self._account.vendor.stated_limits.get(group)
        if stated is None or stated.limit is None or stated.length is None:
            return self._account.stated
        return StatedLimit(stated.limit, round(stated.length), is_documented=True)

    def _daily_limit(self) -> DailyLimit:
        return DailyLimit(self._new_pacer(_DAY, None), self._budget.daily_share, self._clock)

    def _record_day(self, day: DailyLimit | None, of_day: Reservation | None, passage: Passage, cost: int) -> bool:
        """Let the limit of the day learn from an answer; return whether it is the reason of a refusal."""
        shown = None if passage.limits is None else [one for one in passage.limits if one.is_daily]
        by_day = passage.refused and any(one.wait is not None for one in shown or ())
        if day is None and shown:
            with self._lock:
                day = self._day = self._day or self._daily_limit()
            acquired = day.acquire(cost)
            of_day = acquired if isinstance(acquired, Reservation) else None
        if day is not None and of_day is not None:
            day.record_answer(of_day, shown, refused=by_day)
        if self._day is not None and passage.limits is not None and not self._day.is_known:
            self._day = None
        return by_day

    def _reservation(self, pacer: Pacer | LeasingPacer | DailyLimit, started: float, cost: int) -> Reservation:
        while not isinstance(wait := pacer.acquire(cost), Reservation):
            if not self._retry.allows_wait(wait, self._clock.monotonic() - started):
                vendor = self._account.vendor
                day = pacer.known() if isinstance(pacer, DailyLimit) else None
                msg = used_up_text(vendor.display_name, wait, self._clock.now(), day)
                raise RateLimitedError(msg, vendor=vendor.name, code="BUDGET_USED_UP", retry_after=wait)
            if wait > 0:
                self._clock.sleep(max(wait, _SHORTEST_SLEEP))
        return wait
