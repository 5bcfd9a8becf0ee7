"""Run DAGs with `dag.test()` on demand, in the process that a throw-away Airflow home starts.

Each line of stdin is one run, as JSON: `{"dag_id": "...", "logical_date": "2026-03-08T05:00:00+00:00", "conf": {...},
"until": null}`; `until` names the last task to run. The first line of stdout has the import errors of all DAG files,
each other line one run that ended. Everything that Airflow and the tasks print goes to stderr.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import time
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG


def main() -> None:
    """Run what stdin asks for, one after the other, until it ends."""
    steps, out = _own_streams()

    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag()
    _write(out, {"import_errors": bag.import_errors, "dag_ids": sorted(bag.dags)})
    for line in steps:
        step = json.loads(line)
        started = time.monotonic()
        dag: DAG = bag.dags[step["dag_id"]]
        if step["until"] is not None:
            dag = dag.partial_subset([step["until"]])
        run = dag.test(logical_date=dt.datetime.fromisoformat(step["logical_date"]), run_conf=step["conf"])
        result = {"dag_id": step["dag_id"], "logical_date": step["logical_date"], **_result(run)}
        _write(out, {**result, "seconds": round(time.monotonic() - started, 3)})


def _own_streams() -> tuple[IO[str], IO[str]]:
    """Return the real stdin and stdout; tasks get an empty stdin, and stderr for their stdout."""
    steps = os.fdopen(os.dup(sys.stdin.fileno()), encoding="utf-8")
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return steps, out


def _result(run: DagRun) -> dict[str, Any]:
    """Return the state of the run and of each task, and the reports and plans of the provider that tasks returned."""
    tasks = {}
    for ti in run.get_task_instances():
        returned = ti.xcom_pull(task_ids=ti.task_id)
        tasks[ti.task_id] = {
            "state": str(ti.state),
            "report": returned if isinstance(returned, dict) and "run_key" in returned else None,
        }
    return {"state": str(run.state), "tasks": tasks}


def _write(out: IO[str], line: dict[str, Any]) -> None:
    out.write(json.dumps(line) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
