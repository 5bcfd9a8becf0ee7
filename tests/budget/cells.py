"""The cells of the matrix: each is one limit, its announcement, and the workers that call it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_crm.budget.store import BudgetStore
from airflow_provider_crm.database.database import Database

from .limiters import (
    BARE,
    HUBSPOT,
    KINDS,
    MILLISECONDS,
    WAIT_ONLY,
    WHOLE_SECONDS,
    Announcement,
    Kind,
    LimitedVendor,
    LimiterRule,
)
from .measures import Measured, measure
from .proving_ground import ProvingGround

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

PHASE = 0.37
DAILY_SHARE = 0.5
FAST, SLOW = (0.002, 0.006), (0.02, 0.06)
_UNTOLD_TIME = 3
WORKERS = [(1, False), (1, True), (4, True)]
_THREADS = {1: 16, 4: 8}

WINDOWS = [(20, 1), (100, 1), (100, 5), (1000, 60)]
SIZES: dict[Kind, list[tuple[int, int]]] = {
    "aligned": WINDOWS,
    "first_call": WINDOWS,
    "sliding": [(20, 10), (100, 10), (190, 10)],
    "bucket": [(20, 1), (100, 1), (5, 1)],
}
TOLD = {"s": WHOLE_SECONDS, "ms": MILLISECONDS}
ANNOUNCED: dict[Kind, dict[str, Announcement]] = {
    "aligned": TOLD,
    "first_call": TOLD,
    "sliding": TOLD
    | {
        "s+length": Announcement(length=True),
        "ms+length": Announcement("milliseconds", "milliseconds", length=True),
        "hubspot": HUBSPOT,
    },
    "bucket": TOLD | {"ms-next": Announcement("milliseconds", "milliseconds", until="more")},
}
UNTOLD = {"wait-only": WAIT_ONLY, "bare": BARE}


@dataclass(frozen=True, slots=True)
class Goal:
    """The figures that a cell must reach.

    Attributes:
        used: Least part of the share that is used.
        refused: Most of the calls that are refused.
        peak: Most units at once, as a part of the share.
        others_refused: Most of the calls of other programs that are refused.
    """

    used: float
    refused: float
    peak: float = 1.0
    others_refused: float = 1.0

    def missed(self, measured: Measured) -> list[str]:
        """Return the names of the figures that miss the goal."""
        within = {
            "used": measured.used >= self.used,
            "refused": measured.refused <= self.refused,
            "peak": measured.peak <= self.peak + 1e-9,
            "others": measured.others_refused <= self.others_refused,
        }
        return [name for name, reached in within.items() if not reached]


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of the matrix.

    Attributes:
        kind: The limiter's kind, and what else there is to it.
        limits: The limits, and how each is announced.
        announced: Name of the announcement.
        workers: How many.
        shares_store: Whether they share a store.
        share: Part of the limit that they may use.
        latency: Seconds of a call: shortest and longest.
        others: Part of the limit that another program takes at random times.
        bare_refusals: Probability of a refusal that no limit explains.
    """

    kind: str
    limits: tuple[tuple[LimiterRule, Announcement], ...]
    announced: str
    workers: int = 1
    shares_store: bool = False
    share: float = 1.0
    latency: tuple[float, float] = FAST
    others: float = 0.0
    bare_refusals: float = 0.0

    @property
    def title(self) -> str:
        """Return what the cell is, in words that a filter may name."""
        rule = self.limits[0][0]
        store = f"{self.workers}{'+store' if self.shares_store else ''}"
        latency = "fast" if self.latency == FAST else "slow"
        size = f"{rule.limit}/{rule.seconds:g}s"
        return f"{self.kind:14s} {size:9s} {self.announced:10s} {store:7s} share={self.share:g} {latency}"

    @property
    def shares(self) -> tuple[float, ...]:
        """Return the part of each limit that may be used."""
        return tuple(DAILY_SHARE if rule.is_daily else self.share for rule, _ in self.limits)

    @property
    def seconds(self) -> float:
        """Return how long the cell runs: a minute or ten windows, until nine tenths of the last one are over.

        A limit that nothing announces is found out from refusals, which takes longer.
        """
        rule = self.limits[0][0]
        if len(self.limits) > 1:
            return 600.0
        windows = max(10, math.ceil(60 / rule.seconds)) * (_UNTOLD_TIME if self.announced in UNTOLD else 1)
        return (windows - 0.1) * rule.seconds - (rule.phase if rule.kind == "aligned" else 0.0)

    @property
    def goal(self) -> Goal:
        """Return what must be shown of the cell."""
        rule, _ = self.limits[0]
        if len(self.limits) > 1:
            return Goal(1.0, 0.0)
        if self.others:
            return Goal(0.0, 1.0, others_refused=0.005)
        if self.share < 1:
            return Goal((self.share - 0.02) / self.share, 0.0)
        return _goal_of_the_whole(rule, self)

    def run(self, engine: Engine, name: str, *, seed: int = 0) -> tuple[Measured, str]:
        """Run the cell, and return its figures and the kind of limit that the first worker found.

        Args:
            engine: A database for the store, if there is one.
            name: Of the budget in it, another one for each run.
            seed: Of all random numbers.
        """
        vendor = LimitedVendor(*self.limits, bare_refusals=self.bare_refusals, seed=seed)
        ground = ProvingGround(vendor, seed=seed, latency=self.latency)
        store = BudgetStore(Database(engine, clock=ground.clock())) if self.shares_store else None
        for number in range(self.workers):
            ground.worker(
                threads=_THREADS[self.workers],
                share=self.share,
                daily_share=DAILY_SHARE,
                store=store,
                name=name,
                begins=0.3 * number,
            )
        rule = self.limits[0][0]
        if self.others:
            ground.other_program(self.others * rule.limit / rule.seconds)
        arrivals = ground.run(self.seconds)
        return measure(arrivals, vendor.rules, self.shares, self.seconds), ground.clients[0].kind


def _goal_of_the_whole(rule: LimiterRule, cell: Cell) -> Goal:
    if cell.announced in UNTOLD or (cell.workers > 1 and not cell.shares_store):
        return Goal(0.92, 0.01)
    if cell.bare_refusals:
        return Goal(0.92, cell.bare_refusals + 0.01)
    if rule.kind == "aligned" and cell.workers == 1:
        return Goal(0.99, 0.0)
    coarse = rule.kind == "first_call" and rule.seconds <= 1 and cell.announced == "s"
    return Goal(0.9 if coarse else 0.95, 0.005)


def told() -> Iterator[Cell]:
    """Return the cells of limits that answers tell, at the whole limit."""
    for latency, (workers, shares_store) in itertools.product((FAST, SLOW), WORKERS):
        for kind, limit, announced in _limits():
            yield Cell(kind, (limit,), announced, workers, shares_store, latency=latency)


def apart() -> Iterator[Cell]:
    """Return the cells of four workers without a store, which see only what remains."""
    for kind, limit, announced in _limits():
        yield Cell(kind, (limit,), announced, 4)


def shares() -> Iterator[Cell]:
    """Return the cells of a part of the limit."""
    for share, (workers, shares_store) in itertools.product((0.9, 0.5), WORKERS):
        for kind, limit, announced in _limits():
            yield Cell(kind, (limit,), announced, workers, shares_store, share)


def untold() -> Iterator[Cell]:
    """Return the cells of limits that only refusals show."""
    for latency, (workers, shares_store) in itertools.product((FAST, SLOW), WORKERS):
        for kind in KINDS:
            for (limit, seconds), (name, announcement) in itertools.product(SIZES[kind][:2], UNTOLD.items()):
                rule = LimiterRule(kind, limit, seconds, PHASE * seconds)
                yield Cell(kind, ((rule, announcement),), name, workers, shares_store, latency=latency)


def epochs() -> Iterator[Cell]:
    """Return the cells of resets that are an epoch in whole seconds, at which windows end or before which they end."""
    sizes = [*WINDOWS, (1000, 3600)]
    for (limit, seconds), phase, (workers, shares_store) in itertools.product(sizes, (0.0, PHASE), WORKERS):
        rule = LimiterRule("aligned", limit, seconds, phase * seconds)
        name = "epoch+" if phase else "epoch"
        yield Cell("aligned", ((rule, Announcement("epoch")),), name, workers, shares_store)


def days() -> Iterator[Cell]:
    """Return the cells of a burst and a day at once, whose end is announced or not."""
    for (workers, shares_store), kind, grain in itertools.product(WORKERS, KINDS, ("s", "ms", "hubspot")):
        for rolling in (False, True):
            burst = LimiterRule(kind, 100, 10, 3.7, "burst")
            day = LimiterRule.day(5000, rolling=rolling, phase=40_000.0)
            announced = HUBSPOT if grain == "hubspot" else TOLD[grain]
            day_announced = Announcement("none", "none") if rolling else announced
            limits = ((burst, announced), (day, day_announced))
            yield Cell(f"{kind}+{'24h' if rolling else 'day'}", limits, grain, workers, shares_store)


def others() -> Iterator[Cell]:
    """Return the cells of another program that takes 30 % of the limit."""
    for share, (workers, shares_store) in itertools.product((1.0, 0.9), WORKERS):
        for kind, limit, announced in _limits():
            yield Cell(kind, (limit,), announced, workers, shares_store, share, others=0.3)


def bare() -> Iterator[Cell]:
    """Return the cells of a server that refuses 2 % of all calls at random, or one in 400."""
    for part, kind, (workers, shares_store) in itertools.product((0.02, 0.0025), KINDS, WORKERS):
        for limit, seconds in SIZES[kind][:2]:
            rule = LimiterRule(kind, limit, seconds, PHASE * seconds)
            limits = ((rule, MILLISECONDS),)
            yield Cell(kind, limits, f"{part * 100:g}%429", workers, shares_store, bare_refusals=part)


GROUPS: dict[str, Callable[[], Iterator[Cell]]] = {
    one.__name__: one for one in (told, shares, untold, epochs, days, others, bare, apart)
}


def _limits() -> Iterator[tuple[Kind, tuple[LimiterRule, Announcement], str]]:
    for kind, announced in ANNOUNCED.items():
        for (limit, seconds), (name, announcement) in itertools.product(SIZES[kind], announced.items()):
            yield kind, (LimiterRule(kind, limit, seconds, PHASE * seconds), announcement), name
