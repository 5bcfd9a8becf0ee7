"""An Airflow with users, in which tasks have written to a CRM: what the pages have to show."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import requests

from airflow_provider_crm.demo.crm import fill
from airflow_provider_crm.demo.warehouse import deals, logical_date, write
from airflow_provider_crm.sandbox import Sandbox

from .collector import Collector, collector
from .standalone import standalone

ROOT = Path(__file__).parents[2]
USER, PASSWORD = "anna", "a password of the tests"
DAGS = ("close_daily_sql.py", "plan_approve_apply.py", "sharded.py")
DAILY, PLANNED, SHARDED = "close_daily_sql", "plan_approve_apply", "crm_sharded"
DIRTY, CLEAN = "2026-11-01", ("2026-10-29", "2026-10-30", "2026-10-31")
PLAN_DAY = "2026-10-28"
SHARDED_DAY = "2026-03-09"
_ENDS = ("success", "failed")


@dataclass(frozen=True)
class CrmAirflow:
    """A running Airflow, and what the tests need of it.

    Attributes:
        url: Where it is.
        api: Its REST API, as the user.
        sandbox: The CRMs.
        collector: Where its spans arrive.
        lineage: File of OpenLineage's events.
    """

    url: str
    api: Api
    sandbox: Sandbox
    collector: Collector
    lineage: Path

    @property
    def account(self):
        """Close's name in reports."""
        return f"close:{self.sandbox.url.removeprefix('http://')}:orga_sandbox"

    def page(self, name=""):
        """The address of a page inside Airflow."""
        return f"{self.url}/plugin/crm/crm/{name}"

    def run_page(self, dag_id=DAILY, task_id="deal_values", run_id=DIRTY):
        """The address of a run's page inside Airflow."""
        return self.page(f"run?run_key={quote(f'{dag_id}/{task_id}/{run_id}', safe='')}")


class Api:
    """Airflow's REST API, used by one user."""

    def __init__(self, url, log):
        self.url = url
        self.log = log
        self.http = requests.Session()

    def wait(self, what, condition, seconds=400):
        """Wait until something is so; returns what the condition found."""
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
        """Take a token by name and password."""
        told = {"username": USER, "password": PASSWORD}
        answer = self.http.post(f"{self.url}/auth/token", json=told, timeout=60).json()
        self.http.headers["Authorization"] = f"Bearer {answer['access_token']}"
        return True

    def call(self, method, path, **body):
        """One call of the public API."""
        answer = self.http.request(method, f"{self.url}/api/v2{path}", json=body or None, timeout=120)
        assert answer.ok, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def start(self, dag_id, run_id, day, hour=0):
        """Begin a run of a day."""
        self.call("POST", f"/dags/{dag_id}/dagRuns", dag_run_id=run_id, logical_date=logical_date(day, hour))

    def end(self, dag_id, run_id):
        """Wait for the end of a run; returns its state."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}"
        return self.wait(f"the end of {run_id}", lambda: (found := self.call("GET", path)["state"]) in _ENDS and found)

    def wait_for_question(self, run_id):
        """Wait until a run of the plan asks for approval, and may be answered."""
        path = f"/dags/{PLANNED}/dagRuns/{run_id}/taskInstances/approve"
        self.wait("the question", lambda: self.call("GET", path)["state"] == "awaiting_input")
        # Airflow 3.3 fails a task whose answer comes before its scheduler has noticed that the worker has let go of it.
        noticed = f"executor event with state success .*task_id='approve', run_id='{run_id}'"
        self.wait("letting go", lambda: re.search(noticed, self.log.read_text(errors="replace")))

    def approve(self, run_id):
        """Say yes."""
        path = f"/dags/{PLANNED}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"
        self.call("PATCH", path, chosen_options=["Approve"])

    def plan_id(self, run_id):
        """The plan that a run made."""
        path = f"/dags/{PLANNED}/dagRuns/{run_id}/taskInstances/plan/xcomEntries/plan_id"
        return self.call("GET", path)["value"]


@contextmanager
def crm_airflow(root, metadata):
    """Start everything, and let a few days be written: with refused rows, twice the same, by shards, and by a plan."""
    (root / "dags").mkdir()
    for name in DAGS:
        shutil.copy(ROOT / "example_dags" / name, root / "dags")
    rows = deals()
    write(root / "warehouse.db", rows)
    passwords = root / "passwords.json"
    passwords.write_text(json.dumps({USER: PASSWORD}))
    with Sandbox() as sandbox, collector() as spans:
        fill(sandbox, rows)
        sandbox.set(close_limit=100, close_window=1.0)
        warehouse = json.dumps({"conn_type": "sqlite", "host": str(root / "warehouse.db")})
        own = _environment(root, passwords, {**sandbox.connection_uris(), "warehouse": warehouse}) | spans.environment
        with standalone(root, own, metadata, parallelism=4) as airflow:
            api = Api(airflow.url, root / "standalone.log")
            api.wait("the API server", api.log_in)
            for dag_id in (DAILY, PLANNED, SHARDED):
                api.wait(dag_id, lambda path=f"/dags/{dag_id}": api.http.get(f"{api.url}/api/v2{path}", timeout=60).ok)
            _write_days(api)
            yield CrmAirflow(airflow.url, api, sandbox, spans, root / "lineage.jsonl")


def _environment(root, passwords, connections):
    """The environment of a home of its own; nothing of the test run's Airflow."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("AIRFLOW")} | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        "AIRFLOW_HOME": str(root),
        "AIRFLOW__CORE__DAGS_FOLDER": str(root / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "OPENLINEAGE__TRANSPORT__TYPE": "file",
        "OPENLINEAGE__TRANSPORT__LOG_FILE_PATH": str(root / "lineage.jsonl"),
        "OPENLINEAGE__TRANSPORT__APPEND": "true",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        **{f"AIRFLOW_CONN_{name.upper()}": value for name, value in connections.items()},
    }


def _write_days(api):
    """The history that the pages show; the last plan waits for its answer."""
    runs = [(DAILY, day, day) for day in (*CLEAN, DIRTY)]
    runs += [(DAILY, f"{CLEAN[0]}-again", CLEAN[0]), (SHARDED, "sharded", SHARDED_DAY), (PLANNED, "approved", PLAN_DAY)]
    for number, (dag_id, run_id, day) in enumerate(runs):
        api.start(dag_id, run_id, day, hour=number)
        if dag_id == PLANNED:
            api.wait_for_question(run_id)
            api.approve(run_id)
        api.end(dag_id, run_id)
    api.start(PLANNED, "waiting", "2026-03-10")
    api.wait_for_question("waiting")


def every_page(place):
    """The address of each page of the application, those that say that there is nothing included, by name."""
    dirty = f"run?run_key={DAILY}/deal_values/{DIRTY}"
    return {
        "overview": "",
        "overview-account": f"?account={quote(place.account, safe='')}",
        "run": dirty,
        "run-written": f"{dirty}&show=written",
        "run-nothing-found": f"{dirty}&q=no_such_row",
        "run-planned": f"run?run_key={PLANNED}/plan/approved",
        "dag-run": f"dag-run?dag_id={SHARDED}&run_id=sharded",
        "dag-run-nothing": f"dag-run?dag_id={SHARDED}&run_id=none",
        "task-nothing": f"task?dag_id={SHARDED}&run_id=none&task_id=x",
        "record": "record?record_id=oppo_1029_001",
        "record-nothing": "record?record_id=no_such_record",
        "plan": f"plan?plan_id={place.api.plan_id('approved')}",
        "plan-unchanged": f"plan?plan_id={place.api.plan_id('approved')}&show=unchanged",
        "plan-waiting": f"plan?plan_id={place.api.plan_id('waiting')}",
        "not-found": "run?run_key=no/such/run",
        "bad-address": "?page=x",
    }
