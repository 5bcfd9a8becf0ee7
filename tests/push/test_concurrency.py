"""Find the number of threads against simulated vendors: no thread, no clock, no waiting."""

from __future__ import annotations

import heapq
import math
import operator
import random
import threading
from functools import partial

import pytest

from airflow_provider_crm.push.concurrency import FIRST_SIZE, CallTiming, Concurrency
from airflow_provider_crm.push.workers import Workers


class Simulation:
    """A run over endless rows in simulated time.

    Args:
        largest: Threads at most.
        latency: Seconds of an answer, from the time.
        servers: Rows that the vendor works on at once; others wait at the vendor.
        budget: Calls per window and its seconds, or None.
        source: Rows per second that the source gives, or None if there is always a row.
    """

    def __init__(self, largest=64, *, latency=lambda now: 0.15, servers=lambda now: 10_000, budget=None, source=None):
        self.concurrency = Concurrency(largest)
        self.latency, self.servers, self.budget, self.source = latency, servers, budget, source
        self.random = random.Random(1)
        self.now, self.done, self.number, self.given = 0.0, 0, 0, 0
        self.free_at = []
        self.window, self.used = 0, 0
        self.in_flight, self.sizes, self.ends = [], [], []

    def leaves(self, began):
        """When the budget lets a call go that is asked for now."""
        if self.budget is None:
            return began
        calls, seconds = self.budget
        window = max(self.window, int(began // seconds))
        if window > self.window:
            self.window, self.used = window, 0
        if self.used == calls:
            self.window, self.used = self.window + 1, 0
        self.used += 1
        return max(began, self.window * seconds)

    def start(self):
        """A thread takes a row now, or when the source has one."""
        began = self.now
        if self.source is not None:
            self.given = max(self.given + 1 / self.source, self.now)
            began = self.given
        sent = self.leaves(began)
        servers = max(1, int(self.servers(sent)))
        while self.free_at and (self.free_at[0] <= sent or len(self.free_at) > 64):
            heapq.heappop(self.free_at)
        busy_until = sorted(self.free_at)
        starts = sent if len(busy_until) < servers else busy_until[-servers]
        ended = starts + self.latency(sent) * self.random.uniform(0.9, 1.1)
        heapq.heappush(self.free_at, ended)
        self.number += 1
        heapq.heappush(self.in_flight, (ended, self.number, began, sent))

    def run(self, seconds):
        """Go on for that long.

        Returns:
            Rows per second.
        """
        until, before = self.now + seconds, self.done
        while self.now < until:
            while len(self.in_flight) < self.concurrency.size:
                self.start()
            self.now, _, began, sent = heapq.heappop(self.in_flight)
            self.done += 1
            self.concurrency.ended(CallTiming(self.now, self.now - began, sent - began))
            self.sizes.append(self.concurrency.size)
        return (self.done - before) / seconds


@pytest.mark.parametrize("latency", [0.02, 0.05, 0.15, 1.0])
def test_a_vendor_that_accepts_all_gets_all_threads(latency):
    """If each thread brings its share, all 64 run within some answers of the vendor."""
    simulation = Simulation(latency=lambda now: latency)
    simulation.run(4 * latency)
    assert simulation.concurrency.size == 64
    assert simulation.run(100 * latency) > 0.95 * 64 / latency


@pytest.mark.parametrize("seconds", [0.05, 0.3, 2.0])
def test_calls_for_many_rows_may_take_longer_than_the_first_row(seconds):
    """The first row goes alone; that a call for 100 rows takes six times as long is no sign of a crowd."""
    concurrency = Concurrency(64)
    concurrency.ended(CallTiming(seconds / 6, seconds / 6, 0.0))
    now, calls = seconds / 6, 0
    while concurrency.size < 64:
        now += seconds
        size = concurrency.size
        for _ in range(size):
            concurrency.ended(CallTiming(now, seconds, 0.0, 100))
        calls += size
        assert calls < 5 * 64
    assert calls < 2 * 64


@pytest.mark.parametrize("largest", [1, 2, 7, 8, 9, 50, 64])
def test_the_largest_number_is_never_exceeded(largest):
    """There are at most as many threads as were asked for; the first row goes alone."""
    simulation = Simulation(largest)
    assert simulation.concurrency.size == 1
    simulation.run(60)
    assert max(simulation.sizes) == largest
    assert min(simulation.sizes) >= 1


@pytest.mark.parametrize("servers", [1, 3, 8, 12, 20, 40])
def test_a_vendor_that_accepts_less(servers):
    """A vendor that works on some rows at once is kept busy, by few threads more than rows."""
    simulation = Simulation(servers=lambda now: servers)
    simulation.run(30)
    sizes = len(simulation.sizes)
    assert simulation.run(60) > 0.93 * servers / 0.15
    usual = sorted(simulation.sizes[sizes:])[(len(simulation.sizes) - sizes) // 2]
    assert usual <= max(FIRST_SIZE, 2 * servers)


@pytest.mark.parametrize(("calls", "seconds"), [(40, 1), (10, 1), (100, 1), (600, 60), (300, 10)])
def test_no_more_threads_than_the_budget_needs(calls, seconds):
    """The rate limit is used in full, by few threads more than its calls per second times the latency."""
    simulation = Simulation(budget=(calls, seconds))
    simulation.run(2 * max(seconds, 30))
    sizes = len(simulation.sizes)
    rate = simulation.run(4 * max(seconds, 15))
    assert rate > 0.97 * calls / seconds
    if seconds == 1:
        assert sum(simulation.sizes[sizes:]) / (len(simulation.sizes) - sizes) <= 3 * calls * 0.15 + 3


@pytest.mark.parametrize(("latency", "size"), [(0.0004, 1), (0.002, 4), (0.15, FIRST_SIZE)])
def test_the_first_row_says_how_many_threads_to_begin_with(latency, size):
    """A vendor that answers at once keeps one thread busy; one that is far away, more of them."""
    simulation = Simulation(latency=lambda now: latency)
    simulation.random.uniform = lambda least, most: 1.0
    simulation.run(latency)
    assert simulation.concurrency.size == size


@pytest.mark.parametrize("latency", [0.0004, 0.15])
def test_a_vendor_that_gets_no_faster_gets_few_threads(latency):
    """If 2 threads write as many rows as 64, there are soon at most 4."""
    simulation = Simulation(latency=lambda now: latency, servers=lambda now: 2)
    simulation.run(60 * latency + 2)
    sizes = len(simulation.sizes)
    assert simulation.run(20) > 0.9 * 2 / latency
    assert sorted(simulation.sizes[sizes:])[(len(simulation.sizes) - sizes) // 2] <= 4


def test_a_vendor_that_is_crowded_at_once_is_noticed_at_once():
    """If the first number of threads is too large, their first rows show it, and none is added."""
    simulation = Simulation(servers=lambda now: 1)
    simulation.run(30)
    assert max(simulation.sizes) == FIRST_SIZE


@pytest.mark.parametrize("seed", [20, 21, 25, 49, 66, 72, 84, 137, 188])
def test_a_first_row_that_was_lucky_does_not_mislead_for_long(seed):
    """If answers take from a tenth to ten times the usual, all threads run within ten seconds."""
    chance = random.Random(seed)
    simulation = Simulation(latency=lambda now: 0.12 * chance.lognormvariate(0, 1.0))
    simulation.run(10)
    assert simulation.concurrency.size == 64
    assert simulation.run(20) > 0.9 * 64 / (0.12 * math.exp(0.5))


def test_a_vendor_that_gets_overloaded_gets_relief():
    """When a vendor that accepted 40 rows at once accepts only 4, threads are removed, and added again with it."""
    simulation = Simulation(servers=lambda now: 4 if 30 <= now < 120 else 40)
    simulation.run(30)
    assert simulation.concurrency.size >= 32
    simulation.run(30)
    assert simulation.concurrency.size <= 10
    assert simulation.run(60) > 0.9 * 4 / 0.15
    simulation.run(30)
    assert simulation.concurrency.size >= 32


def test_a_vendor_that_is_farther_away_keeps_its_threads():
    """If answers only take longer, and more threads still bring more, none is removed for long."""
    simulation = Simulation(latency=lambda now: 0.05 if now < 30 else 0.3)
    simulation.run(60)
    assert simulation.run(60) > 0.9 * 64 / 0.3


def test_a_slow_source_starts_no_thread():
    """If rows come slower than the first threads could write them, none is added."""
    simulation = Simulation(source=20)
    simulation.run(120)
    assert max(simulation.sizes) == FIRST_SIZE


def test_a_clock_that_stands_still_changes_nothing():
    """Without a duration there is no rate, and the number stays."""
    concurrency = Concurrency(64)
    for _ in range(1_000):
        concurrency.ended(CallTiming(5.0, 0.0, 0.0))
    assert concurrency.size == 1


# Threads


def names():
    """The threads of this test that are alive."""
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("of-a-test")}


def taken(workers, count):
    """Take some results."""
    results = []
    while len(results) < count:
        results += workers.ended()
    assert len(results) == count
    return results


def test_a_thread_is_started_only_for_a_job():
    """Three jobs make three threads, though there may be ten; ten jobs in turn make no more than there may be."""
    go = threading.Event()
    work, workers = lambda job: go.wait(10) and job, Workers("of-a-test")
    workers.resize(10)
    for job in range(3):
        workers.add(partial(work, job))
    assert len(names()) == 3
    workers.resize(4)
    for job in range(3, 10):
        workers.add(partial(work, job))
    assert len(names()) == 4
    go.set()
    assert sorted(taken(workers, 10)) == list(range(10))
    workers.close()
    assert names() == set()


def test_threads_are_started_for_jobs_that_wait():
    """When the maximum grows, the queued jobs get the new threads."""
    go = threading.Event()
    work, workers = lambda job: go.wait(10) and job, Workers("of-a-test")
    for job in range(5):
        workers.add(partial(work, job))
    assert len(names()) == 1
    workers.resize(3)
    assert len(names()) == 3
    go.set()
    assert sorted(taken(workers, 5)) == list(range(5))
    workers.close()


def test_results_are_taken_together():
    """Several results are returned together while the threads have more to do, and the last one at once."""
    work, workers = lambda job: job, Workers("of-a-test")
    for job in range(1_000):
        workers.add(partial(work, job))
    batches = []
    while sum(batches) < 1_000:
        batches.append(len(workers.ended()))
    assert len(batches) < 100
    workers.close()


def test_threads_that_are_too_many_end():
    """When the maximum shrinks, at most that many jobs run at once from then on."""
    lock, at_once, most = threading.Lock(), [0], [0]

    def work(job):
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        threading.Event().wait(0.002)
        with lock:
            at_once[0] -= 1

    workers = Workers("of-a-test")
    for size in (8, 2, 6):
        workers.resize(size)
        for job in range(30):
            workers.add(partial(work, job))
        taken(workers, 30)
        if size == 2:
            most[0] = 0
            for job in range(30):
                workers.add(partial(work, job))
            taken(workers, 30)
            assert most[0] <= 2
    assert most[0] <= 6
    workers.close()
    assert names() == set()


def test_what_a_job_raises_is_raised_where_results_are_taken():
    """No error is lost in a thread, and the thread lives on."""
    work, workers = lambda job: 1 // job, Workers("of-a-test")
    workers.add(partial(work, 0))
    with pytest.raises(ZeroDivisionError):
        workers.ended()
    workers.add(partial(work, 1))
    assert workers.ended() == [1]
    workers.close()


def test_results_beside_an_error_are_not_lost():
    """Results that came together with an error are returned later, at the latest when the threads are closed."""
    workers, done = Workers("of-a-test"), threading.Event()
    for job in (1, 0, 1):
        workers.add(partial(operator.floordiv, 1, job))
    while workers._ended.qsize() < 3:
        done.wait(0.001)
    with pytest.raises(ZeroDivisionError):
        workers.ended()
    assert workers.close() == [1, 1]


def test_closing_drops_what_no_thread_has():
    """The jobs that are being done end; the queued ones are never begun."""
    begun, go = [], threading.Event()
    work, workers = lambda job: begun.append(job) or go.wait(10), Workers("of-a-test")
    workers.resize(2)
    for job in range(10):
        workers.add(partial(work, job))
    while len(begun) < 2:
        go.wait(0.001)
    closing = threading.Thread(target=workers.close)
    closing.start()
    while workers._jobs.qsize() > 2:
        go.wait(0.001)
    go.set()
    closing.join(10)
    assert (len(begun), names()) == (2, set())
