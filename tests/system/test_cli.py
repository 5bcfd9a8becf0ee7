"""The provider on Airflow's own command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def airflow(crm_sandbox, airflow_db):
    """Run an `airflow` command with the connections of the sandbox; returns its exit code and what it printed."""
    key = crm_sandbox.raze.add_key(permissions=["opportunities:write"])
    connections = {
        "AIRFLOW_CONN_WRITER": {"conn_type": "raze", "password": key, "host": crm_sandbox.url},
        "AIRFLOW_CONN_STRANGER": {"conn_type": "close", "password": "api_unknown", "host": crm_sandbox.url},
    }
    environment = {
        **os.environ,
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "PYTHONWARNINGS": "ignore",
        **{name: json.dumps(connection) for name, connection in connections.items()},
    }

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments], env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.long
def test_connections_are_tested_from_the_command_line(airflow):
    """`airflow connections test` passes a Raze key that may only write, and tells why an unknown Close key fails."""
    code, told = airflow("connections", "test", "writer")
    assert (code, "Connection success!" in told) == (0, True)
    code, told = airflow("connections", "test", "stranger")
    assert code != 0
    assert "Close answered 401: Unauthorized." in told
    assert "api_unknown" not in told


@pytest.mark.long
def test_the_provider_is_listed_without_a_complaint(airflow):
    """`airflow providers list` and `hooks` show the provider, and no line of warning names it."""
    for topic, wanted in (("list", "airflow-provider-crm"), ("hooks", "airflow_provider_crm.hooks.raze.RazeHook")):
        code, told = airflow("providers", topic, "--output", "plain")
        assert code == 0
        assert wanted in told
        complaints = [line for line in told.splitlines() if "crm" in line.lower() and "warn" in line.lower()]
        assert complaints == []


@pytest.mark.long
def test_a_new_key_is_confirmed_from_the_command_line(airflow):
    """`airflow crm` finds connections where they are, also in Airflow's own database, and says what is missing."""
    code, told = airflow("connections", "add", "kept", "--conn-type", "raze", "--conn-password", "gr_live_kept")
    assert code == 0, told
    code, told = airflow("crm", "account", "confirm", "kept")
    assert (code, "Connection 'kept' was not used with this ledger yet" in told) == (0, True)
    code, told = airflow("crm", "fence", "clear", "close:nobody:here")
    assert code == 1
    assert "The ledger knows no account 'close:nobody:here'" in told
    assert "Traceback" not in told


@pytest.mark.long
def test_the_commands_of_a_shell(airflow):
    """Nothing but JSON on the standard output, one sentence on the standard error, and the exit code."""
    code, told = airflow("crm", "doctor", "writer", "-o", "json", "--ledger-conn-id", "nowhere")
    assert code == 1
    assert "AIRFLOW_CONN_NOWHERE" in told
    code, told = airflow("crm", "runs", "--since", "yesterday")
    assert code == 2
    assert "'yesterday' is no date or time such as 2026-11-30" in told
    code, told = airflow("crm", "plan", "show", "plan-9")
    assert code == 1
    assert "Traceback" not in told


@pytest.mark.long
def test_json_is_for_pipes(crm_sandbox, airflow_db, tmp_path):
    """The log goes elsewhere, as with Airflow's own commands."""
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "airflow", "crm", "doctor", "close_default", "-o", "json", "-v"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = {one["check"]: one["state"] for one in json.loads(done.stdout)}
    assert (done.returncode, found["authentication"]) == (0, "ok")
