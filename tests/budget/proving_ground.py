"""Workers, other programs and a limited vendor on a virtual clock: minutes of calls take less than a second.

Each thread works as in a run: it asks the pacer, waits as long as the pacer says and asks again; it sends its call; a
refused call is sent again by the same thread. A worker's first call goes alone, and the other threads begin when it is
answered.
"""

from __future__ import annotations

import datetime as dt
import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_crm.clock import Clock

from .paced_client import PacedClient

if TYPE_CHECKING:
    from airflow_provider_crm.budget.pacer import Reservation
    from airflow_provider_crm.budget.shared_budget import SharedBudget
    from airflow_provider_crm.budget.stated import StatedLimit

    from .limiters import LimitedVendor

START = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
OTHER_PROGRAM = -1
_SHORTEST_SLEEP = 0.001
_SLOW = 10


class Arrival(NamedTuple):
    """A call that arrived at the vendor.

    Attributes:
        at: Seconds on the vendor's clock.
        worker: Its number; `OTHER_PROGRAM` for a call that is none of ours.
        cost: Units of the call.
        accepted: Whether the vendor accepted it.
        waited: Seconds from when its thread asked for it until it left; 0 for a call that is none of ours.
    """

    at: float
    worker: int
    cost: int
    accepted: bool
    waited: float = 0.0


class ProvingGround:
    """One vendor, and the programs that call it.

    Args:
        vendor: Accepts and refuses calls.
        seed: Of all random numbers but the vendor's own.
        latency: Seconds of a call, there and back: shortest and longest, evenly spread.
        slow: Part of the calls that take ten times as long.
        lost: Part of the answers that do not come back.
    """

    def __init__(
        self,
        vendor: LimitedVendor,
        *,
        seed: int = 0,
        latency: tuple[float, float] = (0.01, 0.03),
        slow: float = 0.0,
        lost: float = 0.0,
    ) -> None:
        self.vendor = vendor
        self.now = 0.0
        self.arrivals: list[Arrival] = []
        self.clients: list[PacedClient] = []
        self.random = random.Random(seed)
        self._latency, self._slow, self._lost = latency, slow, lost
        self._wall_step = self._vendor_step = 0.0
        self._events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._order = itertools.count()

    def clock(self) -> Clock:
        """Return the clock of the workers' machine, which is also that of a store in a file."""
        return Clock(
            monotonic=lambda: self.now,
            now=lambda: START + dt.timedelta(seconds=self.now + self._wall_step),
            jitter=self.random.random,
        )

    def worker(
        self,
        *,
        threads: int = 8,
        share: float = 1.0,
        daily_share: float = 0.5,
        stated: StatedLimit | None = None,
        store: SharedBudget | None = None,
        name: str = "budget",
        begins: float = 0.0,
        costs: Iterator[int] | None = None,
        quiet: tuple[float, float] = (0.0, 0.0),
    ) -> PacedClient:
        """Add a worker.

        Args:
            threads: How many make calls.
            share: Part of the limit that it may use.
            daily_share: Part of the limit of a day that it may use.
            stated: What the connection says about the limit.
            store: Where the budget is shared.
            name: Name of the shared budget.
            begins: When it begins.
            costs: The cost of the next call of any thread; 1 by default.
            quiet: From when until when it has nothing to send.
        """
        client = PacedClient(self.clock(), share=share, daily_share=daily_share, stated=stated, store=store, name=name)
        thread = _Thread(len(self.clients), client, itertools.repeat(1) if costs is None else costs, quiet)
        self.clients.append(client)
        self._later(begins, self._first, thread, threads)
        return client

    def other_program(self, rate: float, *, begins: float = 0.0, ends: float = float("inf")) -> None:
        """Add a program that makes calls at random (Poisson) times and does not repeat the refused ones.

        Args:
            rate: Calls per second, on average.
            begins: When it begins.
            ends: When it ends.
        """
        self._later(begins + self.random.expovariate(rate), self._other_call, rate, ends)

    def step_clock(self, at: float, seconds: float) -> None:
        """Set the wall clock of the workers' machine forward, or back."""
        self._later(at, self._step, seconds, 0.0)

    def step_vendor(self, at: float, seconds: float) -> None:
        """Set the vendor's clock forward."""
        self._later(at, self._step, 0.0, seconds)

    def run(self, seconds: float) -> list[Arrival]:
        """Let time pass until so many seconds after the start, and return all arrivals so far."""
        while self._events and self._events[0][0] < seconds:
            self.now, _, action, arguments = heapq.heappop(self._events)
            action(*arguments)
        self.now = seconds
        return self.arrivals

    def _later(self, moment: float, action: Callable[..., None], *arguments: object) -> None:
        heapq.heappush(self._events, (moment, next(self._order), action, arguments))

    def _step(self, wall: float, vendor: float) -> None:
        self._wall_step += wall
        self._vendor_step += vendor

    def _half(self) -> float:
        shortest, longest = self._latency
        half = (shortest + (longest - shortest) * self.random.random()) / 2
        return half * _SLOW if self._slow and self.random.random() < self._slow else half

    def _first(self, thread: _Thread, threads: int) -> None:
        self._acquire(thread, next(thread.costs), threads - 1, self.now)

    def _acquire(self, thread: _Thread, cost: int, to_start: int, asked_at: float) -> None:
        begins, ends = thread.quiet
        if begins <= self.now < ends:
            self._later(ends, self._acquire, thread, cost, to_start, ends)
            return
        got = thread.client.acquire(cost)
        if isinstance(got, (int, float)):
            self._later(self.now + max(got, _SHORTEST_SLEEP), self._acquire, thread, cost, to_start, asked_at)
        else:
            waited = self.now - asked_at
            self._later(self.now + self._half(), self._arrive, thread, got, to_start, waited)

    def _arrive(self, thread: _Thread, reservation: Reservation, to_start: int, waited: float) -> None:
        at, cost = self.now + self._vendor_step, reservation.cost
        answer = self.vendor.answer(at, cost)
        self.arrivals.append(Arrival(at, thread.worker, cost, answer.accepted, waited))
        lost = self._lost and self.random.random() < self._lost
        self._later(self.now + self._half(), self._answered, thread, reservation, None if lost else answer, to_start)

    def _answered(self, thread: _Thread, reservation: Reservation, answer, to_start: int) -> None:
        wait = thread.client.record_answer(reservation, answer)
        for _ in range(to_start):
            self._acquire(thread, next(thread.costs), 0, self.now)
        again = answer is not None and not answer.accepted
        cost = reservation.cost if again else next(thread.costs)
        if wait > 0:
            self._later(self.now + wait, self._acquire, thread, cost, 0, self.now)
        else:
            self._acquire(thread, cost, 0, self.now)

    def _other_call(self, rate: float, ends: float) -> None:
        if self.now >= ends:
            return
        at = self.now + self._vendor_step
        self.arrivals.append(Arrival(at, OTHER_PROGRAM, 1, self.vendor.answer(at).accepted))
        self._later(self.now + self.random.expovariate(rate), self._other_call, rate, ends)


class _Thread(NamedTuple):
    """What a thread calls with; all threads of a worker are alike."""

    worker: int
    client: PacedClient
    costs: Iterator[int]
    quiet: tuple[float, float]
