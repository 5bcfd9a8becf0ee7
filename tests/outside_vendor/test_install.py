"""Both distributions as wheels in an environment of their own: what a user installs, and what a DAG does there.

Nothing of this checkout is on the path of that environment.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from airflow_provider_crm.demo.airflow_home import DagProcess
from tests.background import background
from tests.outside_vendor.distributions import ACME

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ("-c", str(ROOT / "constraints.txt"))
_NOT_INHERITED = ("AIRFLOW", "_AIRFLOW", "PYTHON", "VIRTUAL_ENV", "COV_", "PYTEST")


class Environment:
    """An environment with both wheels, and an Airflow home.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder):
        self.folder = folder
        self.python = folder / "environment" / "bin" / "python"
        self.variables = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)} | {
            "AIRFLOW_HOME": str(folder / "home"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ACME / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PATH": os.pathsep.join([str(self.python.parent), os.environ["PATH"]]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "ignore",
        }

    def install(self):
        """Build both wheels, and install them with the versions that `constraints.txt` names."""
        uv = shutil.which("uv") or self._new_uv()
        for source in (ROOT, ACME):
            self.run(uv, "build", "-q", "--wheel", "--out-dir", str(self.folder / "dist"), str(source))
        wheels = sorted(map(str, (self.folder / "dist").glob("*.whl")))
        self.run(uv, "venv", "-q", "--python", sys.executable, str(self.python.parents[1]))
        self.run(uv, "pip", "install", "-q", "--python", str(self.python), *CONSTRAINTS, *wheels, "pytest")

    def _new_uv(self):
        tools = self.folder / "tools" / "bin"
        self.run(sys.executable, "-m", "venv", str(tools.parent))
        self.run(str(tools / "python"), "-m", "pip", "install", "-q", "uv")
        return str(tools / "uv")

    def run(self, *command, **more):
        """Run a command to its end; returns what it printed, errors after the rest."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.variables | more, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        return done.stdout + done.stderr

    def started(self, *module, **more):
        """Run a module in the background; ends with the context."""
        return background([str(self.python), "-m", *module], self.folder, self.variables | more)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment, with migrated tables of Airflow."""
    made = Environment(tmp_path_factory.mktemp("clean"))
    made.install()
    made.run("airflow", "db", "migrate")
    return made


@pytest.fixture(scope="module")
def acme(environment):
    """The variables that lead to a sandbox with Acme in it, as the command prints them, and a reader of its deals."""
    with environment.started("airflow_provider_crm.sandbox", "--port", "0", "--opportunities", "3") as process:
        lines = [process.stdout.readline() for _ in range(8)]
        exported = [shlex.split(line)[1].partition("=") for line in lines if line.startswith("export ")]
        variables = {name: value for name, _, value in exported}
        connection = json.loads(variables["AIRFLOW_CONN_ACME_DEFAULT"])

        def deals():
            url = f"{connection['host']}/acme/v1/deals"
            headers = {"Authorization": f"Bearer {connection['password']}"}
            return {one["id"]: one for one in requests.get(url, headers=headers, timeout=10).json()["deals"]}

        yield variables, deals


def test_the_wheels_are_what_is_installed(environment):
    """The packages that are imported there are not those of this checkout."""
    code = "import acme_crm, airflow_provider_crm; print(acme_crm.__file__, airflow_provider_crm.__file__, sep='\\n')"
    paths = environment.run(str(environment.python), "-c", code).splitlines()[:2]
    assert [str(environment.python.parents[1]) in path and "site-packages" in path for path in paths] == [True, True]


def test_airflow_lists_the_hook(environment):
    """`airflow providers hooks` has it beside the package's own, and complains about none of them."""
    listed = environment.run("airflow", "providers", "hooks", "--output", "plain")
    rows = [line.split()[:2] for line in listed.splitlines()]
    assert ["acme", "acme_crm.hook.AcmeHook"] in rows
    assert ["close", "airflow_provider_crm.hooks.close.CloseHook"] in rows
    assert "inconsistency" not in listed.lower()
    assert "airflow-provider-acme" in environment.run("airflow", "providers", "list", "--output", "plain")


def test_dags_write_to_acme(environment, acme):
    """A plan writes nothing, its apply writes what was planned, an undo puts it back, and an operator writes notes."""
    variables, deals = acme
    before = deals()
    with environment.started("airflow_provider_crm.demo.run_dags", **variables) as process:
        dags = DagProcess(process)
        assert dags.dag_ids == ("acme_deals", "acme_notes", "acme_undo")
        day = "2026-03-02T05:00:00+00:00"
        planned = dags.run("acme_deals", day, until="plan")
        assert (planned.state, deals()) == ("success", before)
        run = dags.run("acme_deals", "2026-03-03T05:00:00+00:00")
        assert (run.state, run.reports["apply"]["outcomes"]) == ("success", {"updated": 2})
        written = deals()
        assert [written["deal_1"][key] for key in ("amount", "stage", "won_on")] == [1234.56, "won", "2026-03-01"]
        assert [written["deal_2"][key] for key in ("amount", "stage", "won_on")] == [99.9, "offer", None]
        undone = dags.run("acme_undo", day, conf={"run_key": run.reports["apply"]["run_key"]})
        assert (undone.state, deals()) == ("success", before)
        assert dags.run("acme_notes", day).reports["write"]["outcomes"] == {"updated": 1}
        assert deals()["deal_3"]["notes"] == "From the warehouse"


def test_the_contract_runs_there(environment):
    """The claims about every vendor are in the wheel, and the author's own tests run with it."""
    tests = shutil.copytree(ACME / "tests", environment.folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    told = environment.run(str(environment.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests))
    assert re.search(r"\n[1-9]\d\d+ passed, \d+ skipped in ", told), told
