"""What OpenLineage's provider writes of a run, with its file transport, through real Airflow and PostgreSQL."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import psycopg2
import pytest

from airflow_provider_crm.demo.airflow_home import AirflowHome
from airflow_provider_crm.sandbox import Sandbox

TABLES = """
    CREATE SCHEMA marts;
    CREATE TABLE marts.deals (id text, arr numeric, day date);
    CREATE TABLE marts.notes (deal_id text, body text);
    INSERT INTO marts.deals VALUES ('oppo_1', 12.50, '2026-03-08'), ('oppo_2', 7, '2026-03-08'),
        ('oppo_gone', 1, '2026-03-08'), ('oppo_3', 5, '2026-03-09');
    INSERT INTO marts.notes SELECT id, 'from the warehouse' FROM marts.deals;
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory, airflow_db, new_database, monkeypatch_module):
    """Events of a run of which one of three rows is refused, account, database, and events of a run that lands."""
    url = new_database()
    with psycopg2.connect(url.render_as_string(hide_password=False)) as connection, connection.cursor() as cursor:
        cursor.execute(TABLES)
    connection.close()
    folder = tmp_path_factory.mktemp("lineage")
    (folder / "source").mkdir()
    (folder / "airflow").mkdir()
    shutil.copy(Path(__file__).with_name("lineage_dag.py"), folder / "source")
    monkeypatch_module.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
    monkeypatch_module.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(folder / "events.jsonl"))
    monkeypatch_module.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")
    warehouse = json.dumps(
        {"conn_type": "postgres", "host": url.query["host"], "login": url.username, "schema": url.database}
    )
    with Sandbox() as sandbox:
        for number in (1, 2, 3):
            sandbox.close.add_opportunity(f"oppo_{number}")
        connections = {**sandbox.connection_uris(), "postgres_warehouse": warehouse}
        home = AirflowHome(folder / "airflow", connections=connections, dags=folder / "source")
        shutil.copy(airflow_db, home.root)
        first, _ = home.run([("lineage", f"2026-03-0{day}T00:00:00+00:00") for day in (8, 9)])
        account = first.reports["deal_values"]["account"]
    lines = (folder / "events.jsonl").read_text().splitlines()
    events = [event for event in map(json.loads, lines) if event["job"]["name"] == "lineage.deal_values"]
    days = ([one for one in events if day(one) == wanted] for wanted in ("2026-03-08", "2026-03-09"))
    failed, landed = days
    return failed, account, url.database, landed


def day(event):
    """The day of the Dag run that an event is about."""
    return event["run"]["facets"]["airflow"]["dagRun"]["logical_date"][:10]


@pytest.fixture(scope="module")
def monkeypatch_module():
    """Environment for the whole module."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_the_start_tells_the_tables(told):
    """Before the first call the inputs are known: both tables of the query, with their columns."""
    events, _, database, _ = told
    start = next(event for event in events if event["eventType"] == "START")
    assert {one["name"] for one in start["inputs"]} == {f"{database}.marts.deals", f"{database}.marts.notes"}
    assert start["outputs"] == []
    assert start["job"]["facets"]["sql"]["query"].startswith("SELECT d.id")


def test_the_end_tells_the_opportunities_of_the_account(told):
    """One output, named as the asset is, also of a task that failed for one row."""
    events, account, *_ = told
    (end,) = [event for event in events if event["eventType"] == "FAIL"]
    (output,) = end["outputs"]
    assert (output["namespace"], output["name"]) == (f"crm://{account}", "opportunity")
    assert [one["name"] for one in output["facets"]["schema"]["fields"]] == ["deal_value", "notes"]
    assert len(end["inputs"]) == 2


def test_each_field_comes_from_its_columns(told):
    """The mapping is followed through the query: aliases and functions back to the columns of the tables."""
    events, _, database, _ = told
    output = next(event for event in events if event["eventType"] == "FAIL")["outputs"][0]
    lineage = {
        name: [(one["name"], one["field"]) for one in field["inputFields"]]
        for name, field in output["facets"]["columnLineage"]["fields"].items()
    }
    assert lineage == {
        "deal_value": [(f"{database}.marts.deals", "arr")],
        "notes": [(f"{database}.marts.notes", "body")],
    }


def test_columns_and_tables_are_of_one_namespace(told):
    """What the column lineage points to are datasets that the event names as inputs."""
    events, *_ = told
    end = next(event for event in events if event["eventType"] == "FAIL")
    inputs = {(one["namespace"], one["name"]) for one in end["inputs"]}
    fields = end["outputs"][0]["facets"]["columnLineage"]["fields"].values()
    assert {(one["namespace"], one["name"]) for field in fields for one in field["inputFields"]} == inputs


def test_the_counts_are_facets(told):
    """Rows written, in OpenLineage's own facet; rows by outcome and the run key in one of ours."""
    events, *_ = told
    facets = next(event for event in events if event["eventType"] == "FAIL")["outputs"][0]["outputFacets"]
    assert facets["outputStatistics"]["rowCount"] == 2
    assert facets["crm_outcomes"]["outcomes"] == {"updated": 2, "rejected": 1}
    assert facets["crm_outcomes"]["rows"] == 3
    assert facets["crm_outcomes"]["runKey"].startswith("lineage/deal_values/")


def test_a_run_that_lands_is_complete(told):
    """One START and one COMPLETE of the same run, the end with inputs, output, column lineage and counts."""
    _, account, database, landed = told
    start, end = landed
    assert [event["eventType"] for event in landed] == ["START", "COMPLETE"]
    assert start["run"]["runId"] == end["run"]["runId"]
    assert start["outputs"] == []
    tables = {f"{database}.marts.deals", f"{database}.marts.notes"}
    assert {one["name"] for one in start["inputs"]} == {one["name"] for one in end["inputs"]} == tables
    (output,) = end["outputs"]
    assert (output["namespace"], output["name"]) == (f"crm://{account}", "opportunity")
    assert set(output["facets"]["columnLineage"]["fields"]) == {"deal_value", "notes"}
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 1
    assert output["outputFacets"]["crm_outcomes"]["outcomes"] == {"updated": 1}
    assert "errorMessage" not in end["run"]["facets"]


def test_no_event_holds_a_secret_or_a_value(told):
    """The key of the CRM and the values of the rows stay out of lineage."""
    text = json.dumps([told[0], told[3]])
    assert [word for word in ("sandbox_key", "from the warehouse", "12.50") if word in text] == []
