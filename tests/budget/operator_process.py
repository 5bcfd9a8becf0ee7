"""Runs `UpdateOpportunityOperator` as workers would, each task in a process of its own.

A line of the input is a job in JSON (see `_job` in `over_http.py`), and so is a line of the output, when one has ended:
its `id`, outcomes, error, deferral, and what the report says of the budget. The operator has all its defaults but for
what the job names. A job may also ask for one of the ways that the operator is compared with. The first job runs here;
each later one runs in a fork, which has the imports of the first.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests are imported as `tests.folder.module`

from tests.budget.plain_clients import one_gate, threads_with_retry

FIELDS = {"arr": "deal_value", "note": "notes", "confidence": "confidence"}
DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def rows(first, count):
    """Return the rows of a job; no two of them have the same record."""
    return [
        {"id": f"oppo_{number:09d}", "arr": number + 0.5, "note": f"deal {number}", "confidence": number % 100}
        for number in range(first, first + count)
    ]


def run(job):
    """Run one job; return how it ended."""
    if job["way"] == "operator":
        return run_operator(job)
    way = {"threads": threads_with_retry, "gate": one_gate}[job["way"]]
    landed = way(job["url"], job["key"], range(job["first"], job["first"] + job["rows"]))
    return {"outcomes": {"updated": landed}, "groups": [], "error": None}


def run_operator(job):
    """Run one task."""
    from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
    from tests.operators.conftest import Run

    home = Path(job["home"])
    os.environ["AIRFLOW_HOME"] = str(home)  # where the ledger is by default
    os.environ["AIRFLOW_CONN_CLOSE_LIMITED"] = json.dumps(
        {"conn_type": "close", "host": job["url"], "password": job["key"]}
    )
    if job["ledger"]:
        os.environ["AIRFLOW_CONN_CRM_LEDGER"] = json.dumps(job["ledger"])
    ledger = {} if job["store"] else {"ledger_conn_id": None}
    task = UpdateOpportunityOperator(
        task_id=f"limited_{job['first']}",
        crm_conn_id="close_limited",
        data=rows(job["first"], job["rows"]),
        id_column="id",
        fields=FIELDS,
        timezone="UTC",
        budget_share=job["share"],
        rejects_path=str(home / f"rejects_{job['first']}.csv"),
        **({"ledger_conn_id": "crm_ledger"} if job["ledger"] else ledger),
    )
    end = Run(as_of=DAY)
    end.context["ti"].task_id, end.context["ti"].run_id = task.task_id, f"run_{job['first']}"
    before, began, core_wait = time.process_time(), time.monotonic(), waited_for_a_core()
    end.of(task.execute)
    report = end.report or {}
    return {
        "outcomes": report.get("outcomes", {}),
        "groups": report.get("budget", {}).get("groups", []),
        "error": None if end.error is None else str(end.error),
        "deferred": None if end.deferred is None else f"deferred: {end.deferred.trigger.serialize()}",
        "processor": time.process_time() - before,
        "seconds": time.monotonic() - began,
        "core_wait": waited_for_a_core() - core_wait,
    }


def waited_for_a_core():
    """Return the seconds for which the main thread had something to do and no core; 0 if they are unknown."""
    schedule = Path("/proc/self/schedstat")
    return int(schedule.read_text().split()[1]) / 1e9 if schedule.exists() else 0.0


def main():
    """Start jobs until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that no ended fork has to be waited for
    with contextlib.redirect_stdout(sys.stderr):  # where Airflow logs to
        answer(json.loads(sys.stdin.readline()), answers)
        for line in sys.stdin:
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                answer(json.loads(line), answers)
                os._exit(0)


def answer(job, answers):
    """Run a job and write how it ended, at the latest when its patience ends."""

    def give_up(*_):
        write({"outcomes": {}, "groups": [], "error": "It took too long."})
        os._exit(1)

    def write(end):
        print(json.dumps({"id": job["id"], **end}), file=answers, flush=True)

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(math.ceil(job["patience"]))
    end = run(job)
    signal.alarm(0)
    write(end)


if __name__ == "__main__":
    main()
