"""The command line and the pytest fixture."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys

import pytest
import requests

OTHER_TEST = """
import sys

LIBRARIES = {"airflow", "fastapi", "pandas", "pendulum", "requests", "sqlalchemy", "starlette", "urllib3", "uvicorn"}


def test_other(request):
    assert request.config.pluginmanager.has_plugin("airflow_provider_crm")
    own = {name for name in sys.modules if name.startswith("airflow_provider_crm.")}
    assert own == {"airflow_provider_crm.testing", "airflow_provider_crm.testing.pytest_plugin"}
    assert LIBRARIES & sys.modules.keys() == set()
"""
DAG_TEST = """
import os
import requests

def test_it(crm_sandbox):
    assert crm_sandbox.url in os.environ["AIRFLOW_CONN_CLOSE_DEFAULT"]
    assert crm_sandbox.url in os.environ["AIRFLOW_CONN_RAZE_DEFAULT"]
    assert requests.get(crm_sandbox.url + "/health", timeout=5).status_code == 200

def test_afterwards():
    assert "AIRFLOW_CONN_CLOSE_DEFAULT" not in os.environ
"""


@pytest.fixture
def served():
    """Run the command line's process, serving on a free port, and return it with its first lines."""
    command = [sys.executable, "-m", "airflow_provider_crm.sandbox", "--port", "0", "--opportunities", "2"]
    # The processes of a job in the background ignore Ctrl-C, unless their parent does not.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            yield process, [process.stdout.readline().strip() for _ in range(9)]
            process.kill()
    finally:
        signal.signal(signal.SIGINT, before)


def connection(line):
    """Return the connection of an export line, read as a shell would."""
    _, assignment = shlex.split(line)
    return json.loads(assignment.partition("=")[2])


def test_prints_connections_that_work(served):
    """The printed connections and record ids lead to the served records."""
    _, lines = served
    close, raze, hubspot, salesforce = map(connection, lines[1:5])
    first_close, first_raze, first_hubspot, first = (line.partition(": ")[2].split(", ")[0] for line in lines[5:])
    answers = [
        requests.get(f"{close['host']}/api/v1/opportunity/{first_close}/", auth=(close["password"], ""), timeout=5),
        requests.get(
            f"{raze['host']}/external/v1/opportunities/{first_raze}", headers={"X-API-Key": raze["password"]}, timeout=5
        ),
        requests.get(
            f"{hubspot['host']}/crm/objects/2026-03/deals/{first_hubspot}",
            headers={"Authorization": f"Bearer {hubspot['password']}"},
            timeout=5,
        ),
        requests.get(
            f"{salesforce['host']}/services/data/v62.0/sobjects/Opportunity/{first}",
            headers={"Authorization": f"Bearer {salesforce['password']}"},
            timeout=5,
        ),
    ]
    assert [answer.status_code for answer in answers] == [200] * 4


def test_ctrl_c_ends_it_quietly(served):
    """Ctrl-C ends the process with status 0 and nothing on stderr."""
    process, _ = served
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_pytest_fixture(tmp_path):
    """The plugin's fixture runs a sandbox and sets both connections for the time of the test."""
    (tmp_path / "test_dag.py").write_text(DAG_TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "airflow_provider_crm.testing.pytest_plugin", "-W", "error"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_CONN_")}
    environment.pop("PYTEST_ADDOPTS", None)
    environment |= {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command += ["-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False, timeout=300
    )
    assert (done.returncode, "2 passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_the_plugin_loads_nothing_until_its_fixture_is_asked_for(tmp_path):
    """A user's test without the fixture runs in a pytest that found the plugin by its entry point, and nothing more.

    Not even the sandbox: of this package only the plugin and the folder that it is in, and no library that they use.
    """
    (tmp_path / "test_other.py").write_text(OTHER_TEST)
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:anyio", str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False, timeout=300
    )
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_every_public_name_of_the_sandbox_is_found():
    """Names are imported when they are first used: each one that is listed, and none besides."""
    from airflow_provider_crm import sandbox

    assert [name for name in sandbox.__all__ if getattr(sandbox, name) is None] == []
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sandbox.nothing
