"""The operator uses a limit of each kind, over real HTTP, and is not refused: with a store, without one, and in four.

All in real time. The windows are some seconds long, so that a machine that is busy for a moment costs a small part of
one, and another client, which sends the same calls through one gate at the same time, shows what that machine allows.
`tests/benchmarks/budget_use.py` measures the shorter windows.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from tests.budget.limit_use import Cell
from tests.budget.over_http import Worker, measure

pytestmark = pytest.mark.long

BUSY = 0.04
"""Part of the limit by which a run may miss the goal, or what the gate uses on a busy machine, if that is less."""
FEW = 0.005
"""Part of the calls that may be refused; one may always be, where an answer came late."""

GOALS = [
    (Cell("aligned", 60, 3, lasts=9), 0.99),
    (Cell("first_call", 60, 3, lasts=9), 0.95),
    (Cell("first_call", 60, 3, "milliseconds", lasts=9), 0.95),
    (Cell("sliding", 60, 3, lasts=9), 0.95),
    (Cell("sliding", 60, 3, "length", lasts=9), 0.95),
    (Cell("bucket", 20, 1, lasts=8), 0.95),
]
SHARED = [
    (Cell("aligned", 60, 3, processes=4, lasts=9), 0.99),
    (Cell("first_call", 60, 3, processes=4, lasts=9), 0.95),
]


@pytest.fixture(scope="module")
def worker():
    """What runs the tasks."""
    with closing(Worker()) as started:
        yield started


def measured(cells, worker, folder):
    """Run cells at the same time, each with a server and an Airflow home of its own."""

    def one(number):
        home = folder / str(number)
        home.mkdir()
        return measure(cells[number], worker, home)

    with ThreadPoolExecutor(len(cells)) as executor:
        return list(executor.map(one, range(len(cells))))


def with_a_gate(cells):
    """Return the cells, and one of the other client, which reads the end of a window to the millisecond."""
    return [*cells, replace(cells[0], announces="milliseconds", way="gate", processes=1, share=1.0)]


def check(use, gate, least):
    """All rows were written, with hardly a refusal, and after the start in hardly more than the least time.

    What a busy machine took of it, the gate shows, and the time for which the runs themselves had no core.
    """
    assert use.failures == []
    assert use.refused <= max(1, FEW * use.accepted)
    assert use.later >= min(least, gate.later) - BUSY - use.waited


@pytest.mark.parametrize(("cell", "least"), GOALS, ids=str)
def test_a_limit_is_used_and_nothing_is_refused(cell, least, worker, tmp_path):
    """One run, without a store and with one."""
    cells = [replace(cell, store=store) for store in ("none", "sqlite")]
    *uses, gate = measured(with_a_gate(cells), worker, tmp_path)
    for use in uses:
        check(use, gate, least)


@pytest.mark.parametrize(("cell", "least"), SHARED, ids=str)
def test_four_processes_share_a_limit(cell, least, worker, tmp_path):
    """Four runs with one store use the limit together as one would."""
    use, gate = measured(with_a_gate([cell]), worker, tmp_path)
    check(use, gate, least)
