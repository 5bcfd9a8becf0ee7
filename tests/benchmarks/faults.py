"""How long rows take that fail now and then, and whether every outcome is true; beside threads that retry.

    python tests/benchmarks/faults.py [--rows 10000] [--rounds 2] [--latency 0.02]

Prints a Markdown table. `faulty_server.py`, a process of its own, refuses 0.25% of the calls without a word of a limit,
resets 1% of the connections after the write, answers 1% with a 500, and cuts 1% of its answers. The same calls fail for
both sides. One side is `UpdateOpportunityOperator` with all defaults. The other one is what one would write by hand: 16
threads, each with a session of `requests`, and the retry of urllib3. They take turns, each with a server of its own,
and the best round of each counts. An outcome is wrong if it says that a value landed which is not there, or the other
way round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from writers import DAY, Cost, body, deals  # noqa: E402 - after the path

from airflow_provider_crm.client.session import Session  # noqa: E402
from airflow_provider_crm.hooks.ledger import ledger_database  # noqa: E402
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator  # noqa: E402
from tests.operators.conftest import Run  # noqa: E402

FIELDS = {"arr": "deal_value", "note": "notes"}
THREADS = 16


@dataclass
class Waits:
    """The sleeps of a session's threads, in the order in which they began."""

    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Round:
    """The result of one way to write the rows.

    Attributes:
        cost: Its time.
        wrong: Rows with a false outcome.
        failed: Rows that are reported as failed.
        calls: Writing calls by their fault, as the server has counted them.
        waits: Seconds of each sleep; none of threads that urllib3 lets sleep.
    """

    cost: Cost
    wrong: int
    failed: int
    calls: Counter[str]
    waits: tuple[float, ...] = ()


class Measured(UpdateOpportunityOperator):
    """The operator, with a clock that notes how long threads sleep."""

    waits = Waits()

    def session_for(self, account: object) -> Session:
        """The session of the operator, but for its clock."""
        with super().session_for(account) as session:
            clock = session.clock
            rules = {"retry": session.retry, "budget": session.budget}

        def sleep(seconds: float) -> None:
            Measured.waits.seconds.append(seconds)
            clock.sleep(seconds)

        return Session(account, clock=replace(clock, sleep=sleep), **rules)


@contextlib.contextmanager
def vendor(latency: float) -> Iterator[str]:
    """The URL of a server that fails now and then."""
    command = [sys.executable, str(HERE / "faulty_server.py"), str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


def operator(url: str, rows: int) -> Round:
    """All defaults of the operator, in an Airflow home whose ledger has its tables already."""
    frame, Measured.waits = deals(rows), Waits()
    with tempfile.TemporaryDirectory() as home, contextlib.redirect_stdout(sys.stderr):  # where Airflow logs to
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AIRFLOW_CONN_FAULTS"] = json.dumps({"conn_type": "close", "host": url, "password": "key"})
        rejects = f"{home}/rejects.csv"
        task = Measured(
            task_id="faults",
            crm_conn_id="faults",
            data=frame,
            id_column="id",
            fields=FIELDS,
            timezone="UTC",
            rejects_path=rejects,
        )
        ledger_database("").open()
        began = Cost.now()
        run = Run(as_of=DAY).of(task.execute)
        cost = Cost.since(began)
        failed = {line.split(",")[1] for line in Path(rejects).read_text().splitlines()[1:]} if run.error else set()
    if run.report is None or sum(run.outcomes.values()) != rows:
        raise RuntimeError(run.error)
    return _judged(url, cost, set(frame["id"]) - failed, rows, tuple(Measured.waits.seconds))


def threads(url: str, rows: int) -> Round:
    """Threads that retry, and note for each row whether it landed."""
    own = threading.local()
    # For all methods; a second attempt goes at once, the third one after a second.
    retry = Retry(total=8, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None)

    def put(number: int) -> str | None:
        if not hasattr(own, "session"):
            own.session = requests.Session()
            own.session.auth = ("key", "")
            own.session.mount("http://", HTTPAdapter(max_retries=retry))
        record_id = f"oppo_{number:09d}"
        values = {key: value for key, value in body(number).items() if key != "confidence"}
        try:
            response = own.session.put(f"{url}/api/v1/opportunity/{record_id}/", json=values, timeout=30)
            response.raise_for_status()
            return str(response.json()["id"])
        except requests.RequestException:
            return None

    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it has a warning for each retry, which Airflow's log formats
    with ThreadPoolExecutor(THREADS) as executor:
        began = Cost.now()
        landed = set(executor.map(put, range(rows)))
        cost = Cost.since(began)
    return _judged(url, cost, landed - {None}, rows)


def _judged(url: str, cost: Cost, landed: set[str], rows: int, waits: tuple[float, ...] = ()) -> Round:
    """Compare what is said to have landed with what the server has."""
    written = requests.get(f"{url}/written", timeout=30).json()
    true = {
        record_id
        for number in range(rows)
        if written.get(record_id := f"oppo_{number:09d}", [None])[0] == body(number)["value"]
    }
    calls = Counter(requests.get(f"{url}/calls", timeout=30).json())
    return Round(cost, len(landed ^ true), rows - len(landed), calls, waits)


def measured(rows: int, rounds: int, latency: float) -> tuple[Round, Round]:
    """The best round of the operator, and of the threads."""
    results: list[tuple[Round, Round]] = []
    for _ in range(rounds):
        pair = []
        for way in (operator, threads):
            with vendor(latency) as url:
                pair.append(way(url, rows))
        results.append((pair[0], pair[1]))
    ours, theirs = (min(column, key=lambda one: one.cost.seconds) for column in zip(*results, strict=True))
    return ours, theirs


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--latency", type=float, default=0.02)
    chosen = parser.parse_args()
    ours, theirs = measured(chosen.rows, chosen.rounds, chosen.latency)
    print("| way | seconds | beside threads | CPU s | wrong outcomes | failed rows | calls | sleeps | slept s |")  # noqa: T201
    print("|---|---|---|---|---|---|---|---|---|")  # noqa: T201
    for name, one in (("operator", ours), (f"{THREADS} threads with retry", theirs)):
        ratio = one.cost.seconds / theirs.cost.seconds
        slept = f"{len(one.waits)} | {sum(one.waits):.0f}" if one is ours else "- | -"
        figures = f"{one.cost.seconds:.1f} | {ratio:.2f} | {one.cost.processor:.1f} | {one.wrong} | {one.failed}"
        print(f"| {name} | {figures} | {one.calls.total()} | {slept} |")  # noqa: T201


if __name__ == "__main__":
    main()
