"""Share a budget among the workers on one account: one row of the ledger's database per key and endpoint group.

Workers lease calls in batches, so that they query the store a few times per window instead of once per call. A batch
is an eighth of the free calls: batches get smaller as the window is used up, and no worker is left with unused calls. A
worker that dies loses its batch until the window ends, so batches of a long window are small. Where a call costs
several units of the limit, units are leased, and at least as many as the call needs.

Where calls are spaced, because the limit is a bucket or was discovered from refusals, a batch is the next moments at
which calls may leave, for some tenths of a second. A refusal that one worker reports changes the pace of all.

The table replaces the limiters of existing libraries, such as pyrate-limiter. Those have fixed rates, over windows that
slide or begin with the first call. Here the limit is learned at run time, and a window begins and ends with the
vendor's own. Calls of other programs count, and unused calls are given back.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_crm.budget.rate import DiscoveredRate
from airflow_provider_crm.budget.shared_budget import Lease
from airflow_provider_crm.database.schema import budgets

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.budget.shared_budget import LeaseRequest
    from airflow_provider_crm.database.database import Database

_BATCHES = 8
_SMALLEST_BATCH = 1 / 40
_RETRY_SECONDS = 0.01
# Windows that last longer than this many seconds are leased in the smallest batches.
_LONG_WINDOW = 60.0
# Seconds of spaced calls, or of a bucket's refill, that one lease covers; and calls of a lease without any known limit.
_SPACED_BATCH, _BUCKET_BATCH = 0.1, 0.3
_UNBOUNDED_BATCH = 4
# Seconds without a call after which a discovered rate is forgotten.
_FORGOTTEN_AFTER = 3600.0


@dataclass(frozen=True, slots=True)
class SharedWindow:
    """The present window, as all workers together know it; times are the database's epoch seconds.

    Attributes:
        number: Number of the window, counted by the store.
        limit: Calls per window.
        granted: Calls leased to workers, and calls in flight when the window began.
        counted: Calls that the vendor has counted, by the answers that workers have reported.
        external_calls: Calls of other programs that are expected in the window.
        opened_at: When the first worker requested calls in it.
        ends_at: When it ends at the latest; None until an answer names its end.
        length: Seconds that windows last.
        discovered: The rate that refusals show.
    """

    number: int = 0
    limit: int = 0
    granted: int = 0
    counted: int = 0
    external_calls: int = 0
    opened_at: float = 0.0
    ends_at: float | None = None
    length: float = 0.0
    discovered: DiscoveredRate = field(default_factory=DiscoveredRate)

    def updated(self, request: LeaseRequest, now: float) -> SharedWindow:
        """Return the window with the knowledge of a request; the next window if this one is over."""
        # A worker that has not called in this window may report an outdated limit.
        limit = request.limit if request.number == self.number or not self.limit else self.limit
        window = replace(self, limit=limit or self.limit, length=max(self.length, request.length))
        if request.number == self.number:
            ends = [self.ends_at, None if request.ends_in is None else now + request.ends_in]
            window = replace(
                window,
                granted=max(self.granted - request.returned, 0),
                counted=max(self.counted, request.counted),
                ends_at=min((one for one in ends if one is not None), default=None),
            )
        if (end := window.end(now)) is None or now < end:
            return window
        return replace(
            window,
            number=window.number + 1,
            granted=0,
            counted=0,
            external_calls=max(window.counted - window.granted, window.external_calls // 2),
            opened_at=now,
            ends_at=None,
        )

    def end(self, now: float) -> float | None:
        """Return when the window is over: at most its length from now, even if the database's clock was set back."""
        if self.ends_at is not None:
            return min(self.ends_at, now + self.length) if self.length else self.ends_at
        # No answer named the end of this window, because its workers died. Twice its length is enough: the length may
        # be known only from an answer in the middle of a window.
        return min(self.opened_at, now) + 2 * self.length if self.length else None

    def discovered_rate(self, request: LeaseRequest, now: float) -> DiscoveredRate:
        """Return the discovered rate with the calls and the refusal that a request reports."""
        discovered = self.discovered
        if now - discovered.next_at > _FORGOTTEN_AFTER:
            discovered = (
                DiscoveredRate.stated(request.stated) if request.stated and not request.limit else DiscoveredRate()
            )
        if request.accepted:
            discovered = discovered.accept(now - request.accepted_from, request.accepted)
        if (refusal := request.refusal) is not None:
            discovered = discovered.record_refusal(now - refusal.sent_at, now - refusal.at, refusal.wait)
        return discovered

    def allowed(self, share: float) -> int:
        """Return the units of a whole window that may be leased."""
        others = max(self.external_calls, self.counted - self.granted)
        return min(math.floor(share * self.limit + 1e-9), self.limit - others)

    def free(self, share: float) -> int:
        """Return the units that may still be leased."""
        return max(self.allowed(share) - self.granted, 0)

    def batch(self, share: float, units: int = 1) -> int:
        """Return the units of one lease: as many as are needed, or none; more than are allowed if none is leased."""
        free, smallest = self.free(share), math.ceil(self.limit * _SMALLEST_BATCH)
        if units > free:
            return units if 0 < free == self.allowed(share) else 0
        return min(free, max(units, smallest if self.length > _LONG_WINDOW else max(smallest, free // _BATCHES)))


class BudgetStore:
    """The shared budgets in one database; safe for many threads, processes and machines.

    Args:
        database: Stores them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(self, name: str, request: LeaseRequest) -> Lease:
        """Record the knowledge of a worker, and lease a batch of calls to it, in one transaction.

        Raises:
            TransientError: With code `LEDGER`, if the database cannot be used.
        """
        with self._database.transaction() as connection:
            before = self._locked(connection, name)
            now, read_at = self._database.now(connection).timestamp(), self._database.clock.monotonic()
            after, calls, begin, gap = _with_grant(before.updated(request, now), request, now)
            if after != before:
                self._store(connection, name, after)
        end = after.end(now) if after.ends_at is not None else None
        wait = 0.0 if calls else max(_RETRY_SECONDS if end is None else end - now, 0.001)
        return Lease(
            calls,
            after.limit,
            after.number,
            is_new=after.number != request.number,
            ends_at=None if end is None else read_at + end - now,
            wait=wait,
            begins_at=read_at + begin - now,
            gap=gap,
        )

    def _locked(self, connection: Connection, name: str) -> SharedWindow:
        """Lock the row of that name, and return its window; create the row if there is none."""
        columns = [
            budgets.c.window_number,
            budgets.c.call_limit,
            budgets.c.granted,
            budgets.c.counted,
            budgets.c.external_calls,
            budgets.c.opened_at,
            budgets.c.ends_at,
            budgets.c.length,
            budgets.c.discovered,
        ]
        query = sa.select(*columns).where(budgets.c.name == name).with_for_update()
        row = connection.execute(query).one_or_none()
        if row is None:
            insert = self._database.insert(budgets)
            connection.execute(insert.values(_values(name, SharedWindow())).on_conflict_do_nothing())
            row = connection.execute(query).one()
        return SharedWindow(
            row.window_number,
            row.call_limit,
            row.granted,
            row.counted,
            row.external_calls,
            row.opened_at.timestamp(),
            None if row.ends_at is None else row.ends_at.timestamp(),
            row.length,
            DiscoveredRate(**json.loads(row.discovered)),
        )

    def _store(self, connection: Connection, name: str, window: SharedWindow) -> None:
        connection.execute(sa.update(budgets).where(budgets.c.name == name).values(_values(name, window)))


def _with_grant(window: SharedWindow, request: LeaseRequest, now: float) -> tuple[SharedWindow, int, float, float]:
    """Return the window after a grant, its number of calls, when the first may leave, and the seconds between them."""
    discovered = window.discovered_rate(request, now)
    carried = request.in_flight if window.number != request.number else 0
    window = replace(window, granted=window.granted + carried, discovered=discovered)
    # The calls of one batch may leave a bucket at once.
    spaced = discovered.gap(request.share)
    gap = max(spaced, 1 / (request.share * request.rate) if request.rate else 0.0)
    if not request.wants_calls:
        return window, 0, now, spaced
    windowed = bool(window.limit) and not request.rate
    calls = window.batch(request.share, request.units) if windowed else max(_UNBOUNDED_BATCH, request.units)
    if gap:
        calls = min(calls, max(int((_SPACED_BATCH if spaced else _BUCKET_BATCH) / gap), request.units))
    if windowed or request.number is None:  # a worker's first call shows the kind of limit
        calls = calls if windowed else request.units
        window = replace(window, granted=window.granted + calls)
    sent = discovered.record_send(now, gap, calls, share=request.share)
    return replace(window, discovered=sent), calls, discovered.first_at(now), spaced


def _values(name: str, window: SharedWindow) -> dict[str, object]:
    return {
        "name": name,
        "window_number": window.number,
        "call_limit": window.limit,
        "granted": window.granted,
        "counted": window.counted,
        "external_calls": window.external_calls,
        "opened_at": dt.datetime.fromtimestamp(window.opened_at, dt.UTC),
        "ends_at": None if window.ends_at is None else dt.datetime.fromtimestamp(window.ends_at, dt.UTC),
        "length": window.length,
        "discovered": json.dumps(window.discovered._asdict()),
    }
