"""Measures how much of a limit a run uses over real HTTP, and how many of its calls are refused.

The vendor is `limited_server.py`, the run is `UpdateOpportunityOperator` with all its defaults, each in processes of
their own. All figures are the server's: when it accepted and refused which call. `limit_use.py` makes them of it.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.budget.limit_use import KEY, OTHER_KEY, Cell, Use, use_of
from tests.budget.limited_server import limited_server

PROCESS = Path(__file__).with_name("operator_process.py")
START_UP = 60.0  # seconds that a run may take beyond a multiple of its ideal time
FIRST_START = 600.0  # the first one, which imports Airflow, on a busy machine
SLOWEST = 4.0


class Worker:
    """Runs jobs in processes that have the imports of a task already; safe for many threads."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        quiet = {**os.environ, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
        command = [sys.executable, "-W", "ignore", str(PROCESS)]
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=quiet
        )
        self._ends: dict[int, Future[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._warm_up()

    def start(self, job: dict[str, Any]) -> Future[dict[str, Any]]:
        """Start a job; return how it will have ended."""
        end: Future[dict[str, Any]] = Future()
        with self._lock:
            number = len(self._ends)
            self._ends[number] = end
            self._process.stdin.write(json.dumps({"id": number, **job}) + "\n")
            self._process.stdin.flush()
        return end

    def close(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def _read(self) -> None:
        for line in self._process.stdout:
            answer = json.loads(line)
            self._ends[answer["id"]].set_result(answer)

    def _warm_up(self) -> None:
        """Run a task of one row, so that no later one begins with the imports of a first task."""
        cell = Cell("bucket", 1, 1.0)
        with limited_server(cell.setup) as server, TemporaryDirectory(ignore_cleanup_errors=True) as home:
            job = _job(cell, server.url, Path(home), range(1))
            end = self.start({**job, "patience": FIRST_START}).result()
        assert end["outcomes"] == {"updated": 1}, end


def _job(cell: Cell, url: str, home: Path, numbers: range, *, database: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what `operator_process.py` reads."""
    return {
        "way": cell.way,
        "url": url,
        "key": KEY,
        "home": str(home),
        "first": numbers.start,
        "rows": len(numbers),
        "share": cell.share,
        "store": cell.store != "none",
        "ledger": database,
        "patience": START_UP + SLOWEST * cell.lasts,
    }


def measure(cell: Cell, worker: Worker, home: Path, database: dict[str, Any] | None = None) -> Use:
    """Run one cell.

    Args:
        cell: What to measure.
        worker: What the runs are run by.
        home: An empty folder: the Airflow home of the runs, with their ledger.
        database: Fields of the connection to an empty PostgreSQL database, if that is the store.
    """
    each = -(-cell.rows // cell.processes)
    parts = [range(first, min(first + each, cell.rows)) for first in range(0, cell.rows, each)]
    with limited_server(cell.setup) as server, _another_program(cell, server.url):
        started = [worker.start(_job(cell, server.url, home, part, database=database)) for part in parts]
        ends = [end.result() for end in started]
        calls, core_wait = server.calls(), server.core_wait()
    return replace(use_of(cell, calls, ends), core_wait=core_wait)


@contextmanager
def _another_program(cell: Cell, url: str) -> Iterator[None]:
    """Send calls at random times, as many as the cell says, from the run's first second to its end."""
    if not cell.other:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_call_at_random, args=(url, cell.limit * cell.other / cell.seconds, ended))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _call_at_random(url: str, rate: float, ended: threading.Event) -> None:
    connection, dice = HTTPConnection(url.removeprefix("http://")), random.Random(7)
    headers = {"Authorization": "Basic " + b64encode(f"{OTHER_KEY}:".encode()).decode()}
    due = time.monotonic()
    while not ended.wait(max(0.0, due - time.monotonic())):
        due += dice.expovariate(rate)
        connection.request("PUT", "/api/v1/opportunity/oppo_of_another_program/", body='{"value": 1}', headers=headers)
        connection.getresponse().read()
    connection.close()
