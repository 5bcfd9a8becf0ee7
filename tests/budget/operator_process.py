"""Runs `UpdateOpportunityOperator` as a worker would, in a process of its own: one task for each line of its input.

A line is a job in JSON (see `measure` in `over_http.py`), and so is an answer: outcomes, error, deferral, and what the
report says of the budget. The operator has all its defaults but for what the job names. A job may also ask for one of
the ways that it is compared with.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
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
    before, began = time.process_time(), time.monotonic()
    end.of(task.execute)
    report = end.report or {}
    return {
        "outcomes": report.get("outcomes", {}),
        "groups": report.get("budget", {}).get("groups", []),
        "error": None if end.error is None else str(end.error),
        "deferred": None if end.deferred is None else str(end.deferred.timeout),
        "processor": time.process_time() - before,
        "seconds": time.monotonic() - began,
    }


def main():
    """Answer jobs until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    with contextlib.redirect_stdout(sys.stderr):  # where Airflow logs to
        run_imports()
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(run(json.loads(line))), file=answers, flush=True)


def run_imports():
    """Import what every task needs, so that the first one does not begin later than the others."""
    import airflow.sdk

    import airflow_provider_crm.operators.opportunity
    import airflow_provider_crm.sync.row_run
    import tests.operators.conftest

    return airflow.sdk, airflow_provider_crm, tests


if __name__ == "__main__":
    main()
