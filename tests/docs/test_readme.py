"""The README is a front door: short, and its DAGs run as they stand."""

from __future__ import annotations

import json
import shutil

import pytest
import sqlalchemy as sa

from airflow_provider_crm.demo.airflow_home import AirflowHome
from airflow_provider_crm.sandbox import Sandbox
from tests.docs.pages import ROOT, blocks_of

README = ROOT / "README.md"
DAGS = [block.code for block in blocks_of(README) if block.language == "python"]
ROWS = """
    CREATE SCHEMA marts;
    CREATE TABLE marts.deals (day date, crm_id text, arr numeric(12, 2), currency text, won_at timestamptz);
    INSERT INTO marts.deals VALUES
        ('2026-11-26', 'oppo_1', 12500.50, 'USD', NULL),
        ('2026-11-26', 'oppo_2', 800, 'USD', '2026-11-27 03:30:00+00'),
        ('2026-11-25', 'oppo_1', 1, 'USD', NULL);
"""


def test_it_is_short():
    """It is read in one go."""
    assert README.stat().st_size <= 8_192


def test_the_last_dag_has_ten_lines():
    """A first DAG is written in ten lines, blank ones left out."""
    assert len([line for line in DAGS[-1].splitlines() if line]) == 10


@pytest.fixture(scope="module")
def ran(tmp_path_factory, airflow_db, new_database):
    """The reports of both DAGs, run against a sandbox and a warehouse in PostgreSQL, and the sandbox's records."""
    url = new_database()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(ROWS)
    engine.dispose()
    warehouse = {"conn_type": "postgres", "host": url.query["host"], "login": url.username, "schema": url.database}
    root, dags = tmp_path_factory.mktemp("airflow"), tmp_path_factory.mktemp("dags")
    for number, code in enumerate(DAGS):
        (dags / f"{number}.py").write_text(code)
    with Sandbox() as sandbox:
        for record_id in ("oppo_1", "oppo_2", "oppo_sandbox000001"):
            sandbox.close.add_opportunity(record_id)
        connections = {**sandbox.connection_uris(), "warehouse": json.dumps(warehouse)}
        home = AirflowHome(root, connections=connections, dags=dags)
        shutil.copy(airflow_db, root)
        with home.start() as process:
            runs = [
                process.run("deal_values", "2026-11-26T00:00:00-05:00"),
                process.run("first_deal", "2026-11-27T12:00:00+00:00"),
            ]
        yield runs, {record_id: sandbox.close.opportunity(record_id) for record_id in sandbox.close.records.ids()}


@pytest.mark.long
def test_its_dags_run_as_they_stand(ran):
    """Both are green, and every row landed."""
    runs, _ = ran
    assert [(run.state, *run.reports.values()) for run in runs if run.state != "success"] == []
    assert [report["outcomes"] for run in runs for report in run.reports.values()] == [{"updated": 2}, {"updated": 1}]


@pytest.mark.long
def test_their_values_are_in_the_crm(ran):
    """Amounts are exact, and a deal that was won at 03:30 in UTC was won on the day before in New York."""
    _, records = ran
    assert {record_id: (record["value"], record["date_won"]) for record_id, record in records.items()} == {
        "oppo_1": (1_250_050, None),
        "oppo_2": (80_000, "2026-11-26"),
        "oppo_sandbox000001": (1_250_050, None),
    }
