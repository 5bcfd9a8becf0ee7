"""Runs DAGs with `dag.test()` and tells each result as a JSON line; the process that a throw-away Airflow home starts.

Its argument is JSON: `[{"dag_id": "...", "logical_date": "2026-03-08T05:00:00+00:00"}, ...]`. The first line tells the
import errors of all DAG files, each other line one run. Everything that Airflow and the tasks print goes to stderr.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG


def main(plan: list[dict[str, str]]) -> None:
    """Run the planned DAGs, one after the other."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag()
    _tell(out, {"import_errors": bag.import_errors, "dag_ids": sorted(bag.dags)})
    for step in plan:
        started = time.monotonic()
        dag: DAG = bag.dags[step["dag_id"]]
        run = dag.test(logical_date=dt.datetime.fromisoformat(step["logical_date"]))
        _tell(out, {**step, **_result(run), "seconds": round(time.monotonic() - started, 3)})


def _result(run: DagRun) -> dict[str, Any]:
    """The state of the run and of each task; what a task returned, if that is a report of the provider."""
    tasks = {}
    for ti in run.get_task_instances():
        returned = ti.xcom_pull(task_ids=ti.task_id)
        tasks[ti.task_id] = {
            "state": str(ti.state),
            "report": returned if isinstance(returned, dict) and "outcomes" in returned else None,
        }
    return {"state": str(run.state), "tasks": tasks}


def _tell(out: Any, line: dict[str, Any]) -> None:  # noqa: ANN401 - a text file
    out.write(json.dumps(line) + "\n")
    out.flush()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
