"""A running Airflow of a test's own, and all that is asked of it: its database, its REST API, its command line."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import requests
import sqlalchemy as sa

from .cluster import run, wait_for

# Several commands in one process: each is what `airflow ...` does, without loading Airflow again for it.
_COMMANDS = """
import json, sys
from airflow.cli.cli_parser import get_parser
for command in json.loads(sys.argv[1]):
    arguments = get_parser().parse_args(command)
    arguments.func(arguments)
"""
# Processes of Airflow start slowly where others use the machine; nothing waits for that long on an idle one.
_PATIENCE = 900


# Every task is forked from a worker: what that has loaded, no task has to load again.
_LOADED = """
import pandas, psycopg2
import airflow.providers.common.sql.hooks.sql, airflow.providers.sqlite.hooks.sqlite
import airflow_provider_crm.ledger.ledger, airflow_provider_crm.sync.row_run, airflow_provider_crm.client.session
import airflow_provider_crm.operators.opportunity, airflow_provider_crm.transfers.sql_to_opportunity
"""


def make_home(root, dags):
    """Put a file of DAGs into a new home, and let its processes load at once what tasks need."""
    (root / "dags").mkdir()
    shutil.copy(dags, root / "dags")
    load_at_once(root)


def load_at_once(root):
    """Let the processes of a home load at once what tasks need."""
    (root / "config").mkdir()
    (root / "config" / "airflow_local_settings.py").write_text(_LOADED)


def environment(root, connections, **more):
    """The environment of a home of its own; nothing of the test run's Airflow."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("AIRFLOW")} | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONWARNINGS": "ignore",
        "AIRFLOW_HOME": str(root),
        "AIRFLOW__CORE__DAGS_FOLDER": str(root / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        **{f"AIRFLOW_CONN_{name.upper()}": value for name, value in connections.items()},
        **more,
    }


class Running:
    """A running Airflow.

    Args:
        root: Its home.
        airflow: Its address and environment.
        metadata: The engine of its database.
    """

    def __init__(self, root, airflow, metadata):
        self.root, self.airflow, self.metadata = root, airflow, metadata
        self._http = requests.Session()

    def query(self, sql):
        """Rows of the metadata database."""
        with self.metadata.connect() as connection:
            return connection.execute(sa.text(sql)).fetchall()

    def wait(self, what, condition):
        """Wait until something is so; returns it."""
        return wait_for(self.root, what, _PATIENCE, condition)

    def wait_until_ready(self, number):
        """Wait until Airflow has read so many DAGs and answers; tasks that begin earlier would fail."""

        def read():
            with self.metadata.connect() as connection:
                known = sa.inspect(connection).has_table("serialized_dag")
            return known and self.query("SELECT count(DISTINCT dag_id) FROM serialized_dag")[0][0] == number

        self.wait("reading the DAGs", read)
        self.wait("logging in", self._log_in)

    def command(self, *commands):
        """Run commands of Airflow, one after the other."""
        texts = [list(map(str, command)) for command in commands]
        run(
            [sys.executable, "-c", _COMMANDS, json.dumps(texts)], self.airflow.environment, self.root, timeout=_PATIENCE
        )

    def call(self, method, path, **body):
        """One call of the REST API; every user is an administrator of this Airflow."""
        answer = self._http.request(method, f"{self.airflow.url}/api/v2{path}", json=body or None, timeout=120)
        assert answer.ok, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def _log_in(self):
        try:
            token = self._http.get(f"{self.airflow.url}/auth/token", timeout=60).json()["access_token"]
        except requests.RequestException:
            return False
        self._http.headers["Authorization"] = f"Bearer {token}"
        return True

    def unpause(self, *dag_ids):
        """Let the scheduler begin with DAGs."""
        for dag_id in dag_ids:
            self.call("PATCH", f"/dags/{dag_id}", is_paused=False)

    def post_run(self, dag_id, run_id, **dates):
        """Start a run by the REST API, as the UI does."""
        self.call("POST", f"/dags/{dag_id}/dagRuns", dag_run_id=run_id, **{"logical_date": None, **dates})
