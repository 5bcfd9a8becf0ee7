"""Mishaps of a budget: missing headers, limits that change or that no answer names, clocks, crashes."""

from __future__ import annotations

import datetime as dt
import random
import threading
import time as real_time
from collections import deque
from dataclasses import replace

import pytest
import sqlalchemy as sa

from airflow_provider_crm.budget.lease import LeasingPacer
from airflow_provider_crm.budget.pacer import Pacer, Reservation
from airflow_provider_crm.budget.stated import StatedLimit
from airflow_provider_crm.budget.store import BudgetStore
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.exceptions import TransientError
from airflow_provider_crm.sandbox.rate_limit import Counter, Rule
from airflow_provider_crm.vendors.limits import Limits

from .simulation import CloseServer, Simulation


class Forgetful(CloseServer):
    """Close that leaves its header out of some answers; a refusal has it always, as its documentation says."""

    def __init__(self, limit, window, *, part, **switches):
        super().__init__(limit, window, **switches)
        self.part, self.random = part, random.Random(3)

    def answer(self, now):
        """Return the answer with or without the header."""
        answer = super().answer(now)
        if answer.status_code == 200 and self.random.random() < self.part:
            answer.headers.clear()
        return answer


class Changing:
    """Close whose limit changes; its counters begin at zero then."""

    name = "close"

    def __init__(self, before, after, at):
        self.before, self.after, self.at = before, after, at
        self.accepted, self.refused = [], []

    def __getattr__(self, name):
        return getattr(self.after, name)

    def answer(self, now):
        """Return the present one of the two answers."""
        answer = (self.before if now < self.at else self.after).answer(now)
        (self.accepted if answer.status_code == 200 else self.refused).append(now)
        return answer


def part_refused(simulation):
    """Return the refusals by calls."""
    refused, accepted = sum(simulation.arrivals.refused.values()), sum(simulation.arrivals.accepted.values())
    return refused / (refused + accepted)


def windows(simulation, first):
    """Return the accepted calls of whole windows, without the first ones."""
    return [calls for _, calls in sorted(simulation.arrivals.accepted.items())][first:-1]


# Headers


@pytest.mark.parametrize(
    ("limit", "window", "part"),
    [(20, 1, 0.3), (100, 8, 0.6), (20, 3600, 0.5), pytest.param(240, 1, 0.7, marks=pytest.mark.long)],
)
def test_a_header_that_is_missing_on_some_answers(limit, window, part):
    """Answers without a header lead to no refusal, and once the kind of the limit is known they cost no call."""
    simulation = Simulation(Forgetful(limit, window, part=part, phase=0.37 * window))
    simulation.worker()
    simulation.run(window * 20)
    assert sum(windows(simulation, 10)) >= 0.99 * limit * len(windows(simulation, 10))
    assert sum(windows(simulation, 1)) >= 0.95 * limit * len(windows(simulation, 1))
    assert part_refused(simulation) == 0


@pytest.mark.long
def test_a_header_that_is_missing_on_some_answers_of_workers_with_a_store(engine):
    """Four workers that share a store use 99 % as well, and hardly a call is refused."""
    simulation = Simulation(Forgetful(100, 1, part=0.3, phase=0.37))
    store = BudgetStore(Database(engine, clock=simulation.clock()))
    for number in range(4):
        simulation.worker(store=store, begins=0.05 * number)
    simulation.run(60)
    assert sum(windows(simulation, 3)) >= 0.99 * 100 * len(windows(simulation, 3))
    assert part_refused(simulation) <= 0.001


def test_a_window_of_less_than_half_a_second():
    """A `reset` of 0.4 s and less is waited for as exactly as any other, once it is known to be of windows."""
    simulation = Simulation(CloseServer(20, 0.4, phase=0.1), latency=(0.02, 0.06))
    simulation.worker()
    simulation.run(20)
    assert set(windows(simulation, 10)) == {20}
    assert part_refused(simulation) <= 0.005


# Limits that change, or are buckets


@pytest.mark.long
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("kind", ["window", "bucket"])
@pytest.mark.parametrize(("before", "after"), [((40, 1), (100, 1)), ((240, 8), (20, 1)), ((1000, 3600), (100, 1))])
def test_a_limit_that_changes(engine, kind, before, after, shared):
    """A limit that is lowered or raised in mid-run, or gets another window, is used in full after some windows."""
    change = 3600.5 if before[1] == 3600 else 30
    kinds = ("window" if before[1] == 3600 else kind, kind)
    server = Changing(
        *(CloseServer(*one, kind=which, phase=0.37) for one, which in zip((before, after), kinds, strict=True)), change
    )
    simulation = Simulation(server, latency=(0.02, 0.06))
    store = BudgetStore(Database(engine, clock=simulation.clock())) if shared else None
    for number in range(4 if shared else 1):
        simulation.worker(store=store, begins=0.05 * number)
    simulation.run(change + 60)
    rate = sum(moment > change + 30 for moment in server.accepted) / 30 / (after[0] / after[1])
    assert 0.98 <= rate <= 1.04
    assert sum(moment > change + 10 for moment in server.refused) <= 2


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    ("limit", "window"), [(20, 1), *(pytest.param(*size, marks=pytest.mark.long) for size in ((100, 1), (240, 8)))]
)
def test_workers_on_a_token_bucket(engine, limit, window, shared):
    """Four workers use a bucket as fast as it is filled; with a store hardly any call is refused, without one a few."""
    simulation = Simulation(CloseServer(limit, window, kind="bucket", phase=0.37), latency=(0.02, 0.06))
    store = BudgetStore(Database(engine, clock=simulation.clock())) if shared else None
    for number in range(4):
        simulation.worker(store=store, begins=0.05 * number)
    arrivals = simulation.run(60 * window)
    used, refused = arrivals.used(simulation.server, 60 * window)
    assert (used >= 0.97, refused <= (0.001 if shared else 0.01)) == (True, True)


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("limit", [5, 10])
def test_workers_on_a_small_token_bucket(engine, limit, workers):
    """Workers that emptied a small bucket before any knew it for one find its pace, and are refused no more."""
    simulation = Simulation(CloseServer(limit, 1, kind="bucket", phase=0.37), latency=(0.02, 0.06))
    store = BudgetStore(Database(engine, clock=simulation.clock()))
    for number in range(workers):
        simulation.worker(store=store, begins=0.05 * number)
    simulation.run(10)
    before = simulation.arrivals.refused.total()
    used, _ = simulation.run(60).used(simulation.server, 60)
    assert (used >= 0.98, simulation.arrivals.refused.total() - before) == (True, 0)


@pytest.mark.parametrize(("limit", "window"), [(20, 1), (100, 1)])
def test_half_of_a_token_bucket_is_never_exceeded(limit, window):
    """Of a bucket as of a window 49 to 50 % are used where half of it is allowed."""
    simulation = Simulation(CloseServer(limit, window, kind="bucket", phase=0.37), latency=(0.02, 0.06))
    simulation.worker(share=0.5)
    arrivals = simulation.run(100 * window)
    used, refused = arrivals.used(simulation.server, 100 * window)
    assert (0.49 <= used <= 0.5, refused) == (True, 0)


# The store


def test_a_worker_that_dies_takes_little_along(engine):
    """Of an hour's window a worker that never gives its lease back costs one smallest batch: a fortieth."""
    simulation = Simulation(CloseServer(1000, 3600, phase=0.37))
    store = BudgetStore(Database(engine, clock=simulation.clock()))
    dead = LeasingPacer(simulation.clock(), store, "budget")
    for _ in range(2):
        while not isinstance(reservation := dead.acquire(), Reservation):
            pass
        dead.record_answer(reservation, (Limits(limit=1000, remaining=999, reset=3599.5),))
    simulation.worker(store=store, begins=0.1)
    simulation.run(1800)
    assert sum(simulation.arrivals.accepted.values()) >= 1000 - 1000 / 40 - 2


@pytest.mark.parametrize(
    "jump", [-7200.0, 7200.0, *(pytest.param(jump, marks=pytest.mark.long) for jump in (-30.0, 30.0))]
)
def test_a_database_whose_clock_jumps(engine, jump):
    """A jump of the store's clock, either way, costs two windows at most, and no more than a window of refusals."""
    simulation = Simulation(CloseServer(100, 8, phase=0.37), latency=(0.02, 0.06))
    clock = simulation.clock()
    jumping = replace(clock, now=lambda: clock.now() + (simulation.now > 40) * delta)
    delta = dt.timedelta(seconds=jump)
    store = BudgetStore(Database(engine, clock=jumping))
    for number in range(3):
        simulation.worker(store=store, begins=0.1 * number)
    simulation.run(160)
    assert windows(simulation, 9) == [100] * len(windows(simulation, 9))
    assert sum(simulation.arrivals.refused.values()) <= 100


def test_a_new_window_that_another_worker_began_is_ours_too(engine):
    """A worker whose window ends a moment later by its own reckoning begins the next one once, not twice."""
    simulation = Simulation(CloseServer(40, 10, phase=0.37))
    store = BudgetStore(Database(engine, clock=simulation.clock()))
    for number in range(2):
        simulation.worker(share=0.5, store=store, begins=0.7 * number, threads=3)
    simulation.run(60)
    assert set(windows(simulation, 0)) == {20}


def test_a_database_that_goes_away_while_calls_are_on_their_way(engine):
    """Calls in flight are answered and counted; the next one that needs the store stops; later it goes on."""
    store = BudgetStore(Database(engine, clock=Clock()))
    pacer = LeasingPacer(Clock(), store, "key")

    def next_reservation():
        while not isinstance(reservation := pacer.acquire(), Reservation):
            real_time.sleep(0.001)
        return reservation

    pacer.record_answer(next_reservation(), (Limits(limit=40, remaining=39, reset=900.5),))
    in_flight = [next_reservation()]
    store._database = Database(sa.create_engine("sqlite:////no/such/folder.db"))
    with pytest.raises(TransientError):
        in_flight += iter(next_reservation, None)
    for number, reservation in enumerate(in_flight):
        pacer.record_answer(reservation, (Limits(limit=40, remaining=38 - number, reset=900.0),))
    store._database = Database(engine)
    assert isinstance(next_reservation(), Reservation)


def test_a_stated_hour_is_shared_too(engine):
    """Without any header, workers on one store use up the stated hour together, then wait for the next."""
    simulation = Simulation(CloseServer(None, 3600, close_rate_limit_header="absent"))
    store = BudgetStore(Database(engine, clock=simulation.clock()))
    for number in range(3):
        simulation.worker(store=store, stated=StatedLimit(100, 3600), begins=0.1 * number)
    simulation.run(1800)
    assert 90 <= sum(simulation.arrivals.accepted.values()) <= 100


# Threads


@pytest.mark.parametrize("shared", [False, True])
def test_real_threads_never_overdraw(engine, shared):
    """Sixteen threads against a vendor that counts under a lock: every call is let through only while some remain."""
    lock, arrived, refused = threading.Lock(), deque(), []
    counter = Counter(Rule(limit=60, window=0.5))
    store = BudgetStore(Database(engine, clock=Clock()))
    pacer = LeasingPacer(Clock(), store, "key") if shared else Pacer(Clock())
    end = real_time.monotonic() + 60.0

    def work():
        while len(arrived) <= 120 and real_time.monotonic() < end:
            if not isinstance(got := pacer.acquire(), Reservation):
                real_time.sleep(max(got, 0.001))
                continue
            with lock:
                left = counter.take(real_time.time())
                (arrived if left.allowed else refused).append(left)
            reset = -(-left.reset * 1000 // 1) / 1000
            limits = Limits(limit=60, remaining=left.remaining, reset=reset, wait=None if left.allowed else reset)
            pacer.record_answer(got, (limits,), refused=not left.allowed)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []
    assert len(arrived) > 120  # more than two windows hold
