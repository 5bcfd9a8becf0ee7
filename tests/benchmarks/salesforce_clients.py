r"""Three clients write the same rows into one local Salesforce: which rows does each of them report wrongly?

    python tests/benchmarks/salesforce_clients.py --python VENV/bin/python [--rows 5000] [--rounds 2]

`VENV` is an environment of its own for the two other clients, as ours needs neither. Install them first:

    uv venv VENV
    uv pip install -p VENV/bin/python -c constraints.txt apache-airflow drt-core==1.2.1 \
        apache-airflow-providers-salesforce==5.15.1

Ours is `UpdateOpportunityOperator`; the others are `SalesforceBulkOperator` (Bulk API 1.0) and the Salesforce
destination of drt (Bulk API 2.0). All have their defaults and go over real HTTP to the sandbox. `salesforce_writers.py`
runs each in a process of its own, on records of its own. A validation rule refuses 3% of the rows, products hold the
amount of 1%, 1% meet a lock at their first write, and 1% have the id of no record. In a second pass some answers are
lost after the org has done what the call asks for: for the others that of one call, which hands over all rows for good;
for ours, which has many calls that write, those of two. When a client has ended, the org goes on with its jobs.

A row is wrong if a client reports it as landed and the org does not hold its values, or the other way round. A task
that fails as a whole reports no row as landed. The fastest round of each client counts, and the most wrong rows of any
round. Every call takes `--latency` seconds, unless its answer is lost. The sandbox ends jobs as soon as their state is
asked for, while Salesforce queues them: the speed is that of the clients. Figures of memory are read from Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count, islice
from pathlib import Path
from typing import Any

import requests

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from airflow_provider_crm.sandbox import Sandbox  # noqa: E402 - after the path
from airflow_provider_crm.sandbox.salesforce.ids import OPPORTUNITY, numbered_id  # noqa: E402

REFUSED, HELD, LOCKED, MISSING = 0.03, 0.01, 0.01, 0.01
TOO_MUCH, FINE = 99, 10
COLUMNS = (
    "reported as landed, not held",
    "held, not reported as landed",
    "held",
    "named as not landed",
    "task",
    "seconds",
    "rows/s beside ours",
    "CPU s",
    "calls",
    "peak MB",
    "grown MB",
)
_SLOW = ("slow",)
_FIRST_MISSING = 10**8
_JOB = re.compile(r"/services/(?:async/[\d.]+/job|data/v[\d.]+/jobs/ingest)/750\w+")


@dataclass(frozen=True)
class Client:
    """One way to write the rows.

    Attributes:
        name: As `salesforce_writers.py` has it.
        title: For the table.
        method: That of the calls of which some lose their answers.
        faults: That of each of the first such calls.
    """

    name: str
    title: str
    method: str
    faults: tuple[str, ...]


CLIENTS = (
    Client("operator", "`UpdateOpportunityOperator`", "POST", (*_SLOW * 6, "reset_after", *_SLOW * 7, "truncated")),
    Client("bulk", "`SalesforceBulkOperator`", "POST", (*_SLOW * 2, "reset_after")),
    Client("drt", "drt-core", "PATCH", ("reset_after",)),
)


@dataclass(frozen=True)
class Result:
    """What a client said, and what the org holds.

    Attributes:
        answer: As `salesforce_writers.py` prints it.
        held: Rows whose values the org holds.
        not_there: Rows that are reported as landed, and are not held.
        denied: Rows that are held, and not reported as landed.
        calls: HTTP calls.
    """

    answer: Mapping[str, Any]
    held: int
    not_there: int
    denied: int
    calls: int


class Records:
    """New records for one client, and the rows that it is to write."""

    def __init__(self, sandbox: Sandbox, size: int, seed: int) -> None:
        rng, self._org = random.Random(seed), sandbox.salesforce
        numbers = rng.sample(range(1, size), size // 10)
        sizes = [round(part * size) for part in (REFUSED, HELD, LOCKED, MISSING)]
        refused, held, locked, missing = (
            set(numbers[sum(sizes[:at]) : sum(sizes[: at + 1])]) for at in range(len(sizes))
        )
        self.rows = [
            {
                "Id": self._id(one in missing, one in held, seed * size + one),
                "Amount": rng.randrange(200, 10**8) / 100,
                "Discount__c": TOO_MUCH if one in refused else FINE,
            }
            for one in range(size)
        ]
        sandbox.set(salesforce_locked_once_ids=frozenset(self.rows[one]["Id"] for one in locked))

    def _id(self, is_missing: bool, is_held: bool, number: int) -> str:
        if is_missing:
            return numbered_id(OPPORTUNITY, _FIRST_MISSING + number)
        return str(self._org.add_opportunity(Amount=1, HasOpportunityLineItem=is_held)["Id"])

    def held(self) -> set[str]:
        """Return the ids of the rows whose values the org holds."""
        return {row["Id"] for row in self.rows if self._is_held(row)}

    def _is_held(self, row: Mapping[str, Any]) -> bool:
        try:
            record = self._org.opportunity(row["Id"])
        except KeyError:
            return False
        return record["Amount"] == Decimal(str(row["Amount"])) and record["Discount__c"] == row["Discount__c"]


def run(sandbox: Sandbox, client: Client, python: str, records: Records) -> Result:
    """Let a client write its rows, and compare."""
    tokens = sandbox.salesforce.tokens
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "rows.json"
        path.write_text(json.dumps(records.rows))
        environment = {**os.environ, "AIRFLOW_HOME": home, "PYTHONWARNINGS": "ignore"}
        environment |= {"APP_KEY": tokens.client_id, "APP_SECRET": tokens.client_secret}
        command = [python, str(HERE / "salesforce_writers.py"), client.name, sandbox.url, str(path)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment, cwd=home)
    answer = json.loads(done.stdout.splitlines()[-1])
    calls = [one.path for one in sandbox.audit.calls]
    sandbox.set(fault_rates={})
    for job in sorted({found[0] for one in calls if (found := _JOB.match(one))}):
        token = sandbox.salesforce.access_token
        headers = {"Authorization": f"Bearer {token}", "X-SFDC-Session": token}
        requests.get(sandbox.url + job, headers=headers, timeout=60).raise_for_status()
    ids, held, not_landed = {row["Id"] for row in records.rows}, records.held(), answer["not_landed"]
    reported = set() if not_landed is None else ids - set(not_landed)
    return Result(answer, len(held), len(reported - held), len(held - reported), len(calls))


def table(results: Mapping[str, Result]) -> str:
    """Return the results as Markdown."""
    ours = next(iter(results.values())).answer["seconds"]
    lines = [
        f"| client | {' | '.join(COLUMNS)} |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for title, one in results.items():
        answer = one.answer
        failed_whole = answer["not_landed"] is None
        named = "none" if failed_whole else len(answer["not_landed"])
        ratio = "-" if failed_whole else f"{ours / answer['seconds']:.2f}"
        end = "green" if answer["is_green"] else "failed"
        cost = f"{answer['seconds']:.1f} | {ratio} | {answer['cpu']:.1f} | {one.calls}"
        memory = f"{answer['peak']:.0f} | {answer['grown']:.0f}"
        lines.append(f"| {title} | {one.not_there} | {one.denied} | {one.held} | {named} | {end} | {cost} | {memory} |")
    return "\n".join(lines)


def measured(
    sandbox: Sandbox, client: Client, python: str, *, rows: int, seeds: Iterable[int], latency: float
) -> Result:
    """Return the fastest round of a client, with the most wrong rows of any round."""
    results = []
    for seed in seeds:
        records = Records(sandbox, rows, seed)
        sandbox.audit.clear()
        sandbox.set(fault_rates={"slow": 1.0}, slow_seconds=latency)
        script = sandbox.script(faults=client.faults, method=client.method)
        results.append(run(sandbox, client, python, records))
        print(f"{client.name}: {results[-1].answer['words']}", file=sys.stderr)  # noqa: T201
        if script.left:
            msg = f"{client.name} made too few calls: {script.left} faults are left."
            raise RuntimeError(msg)
    fastest = min(results, key=lambda one: one.answer["seconds"])
    not_there, denied = max(one.not_there for one in results), max(one.denied for one in results)
    return replace(fastest, not_there=not_there, denied=denied)


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="interpreter that has the two other clients")
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds of each call")
    chosen = parser.parse_args()
    seeds = count()
    with Sandbox() as sandbox:
        for title, is_lossy in (("No answer is lost", False), ("Answers are lost", True)):
            results = {}
            for client in CLIENTS:
                python = sys.executable if client.name == "operator" else chosen.python
                results[client.title] = measured(
                    sandbox,
                    client if is_lossy else replace(client, faults=()),
                    python,
                    rows=chosen.rows,
                    seeds=islice(seeds, chosen.rounds),
                    latency=chosen.latency,
                )
            print(f"{title}, {chosen.rows} rows:\n\n{table(results)}\n", flush=True)  # noqa: T201 - the result


if __name__ == "__main__":
    main()
