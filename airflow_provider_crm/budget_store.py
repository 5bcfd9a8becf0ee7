"""The budget that workers on one account share, as rows of the ledger's database: one per key and endpoint group.

Workers take calls in batches, so that the store is asked some times per window and not for each call: an eighth of what
is free, so that the batches get smaller as the window is used up, and none is left over in one worker's hands.

Why a table of its own: the limiters of kept libraries (pyrate-limiter among them) are built with fixed rates, over
windows that slide or begin with the first call. Here the limit is learned at run time, the window begins and ends with
the vendor's own, calls of other programs count, and what was taken and not used is given back.
"""

from __future__ import annotations

import datetime as dt
import math
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from airflow_provider_crm.budget_lease import Grant
from airflow_provider_crm.ledger import ledger_errors
from airflow_provider_crm.ledger_schema import budgets, migrate

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

    from airflow_provider_crm.budget import Clock
    from airflow_provider_crm.budget_lease import Ask

_BATCHES = 8
_SMALLEST_BATCH = 1 / 40
_ASK_AGAIN = 0.01


@dataclass(frozen=True, slots=True)
class SharedWindow:
    """What all workers together know of the present window; times are the database's epoch seconds.

    Attributes:
        number: Of the window, counted by the store.
        limit: Calls per window.
        granted: Calls given to workers, and calls that were on their way when the window began.
        counted: Calls that the vendor has counted, as far as a worker was told.
        strangers: Calls of other programs that are expected in the window.
        opened_at: When the first worker asked in it.
        ends_at: When it ends at the latest; None until an answer tells.
        length: Seconds that windows last.
    """

    number: int = 0
    limit: int = 0
    granted: int = 0
    counted: int = 0
    strangers: int = 0
    opened_at: float = 0.0
    ends_at: float | None = None
    length: float = 0.0

    def informed(self, ask: Ask, now: float) -> SharedWindow:
        """The window after what a worker knows; the next one if it is over."""
        window = replace(self, limit=ask.limit or self.limit, length=max(self.length, ask.length))
        if ask.number == self.number:
            ends = [self.ends_at, None if ask.ends_in is None else now + ask.ends_in]
            window = replace(
                window,
                granted=max(self.granted - ask.returned, 0),
                counted=max(self.counted, ask.counted),
                ends_at=min((one for one in ends if one is not None), default=None),
            )
        # A window of which no answer ever told the end, because its workers died, is over after its length; which may
        # be known from an answer in the middle of a window only.
        end = window.ends_at
        if end is None and window.length:
            end = window.opened_at + 2 * window.length
        if end is None or now < end:
            return window
        return replace(
            window,
            number=window.number + 1,
            granted=0,
            counted=0,
            strangers=max(window.counted - window.granted, window.strangers // 2),
            opened_at=now,
            ends_at=None,
        )

    def free(self, share: float) -> int:
        """Calls that may still be granted."""
        others = max(self.strangers, self.counted - self.granted)
        allowed = min(math.floor(share * self.limit + 1e-9), self.limit - others)
        return max(allowed - self.granted, 0)

    def batch(self, share: float) -> int:
        """Calls to grant at once."""
        free = self.free(share)
        return min(free, max(math.ceil(self.limit * _SMALLEST_BATCH), free // _BATCHES))


class BudgetStore:
    """The shared budgets in one database; safe for many threads, processes and machines.

    Args:
        engine: The ledger's database, prepared by `ledger_schema.prepare_engine`.
        clock: Time.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._lock = threading.Lock()
        self._ready = False

    def take(self, name: str, ask: Ask) -> Grant:
        """Tell the store what a worker knows, and take a batch of calls, in one transaction.

        Raises:
            TransientError: With code `LEDGER`, if the database cannot be used.
        """
        self._prepare()
        with ledger_errors(self._engine), self._engine.begin() as connection:
            before = self._locked(connection, name)
            now, read_at = self._now(connection), self._clock.monotonic()
            window = before.informed(ask, now)
            anew = window.number != ask.number
            carried = ask.in_flight if anew else 0
            window = replace(window, granted=window.granted + carried)
            calls = window.batch(ask.share) if ask.asks else 0
            # While nobody knows the limit, each worker finds it out by a call of its own.
            found_out = 1 if ask.asks and not window.limit else 0
            window = replace(window, granted=window.granted + calls + found_out)
            if window != before:
                self._store(connection, name, window)
        ends_in = None if window.ends_at is None else window.ends_at - now
        wait = 0.0 if calls else max(_ASK_AGAIN if ends_in is None else ends_in, 0.001)
        return Grant(calls, window.limit, window.number, anew, None if ends_in is None else read_at + ends_in, wait)

    def _prepare(self) -> None:
        with self._lock:
            if not self._ready:
                with ledger_errors(self._engine):
                    migrate(self._engine)
                self._ready = True

    def _locked(self, connection: Connection, name: str) -> SharedWindow:
        """The row of that name, in the hands of this transaction alone."""
        columns = [
            budgets.c.number,
            budgets.c.call_limit,
            budgets.c.granted,
            budgets.c.counted,
            budgets.c.strangers,
            budgets.c.opened_at,
            budgets.c.ends_at,
            budgets.c.length,
        ]
        query = sa.select(*columns).where(budgets.c.name == name).with_for_update()
        row = connection.execute(query).one_or_none()
        if row is None:
            insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(budgets)
            connection.execute(insert.values(_values(name, SharedWindow())).on_conflict_do_nothing())
            row = connection.execute(query).one()
        return SharedWindow(
            row.number,
            row.call_limit,
            row.granted,
            row.counted,
            row.strangers,
            row.opened_at.timestamp(),
            None if row.ends_at is None else row.ends_at.timestamp(),
            row.length,
        )

    def _now(self, connection: Connection) -> float:
        """Epoch seconds of the one clock that all workers share: the database's; a file has this machine's."""
        if connection.dialect.name == "postgresql":
            return float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
        return self._clock.now().timestamp()

    def _store(self, connection: Connection, name: str, window: SharedWindow) -> None:
        connection.execute(sa.update(budgets).where(budgets.c.name == name).values(_values(name, window)))


def _values(name: str, window: SharedWindow) -> dict[str, object]:
    return {
        "name": name,
        "number": window.number,
        "call_limit": window.limit,
        "granted": window.granted,
        "counted": window.counted,
        "strangers": window.strangers,
        "opened_at": dt.datetime.fromtimestamp(window.opened_at, dt.UTC),
        "ends_at": None if window.ends_at is None else dt.datetime.fromtimestamp(window.ends_at, dt.UTC),
        "length": window.length,
    }
