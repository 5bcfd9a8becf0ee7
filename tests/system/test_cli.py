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
