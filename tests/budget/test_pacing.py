"""Pacing against the sandbox's own counters, on a virtual clock: what arrives at the vendor, window by window."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_crm.budget.stated import StatedLimit
from airflow_provider_crm.budget.store import BudgetStore
from airflow_provider_crm.database.database import Database

from .simulation import CloseServer, RazeServer, Simulation

SPELLINGS = ("comma", "semicolon", "x-rate-limit", "ratelimit-reset")
# Windows in which the answers show of which kind the limit is: some of their last calls leave one by one.
FIRST = 8
WINDOWS = [(20, 1), (100, 1), (240, 8), (1000, 3600)]
# An hour's calls differ between spellings in the header alone: one spelling is shown with each run of the tests.
SPELLED = [
    (*size, spelling) for size in WINDOWS for spelling in SPELLINGS if size != (1000, 3600) or spelling == "comma"
]


def refused(simulation):
    """Return how many calls the vendor refused."""
    return sum(simulation.arrivals.refused.values())


def whole_windows(simulation):
    """Return the accepted calls of the windows that were seen from beginning to end."""
    return [calls for _, calls in sorted(simulation.arrivals.accepted.items())][1:-1]


@pytest.mark.long
@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    limit=st.integers(5, 240),
    window=st.sampled_from([1, 2, 8, 60, 3600]),
    phase=st.floats(0, 1),
    spelling=st.sampled_from(SPELLINGS),
    latency=st.floats(0.001, 0.1),
    spread=st.floats(1, 4),
    slow=st.sampled_from([0.0, 0.02]),
    threads=st.integers(1, 32),
    seed=st.integers(0, 1000),
)
@example(
    limit=46, window=1, phase=0.25, spelling="comma", latency=0.0625, spread=2.0, slow=0.0, threads=7, seed=1
)  # answers of two windows come at one moment
def test_no_window_is_overdrawn(limit, window, phase, spelling, latency, spread, slow, threads, seed):  # noqa: PLR0917 - hypothesis names them
    """For any limit, window, phase, spelling, latency and number of threads: with a header no call is refused."""
    server = CloseServer(limit, window, phase=phase * window, close_rate_limit_header=spelling)
    simulation = Simulation(server, seed=seed, latency=(latency, latency * spread), slow=slow)
    simulation.worker(threads=threads)
    simulation.run(window * 8 + 2)
    assert refused(simulation) == 0


@pytest.mark.parametrize(("limit", "window", "spelling"), SPELLED)
@pytest.mark.parametrize("whole", [False, True])
def test_every_spelling_is_used_to_the_last_call(limit, window, spelling, whole):
    """In every spelling, also in whole seconds, each window is used up, and none of its calls is refused.

    Of the first windows nine tenths are used: the last calls leave one by one until the kind of the limit is known.
    """
    switches = {"close_rate_limit_header": spelling, "close_integer_reset": whole}
    simulation = Simulation(CloseServer(limit, window, phase=0.37, **switches))
    simulation.worker()
    simulation.run(window * (20 if limit <= 100 else 6))
    assert set(whole_windows(simulation)[0 if window > 60 else FIRST if limit <= 100 else 2 :]) == {limit}
    assert min(whole_windows(simulation)) >= 0.9 * limit
    assert refused(simulation) == 0


@pytest.mark.parametrize("phase", [0.0, 0.37, 1234.5])
def test_an_hour_with_an_epoch_reset(phase):
    """Raze: 1000 calls per clock hour, whose end is whole epoch seconds of a clock that differs from ours."""
    simulation = Simulation(RazeServer(1000, 3600, phase=phase))
    simulation.worker()
    simulation.run(5 * 3600)
    assert (set(whole_windows(simulation)), refused(simulation)) == ({1000}, 0)


@pytest.mark.parametrize(
    ("limit", "window"), [(20, 1), *(pytest.param(*size, marks=pytest.mark.long) for size in WINDOWS[1:3])]
)
def test_a_token_bucket(limit, window):
    """A bucket is distinguished from a window by its answers, and used as fast as it is filled."""
    simulation = Simulation(CloseServer(limit, window, kind="bucket", phase=0.37))
    simulation.worker()
    arrivals = simulation.run(100 * window)
    used, refusals = arrivals.used(simulation.server, 100 * window)
    assert (used > 0.98, refusals) == (True, 0)


@pytest.mark.long
@pytest.mark.parametrize(("limit", "window"), [(20, 1), (100, 1), (240, 8)])
@pytest.mark.parametrize("stated", [False, True])
def test_without_a_header_the_limit_is_found(limit, window, stated):
    """Refusals alone show the limit: over ten minutes at least 92 % of it are used, and 1 % refused at most."""
    simulation = Simulation(CloseServer(limit, window, phase=0.37, close_rate_limit_header="absent"))
    simulation.worker(stated=StatedLimit(limit, window) if stated else None)
    arrivals = simulation.run(600)
    used, refusals = arrivals.used(simulation.server, 600)
    assert (used >= 0.92, refusals <= 0.01) == (True, True)


@pytest.mark.long
@pytest.mark.parametrize(("stated", "least"), [(100, 0.94), (40, 0.85)])
def test_without_a_header_a_wrong_statement_is_corrected(stated, least):
    """A limit stated too high is known after some refusals; from one that is too low the rate grows in minutes.

    Hardly a call is refused either way, and the last of ten minutes uses 88 %.
    """
    simulation = Simulation(CloseServer(50, 1, phase=0.37, close_rate_limit_header="absent"))
    simulation.worker(stated=StatedLimit(stated, 1))
    arrivals = simulation.run(600)
    used, refusals = arrivals.used(simulation.server, 600)
    assert (used >= least, refusals <= 0.001) == (True, True)
    assert sum(whole_windows(simulation)[-60:]) >= 0.88 * 50 * 60


def test_another_program_is_given_way():
    """A program that begins to use 30 of 100 calls per second gets all of them within ten seconds, and keeps them."""
    simulation = Simulation(CloseServer(100, 1, phase=0.37))
    simulation.worker()
    simulation.external_calls(20, 80, 30, 1)
    simulation.run(80)
    settled = [count for (window, status), count in simulation.arrivals.external_calls.items() if status == 429]
    late = [window for (window, status) in simulation.arrivals.external_calls if status == 429]
    first = min(window for window, _ in simulation.arrivals.external_calls)
    assert max(late) - first <= 10
    assert sum(settled) < 0.05 * 30 * 60
    assert refused(simulation) <= 0.005 * sum(simulation.arrivals.accepted.values())


def test_what_another_program_gives_up_is_used_again():
    """Some windows after the last call of another program the whole share is used again."""
    simulation = Simulation(CloseServer(100, 1, phase=0.37))
    simulation.worker()
    simulation.external_calls(10, 30, 30, 1)
    simulation.run(60)
    assert whole_windows(simulation)[-5:] == [100] * 5


@pytest.mark.parametrize(
    ("limit", "window"), [(100, 1), *(pytest.param(*size, marks=pytest.mark.long) for size in WINDOWS[2:])]
)
def test_four_workers_without_a_store(limit, window):
    """Workers that only see what remains converge: 93 % used together, at most 2 % refused."""
    simulation = Simulation(CloseServer(limit, window, phase=0.37))
    for number in range(4):
        simulation.worker(begins=0.01 * number)
    arrivals = simulation.run(window * {1: 100, 8: 30, 3600: 8}[window])
    used, refusals = arrivals.used(simulation.server, 0)
    assert (used >= 0.93, refusals <= 0.02) == (True, True)


@pytest.mark.parametrize(("limit", "window"), WINDOWS)
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_four_workers_with_a_store(engine, limit, window, share):
    """Workers that share a store use exactly the share together, and none of their calls is refused.

    Of the first windows nine tenths are used on the whole, until the kind of the limit is known.
    """
    simulation = Simulation(CloseServer(limit, window, phase=0.37))
    store = BudgetStore(Database(engine, clock=simulation.clock()))
    for number in range(4):
        simulation.worker(share=share, store=store, begins=0.7 * number)
    simulation.run(window * (14 if window == 1 else 6))
    first = 10 if window == 1 else 1
    assert (set(whole_windows(simulation)[first:]), refused(simulation)) == ({int(share * limit)}, 0)
    assert sum(whole_windows(simulation)) >= 0.9 * share * limit * len(whole_windows(simulation))
    assert max(simulation.arrivals.accepted.values()) <= share * limit


def test_a_backfill_leaves_room_to_the_runs_of_today(engine):
    """On one store, a run with half of the limit stops where all runs together have used half of it."""
    simulation = Simulation(CloseServer(100, 1, phase=0.37))
    store = BudgetStore(Database(engine, clock=simulation.clock()))
    simulation.worker(share=0.5, store=store)
    simulation.worker(share=0.9, store=store, begins=0.1)
    simulation.run(20)
    assert (set(whole_windows(simulation)[11:]), refused(simulation)) == ({90}, 0)
    assert max(simulation.arrivals.accepted.values()) <= 90
    assert simulation.arrivals.by_worker[0] <= 50 * 20
