"""The example DAG under a real scheduler: a plan, an approval through Airflow's REST API, and what is written then."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_crm.sandbox import Sandbox

from .approvals import ApprovedRuns
from .running import Running, environment
from .standalone import standalone

pytestmark = pytest.mark.long

EXAMPLE = Path(__file__).parents[2] / "example_dags" / "plan_approve_apply.py"
DAY = "2026-10-28"


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
            running = Running(root, airflow, metadata)
            running.wait_until_ready(1)
            yield sandbox, ApprovedRuns(running, "plan_approve_apply")


def test_nothing_is_written_before_the_answer_and_nothing_after_a_no(world):
    """The approver sees the difference; "Reject" skips the application, and the CRM is as it was."""
    sandbox, runs = world
    question = runs.ask("no", f"{DAY}T06:00:00Z")
    assert r"| oppo\_3 | deal\_value | 1.00 | 300.50 | +299.50 | update |" in question["body"]
    assert runs.answer("no", "Reject")["apply"] == "skipped"
    assert sandbox.audit.writes == []


def test_after_a_yes_the_plan_is_written_and_nothing_else(world):
    """What a person changed between plan and approval stays; the rest is written as planned."""
    sandbox, runs = world
    runs.ask("yes", f"{DAY}T07:00:00Z")
    sandbox.close.add_opportunity("oppo_2", value=77_700)
    assert sandbox.audit.writes == []
    assert runs.answer("yes", "Approve") == dict.fromkeys(("deals", "plan", "approve", "apply"), "success")
    held = [sandbox.close.opportunity(f"oppo_{number}")["value"] for number in range(1, 4)]
    assert held == [10_050, 77_700, 30_050]
    assert runs.returned("yes", "apply")["outcomes"] == {"updated": 2, "skipped": 1}
