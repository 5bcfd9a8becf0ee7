"""Runs that ask a person for approval: started and answered through Airflow's REST API, as an approver's tool would."""

from __future__ import annotations

import re

ENDS = ("success", "failed")


class ApprovedRuns:
    """Runs of one DAG with a task `approve`.

    Args:
        running: The running Airflow; its DAG is not paused.
        dag_id: The DAG.
    """

    def __init__(self, running, dag_id):
        self._running, self._dag_id = running, dag_id
        self._log = running.root / "standalone.log"

    def ask(self, run_id, logical_date):
        """Start a run, and wait until it asks for approval; returns what it asks."""
        self._running.post_run(self._dag_id, run_id, logical_date=logical_date)
        busy = (None, "scheduled", "queued", "running")
        self._running.wait("the question", lambda: self.states(run_id).get("approve") not in busy)
        assert self.states(run_id)["approve"] == "awaiting_input"
        # Airflow 3.3 fails a task whose answer comes before its scheduler has noticed that the worker has let go of it.
        noticed = f"executor event with state success .*task_id='approve', run_id='{run_id}'"
        self._running.wait("letting go", lambda: re.search(noticed, self._log.read_text(errors="replace")))
        return self._running.call("GET", self._question(run_id))

    def answer(self, run_id, word):
        """Answer the question, and wait for the end of the run; returns the tasks' states."""
        self._running.call("PATCH", self._question(run_id), chosen_options=[word])
        return self.end(run_id)

    def end(self, run_id):
        """Wait for the end of a run; returns the tasks' states."""
        self._running.wait("the end", lambda: self._running.call("GET", self._path(run_id))["state"] in ENDS)
        return self.states(run_id)

    def states(self, run_id):
        """State by task."""
        found = self._running.call("GET", f"{self._path(run_id)}/taskInstances")["task_instances"]
        return {one["task_id"]: one["state"] for one in found}

    def returned(self, run_id, task_id):
        """The value that a task returned."""
        entry = f"{self._path(run_id)}/taskInstances/{task_id}/xcomEntries/return_value?deserialize=true"
        return self._running.call("GET", entry)["value"]

    def _question(self, run_id):
        return f"{self._path(run_id)}/taskInstances/approve/-1/hitlDetails"

    def _path(self, run_id):
        return f"/dags/{self._dag_id}/dagRuns/{run_id}"
