"""A task that a signal ends reports first: real signals to a real process, over HTTP."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from airflow_provider_crm.report.rejects_file import read_rejects

from .signalled_task import ROWS

ENDS = {
    "SIGTERM": ("SystemExit", "The task was ended by SIGTERM before all rows were processed."),
    "SIGALRM": (
        "AirflowTaskTimeout",
        "The task reached its execution_timeout before all rows were processed.",
    ),
    "SIGINT": ("KeyboardInterrupt", "The task was interrupted before all rows were processed."),
}


def ended_task(crm_sandbox, folder, name):
    """Send a signal to a task that has written some rows; returns what it printed, and how many rows landed."""
    folder.mkdir()
    crm_sandbox.audit.clear()
    for number in range(ROWS):
        crm_sandbox.close.add_opportunity(f"oppo_{number}", value=1)
    uris = {f"AIRFLOW_CONN_{key.upper()}": uri for key, uri in crm_sandbox.connection_uris().items()}
    task = subprocess.Popen(
        [sys.executable, "-m", "tests.operators.signalled_task", str(folder / "rejects.parquet")],
        env={**os.environ, **uris, "AIRFLOW_HOME": str(folder), "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 120
        while crm_sandbox.audit.count(method="PUT") < 20 and time.monotonic() < until:
            time.sleep(0.02)
        task.send_signal(getattr(signal, name))
        printed, _ = task.communicate(timeout=60)
    finally:
        task.kill()
    landed = sum(crm_sandbox.close.opportunity(f"oppo_{number}")["value"] > 1 for number in range(ROWS))
    return json.loads(printed.splitlines()[-1]), landed


@pytest.mark.long
@pytest.mark.parametrize("name", ENDS)
def test_what_landed_is_reported_before_the_process_ends(crm_sandbox, tmp_path, name):
    """XCom and ledger have one report with the CRM's counts, the rejects file is whole, only rows in doubt are claimed.

    Python drops an exception that a signal's handler raises within the callback of a weak reference. A task that so
    never heard of the signal goes on to its end, and says nothing here.
    """
    crm_sandbox.set(fault_rates={"slow": 1.0}, slow_seconds=0.05)
    for number in range(3):
        folder = tmp_path / str(number)
        end, landed = ended_task(crm_sandbox, folder, name)
        if end["ended_by"] != "nothing":
            break
    report = end["xcom"]["return_value"]
    assert (end["ended_by"], report["ended_early"]) == ENDS[name]
    assert 20 <= landed < ROWS
    assert landed - report["outcomes"].get("unknown", 0) <= report["outcomes"]["updated"] <= landed
    with closing(sqlite3.connect(folder / "crm_ledger.db")) as ledger:
        ((finished_at, stored),) = ledger.execute("SELECT finished_at, report FROM crm_runs").fetchall()
        claimed = ledger.execute("SELECT count(*) FROM crm_field_states WHERE claim_token IS NOT NULL").fetchone()
    assert finished_at is not None
    assert json.loads(stored) == report
    in_doubt = report["outcomes"].get("unknown", 0)
    assert claimed == (in_doubt,)
    assert len(list(read_rejects(folder / "rejects.parquet"))) == in_doubt
