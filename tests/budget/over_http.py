"""Measures how much of a limit a run uses over real HTTP, and how many of its calls are refused.

The vendor is `limited_server.py`, the run is `UpdateOpportunityOperator` with all its defaults, each in processes of
their own. All figures are the server's: when it accepted and refused which call.

Used is `ideal time / time`, from the first accepted call of the runs to their last one. The ideal is that of a client
that knows the limiter, has no latency, and sends each call at the first moment at which the limiter accepts it. So
after its first call it has sent `n` more calls, under a limit of `L` per `W` seconds (times the run's share of it),
after these seconds:

| kind | seconds |
|---|---|
| `aligned` | 0 for `n < L`, else the rest of the first window + `W * (floor(n / L) - 1)` |
| `first_call`, `sliding` | `W * floor(n / L)` |
| `bucket` | `max(0, n + 1 - L) * W / L`: it is full at the start |

The number of rows is one more than a multiple of `L`, so that neither a burst nor an even spread of the calls is at an
advantage. Of a run with a share the figure is that share times `ideal time / time`. Used later is the same without the
first third of the calls, in which a run starts and finds out which limit it faces: from the first call of a window to
a call that is the first of a later window for the ideal client. For a bucket it is there `n * W / L`.
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.budget.limited_server import Call, VendorSetup, limited_server
from tests.budget.limiters import DAY

PROCESS = Path(__file__).with_name("operator_process.py")
KEY, OTHER_KEY = "key-of-the-runs", "key-of-another-program"
START_UP = 60.0  # seconds that a run may take beyond a multiple of its ideal time
FIRST_START = 600.0  # the first one, which imports Airflow, on a busy machine
SLOWEST = 4.0


@dataclass(frozen=True)
class Cell:
    """One measurement.

    Attributes:
        kind: Kind of the limit, see `limiters.py`.
        limit: Units per window.
        seconds: Length of a window.
        announces: What the answers say of it, see `limited_server.py`.
        store: Where the runs share the limit: "none", "sqlite" or "postgresql".
        processes: Number of runs at once, each in a process of its own.
        share: Part of the limit that the runs may use.
        other: Part of the limit that another program takes at random times.
        lasts: Seconds that the ideal client takes, about.
        way: "operator", or what it is compared with: "threads" or "gate".
        day: Limit of a day beside this one; 0 for none.
        day_used: Units of the day that are used up already.
    """

    kind: str
    limit: int
    seconds: float
    announces: str = "seconds"
    store: str = "sqlite"
    processes: int = 1
    share: float = 1.0
    other: float = 0.0
    lasts: float = 12.0
    way: str = "operator"
    day: int = 0
    day_used: int = 0

    @property
    def allowed(self) -> float:
        """Units per window that the runs may use."""
        return self.limit * self.share

    @property
    def setup(self) -> VendorSetup:
        """What the server does."""
        limits = [(self.kind, self.limit, self.seconds, 0)]
        return VendorSetup(
            (*limits, ("aligned", self.day, DAY, self.day_used)) if self.day else tuple(limits), self.announces
        )

    @property
    def rows(self) -> int:
        """Rows that the ideal client writes in `lasts` seconds."""
        windows = max(1, round(self.lasts / self.seconds))
        if self.kind == "bucket":
            return round(self.allowed * (1 + (1 - self.other) * self.lasts / self.seconds))
        return round(self.allowed * (1 - self.other)) * windows + 1

    def ideal(self, calls: int, *, begins: float = 0.0) -> float:
        """Return the seconds after which the ideal client has sent that many calls after its first one.

        Args:
            calls: The calls after the first one.
            begins: The time of the first one on the server's clock.
        """
        if self.kind == "bucket":
            return max(0.0, calls + 1 - self.allowed) * self.seconds / self.allowed
        windows = math.floor(calls / self.allowed + 1e-9)
        if self.kind == "aligned" and windows:
            return windows * self.seconds - (begins + self.setup.phase * self.seconds) % self.seconds
        return windows * self.seconds


@dataclass(frozen=True)
class Use:
    """What came out.

    Attributes:
        used: Part of the limit that all programs used together, see above; None if nothing had to wait.
        later: The same without the start; None if the rest is shorter than a window.
        accepted: Calls that the server accepted from the runs.
        refused: Calls that it refused to them.
        other: Calls of the other program: all, and those that were refused.
        peak: The most that the runs used of a window of the limiter, as a part of the whole limit.
        ends: How the runs ended.
        core_wait: Seconds that the server waited for a core whenever it had something to do; 0 if it is not known.
    """

    used: float | None
    later: float | None
    accepted: int
    refused: int
    other: tuple[int, int]
    peak: float
    ends: tuple[dict[str, Any], ...]
    core_wait: float = 0.0

    @property
    def refused_part(self) -> float:
        """Part of the runs' calls that was refused."""
        return self.refused / max(1, self.refused + self.accepted)

    @property
    def failures(self) -> list[str]:
        """How runs ended that did not write all their rows."""
        failed = [end for end in self.ends if end["outcomes"].keys() != {"updated"}]
        return [str(end.get("error") or end.get("deferred") or end["outcomes"]) for end in failed]


def use_of(cell: Cell, calls: Sequence[Call], ends: Sequence[dict[str, Any]] = ()) -> Use:
    """Return what the server's record of the calls says."""
    own = [call for call in calls if call.key == KEY]
    other = [call for call in calls if call.key != KEY]
    times = [call.at for call in own if call.accepted]
    accepted = [call.at for call in calls if call.accepted and times[0] <= call.at <= times[-1]]
    took = times[-1] - times[0]
    whole = replace(cell, share=1.0) if cell.other else cell
    ideal = whole.ideal(len(accepted) - 1, begins=times[0])
    return Use(
        used=whole.share * ideal / took if ideal else None,
        later=later_use(whole, accepted),
        accepted=len(times),
        refused=sum(not call.accepted for call in own),
        other=(len(other), sum(not call.accepted for call in other)),
        peak=peak(cell, times),
        ends=tuple(ends),
    )


def later_use(cell: Cell, times: Sequence[float]) -> float | None:
    """Return what was used after the first third of these calls; None if that is less than a window."""
    opens = [number for number, opened in enumerate(_openings(cell, times)) if opened and number >= len(times) / 3]
    if not opens:
        return None
    first, steps = opens[0], 1 if cell.kind == "bucket" else cell.allowed
    count = round(math.floor((len(times) - 1 - first) / steps + 1e-9) * steps)
    if not count:
        return None
    begins = times[first]
    ideal = count * cell.seconds / cell.allowed if cell.kind == "bucket" else cell.ideal(count, begins=begins)
    return cell.share * ideal / (times[first + count] - begins)


def _openings(cell: Cell, times: Sequence[float]) -> Iterator[bool]:
    """Return of each call whether it is the first one of a window; every call is, where there are no windows."""
    ends = -math.inf
    for at in times:
        yield at >= ends or cell.kind in {"sliding", "bucket"}
        if at >= ends:
            passed = (at + cell.setup.phase * cell.seconds) % cell.seconds if cell.kind == "aligned" else 0.0
            ends = at - passed + cell.seconds


def peak(cell: Cell, times: Sequence[float]) -> float:
    """Return the most that these calls used of one window of the limiter, as a part of the limit.

    Of a bucket it is the most that they took in any time, as a part of its tokens and of those that came in that time.
    """
    length = cell.seconds
    if cell.kind == "aligned":
        return max(Counter((at + cell.setup.phase * length) // length for at in times).values()) / cell.limit
    if cell.kind == "bucket":
        rate = cell.limit / length
        return max(
            (last - first + 1) / (cell.limit + rate * (times[last] - times[first]))
            for first in range(len(times))
            for last in range(first, len(times))
        )
    if cell.kind == "first_call":
        most, begun, counted = 0, -math.inf, 0
        for at in times:
            begun, counted = (at, 1) if at >= begun + length else (begun, counted + 1)
            most = max(most, counted)
        return most / cell.limit
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - length:
            first += 1
        most = max(most, last - first + 1)
    return most / cell.limit


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
