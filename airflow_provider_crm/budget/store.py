"""The budget that workers on one account share, as rows of the ledger's database: one per key and endpoint group.

Workers take calls in batches, so that the store is asked some times per window and not for each call: an eighth of what
is free, so that the batches get smaller as the window is used up, and none is left over in one worker's hands. What a
worker that died had taken is free again when the window ends, so that batches of a long window are small.

Where calls are spaced, because the limit is a bucket or was found from refusals, a batch is the next moments at which
anybody may call, some tenths of a second of them; what one worker learns from a refusal holds for all.

Why a table of its own: the limiters of kept libraries (pyrate-limiter among them) are built with fixed rates, over
windows that slide or begin with the first call. Here the limit is learned at run time, the window begins and ends with
the vendor's own, calls of other programs count, and what was taken and not used is given back.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_crm.budget.lease import Lease
from airflow_provider_crm.budget.rate import DiscoveredRate
from airflow_provider_crm.database.schema import budgets

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.budget.lease import LeaseRequest
    from airflow_provider_crm.database.database import Database

_BATCHES = 8
_SMALLEST_BATCH = 1 / 40
_ASK_AGAIN = 0.01
# Windows of more than that many seconds are granted in the smallest batches.
_LONG_WINDOW = 60.0
# Seconds of spaced calls, or of what fills a bucket, that are granted at once, and calls while nothing bounds them.
_SPACED_BATCH, _BUCKET_BATCH = 0.1, 0.3
_UNBOUNDED_BATCH = 4
# Seconds after which what refusals told is forgotten if nobody called.
_FORGOTTEN_AFTER = 3600.0


@dataclass(frozen=True, slots=True)
class SharedWindow:
    """What all workers together know of the present window; times are the database's epoch seconds.

    Attributes:
        number: Of the window, counted by the store.
        limit: Calls per window.
        granted: Calls given to workers, and calls that were on their way when the window began.
        counted: Calls that the vendor has counted, as far as a worker was told.
        external_calls: Calls of other programs that are expected in the window.
        opened_at: When the first worker asked in it.
        ends_at: When it ends at the latest; None until an answer tells.
        length: Seconds that windows last.
        found: What refusals have told.
    """

    number: int = 0
    limit: int = 0
    granted: int = 0
    counted: int = 0
    external_calls: int = 0
    opened_at: float = 0.0
    ends_at: float | None = None
    length: float = 0.0
    found: DiscoveredRate = field(default_factory=DiscoveredRate)

    def informed(self, ask: LeaseRequest, now: float) -> SharedWindow:
        """The window after what a worker knows; the next one if it is over."""
        # A worker that has not called in this window may know a limit of yesterday.
        limit = ask.limit if ask.number == self.number or not self.limit else self.limit
        window = replace(self, limit=limit or self.limit, length=max(self.length, ask.length))
        if ask.number == self.number:
            ends = [self.ends_at, None if ask.ends_in is None else now + ask.ends_in]
            window = replace(
                window,
                granted=max(self.granted - ask.returned, 0),
                counted=max(self.counted, ask.counted),
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
        """When the window is over; not later than its length from now, whatever became of the clock since."""
        if self.ends_at is not None:
            return min(self.ends_at, now + self.length) if self.length else self.ends_at
        # A window of which no answer ever told the end, because its workers died, is over after its length; which may
        # be known from an answer in the middle of a window only.
        return min(self.opened_at, now) + 2 * self.length if self.length else None

    def learned(self, ask: LeaseRequest, now: float) -> DiscoveredRate:
        """What refusals have told, with what this worker has to tell."""
        found = self.found
        if now - found.next_at > _FORGOTTEN_AFTER:
            found = DiscoveredRate.stated(ask.stated) if ask.stated and not ask.limit else DiscoveredRate()
        if ask.accepted:
            found = found.accept(now - ask.accepted_from, ask.accepted)
        if (refusal := ask.refusal) is not None:
            found = found.record_refusal(now - refusal.sent_at, now - refusal.at, refusal.wait)
        return found

    def free(self, share: float) -> int:
        """Calls that may still be granted."""
        others = max(self.external_calls, self.counted - self.granted)
        allowed = min(math.floor(share * self.limit + 1e-9), self.limit - others)
        return max(allowed - self.granted, 0)

    def batch(self, share: float) -> int:
        """Calls to grant at once."""
        free, smallest = self.free(share), math.ceil(self.limit * _SMALLEST_BATCH)
        return min(free, smallest if self.length > _LONG_WINDOW else max(smallest, free // _BATCHES))


class BudgetStore:
    """The shared budgets in one database; safe for many threads, processes and machines.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(self, name: str, ask: LeaseRequest) -> Lease:
        """Tell the store what a worker knows, and take a batch of calls, in one transaction.

        Raises:
            TransientError: With code `LEDGER`, if the database cannot be used.
        """
        with self._database.transaction() as connection:
            before = self._locked(connection, name)
            now, read_at = self._database.now(connection).timestamp(), self._database.clock.monotonic()
            after, calls, begin, gap = _granted(before.informed(ask, now), ask, now)
            if after != before:
                self._store(connection, name, after)
        end = after.end(now) if after.ends_at is not None else None
        wait = 0.0 if calls else max(_ASK_AGAIN if end is None else end - now, 0.001)
        return Lease(
            calls,
            after.limit,
            after.number,
            is_new=after.number != ask.number,
            ends_at=None if end is None else read_at + end - now,
            wait=wait,
            begins_at=read_at + begin - now,
            gap=gap,
        )

    def _locked(self, connection: Connection, name: str) -> SharedWindow:
        """The row of that name, in the hands of this transaction alone."""
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


def _granted(window: SharedWindow, ask: LeaseRequest, now: float) -> tuple[SharedWindow, int, float, float]:
    """The window after a worker got its calls; how many these are, when the first may leave, and seconds between."""
    found = window.learned(ask, now)
    carried = ask.in_flight if window.number != ask.number else 0
    window = replace(window, granted=window.granted + carried, found=found)
    # A bucket bears it if the calls of a batch leave at once.
    spaced = found.gap(ask.share)
    gap = max(spaced, 1 / (ask.share * ask.rate) if ask.rate else 0.0)
    if not ask.wants_calls:
        return window, 0, now, spaced
    windowed = bool(window.limit) and not ask.rate
    calls = window.batch(ask.share) if windowed else _UNBOUNDED_BATCH
    if gap:
        calls = min(calls, max(int((_SPACED_BATCH if spaced else _BUCKET_BATCH) / gap), 1))
    if windowed or ask.number is None:  # a worker's first call tells which limit it is
        calls = calls if windowed else 1
        window = replace(window, granted=window.granted + calls)
    sent = found.record_send(now, gap, calls, share=ask.share)
    return replace(window, found=sent), calls, found.first_at(now), spaced


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
        "discovered": json.dumps(window.found._asdict()),
    }
