"""The example DAG under a real scheduler: a plan, an approval through Airflow's REST API, and what is written then."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
import requests

from airflow_provider_crm.sandbox import Sandbox

from .running import environment
from .standalone import standalone

pytestmark = pytest.mark.long

EXAMPLE = Path(__file__).parents[2] / "example_dags" / "plan_approve_apply.py"
DAG_ID = "plan_approve_apply"
DAY = "2026-10-28"


class Api:
    """Airflow's REST API, as an approver's own tool would use it."""

    def __init__(self, url, log):
        self.url = url
        self.log = log
        self.http = requests.Session()

    def wait(self, what, condition, seconds=400):
        """Wait until something is so; returns it."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = condition()
            except (requests.RequestException, KeyError):
                found = None
            if found:
                return found
            tail = self.log.read_text(errors="replace")[-4000:]
            assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s.\n{tail}"
            time.sleep(0.5)

    def log_in(self):
        """Take a token; every user is an administrator of this Airflow."""
        token = self.http.get(f"{self.url}/auth/token", timeout=60).json()["access_token"]
        self.http.headers["Authorization"] = f"Bearer {token}"
        return True

    def call(self, method, path, **body):
        """One call of the public API."""
        answer = self.http.request(method, f"{self.url}/api/v2{path}", json=body or None, timeout=120)
        assert answer.ok, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def states(self, run_id):
        """State by task."""
        found = self.call("GET", f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {one["task_id"]: one["state"] for one in found}


@pytest.fixture(scope="module")
def world(tmp_path_factory, metadata):
    """A sandbox with three deals, a warehouse that knows better, and a running Airflow."""
    root = tmp_path_factory.mktemp("home")
    (root / "dags").mkdir()
    shutil.copy(EXAMPLE, root / "dags")
    with closing(sqlite3.connect(root / "warehouse.db")) as database, database:
        database.execute("CREATE TABLE deals (day TEXT, close_id TEXT, arr TEXT, health TEXT)")
        database.executemany(
            "INSERT INTO deals VALUES (?, ?, ?, 'green')",
            [(DAY, f"oppo_{number}", f"{number}00.50") for number in range(1, 4)],
        )
    with Sandbox() as sandbox:
        for number in range(1, 4):
            sandbox.close.add_opportunity(f"oppo_{number}", value=100)
        warehouse = json.dumps({"conn_type": "sqlite", "host": str(root / "warehouse.db")})
        connections = {**sandbox.connection_uris(), "warehouse": warehouse}
        own = environment(root, connections, AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION="False")
        with standalone(root, own, metadata, parallelism=2) as airflow:
            api = Api(airflow.url, root / "standalone.log")
            api.wait("the API server", api.log_in)
            api.wait("reading the DAG", lambda: api.http.get(f"{api.url}/api/v2/dags/{DAG_ID}", timeout=60).ok)
            yield sandbox, api


def planned(api, run_id):
    """Start a run, and wait until it asks for approval; returns what it asks."""
    moment = f"{DAY}T0{4 + len(run_id)}:00:00Z"
    api.call("POST", f"/dags/{DAG_ID}/dagRuns", dag_run_id=run_id, logical_date=moment)
    api.wait("the question", lambda: api.states(run_id).get("approve") not in (None, "scheduled", "queued", "running"))
    assert api.states(run_id)["approve"] == "awaiting_input"
    # Airflow 3.3 fails a task whose answer comes before its scheduler has noticed that the worker has let go of it.
    noticed = f"executor event with state success .*task_id='approve', run_id='{run_id}'"
    api.wait("letting go", lambda: re.search(noticed, api.log.read_text(errors="replace")))
    return api.call("GET", f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails")


def answer(api, run_id, word):
    """Answer the question, and wait for the end of the run; returns the tasks' states."""
    api.call("PATCH", f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails", chosen_options=[word])
    ends = ("success", "failed")
    api.wait("the end", lambda: api.call("GET", f"/dags/{DAG_ID}/dagRuns/{run_id}")["state"] in ends)
    return api.states(run_id)


def test_nothing_is_written_before_the_answer_and_nothing_after_a_no(world):
    """The approver sees the difference; "Reject" skips the application, and the CRM is as it was."""
    sandbox, api = world
    question = planned(api, "no")
    assert r"| oppo\_3 | deal\_value | 1.00 | 300.50 | +299.50 | update |" in question["body"]
    assert answer(api, "no", "Reject")["apply"] == "skipped"
    assert sandbox.audit.writes == []


def test_after_a_yes_the_plan_is_written_and_nothing_else(world):
    """What a person changed between plan and approval stays; the rest is written as planned."""
    sandbox, api = world
    planned(api, "yes")
    sandbox.close.add_opportunity("oppo_2", value=77_700)
    assert sandbox.audit.writes == []
    assert answer(api, "yes", "Approve") == dict.fromkeys(("deals", "plan", "approve", "apply"), "success")
    held = [sandbox.close.opportunity(f"oppo_{number}")["value"] for number in range(1, 4)]
    assert held == [10_050, 77_700, 30_050]
    entry = f"/dags/{DAG_ID}/dagRuns/yes/taskInstances/apply/xcomEntries/return_value?deserialize=true"
    assert api.call("GET", entry)["value"]["outcomes"] == {"updated": 2, "skipped": 1}
