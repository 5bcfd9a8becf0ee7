"""Mapped and templated operators in real Airflow."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

DAG_FILE = """
import pendulum
from airflow.sdk import DAG, task

from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator


@task
def batches():
    return [[{"id": f"oppo_{number}", "arr": number}] for number in (1, 2, 3)]


@task
def frame():
    import pandas as pd

    return pd.DataFrame({"id": ["oppo_1"], "arr": [424_242_424]})


@task
def page(number):
    return [{"id": f"oppo_{number}", "note": f"page {number}"}]


with DAG("mapped", schedule=None, start_date=pendulum.datetime(2026, 1, 1), params={"crm": "close_default"}):
    UpdateOpportunityOperator.partial(
        task_id="values",
        crm_conn_id="{{ params.crm }}",
        id_column="id",
        fields={"arr": "{{ 'deal_' ~ 'value' }}"},
        rejects_path="FOLDER/{{ ti.map_index }}-{{ ds }}.csv",
    ).expand(data=batches())

with DAG("unmapped", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    ways = {"crm_conn_id": "close_default", "id_column": "id", "fields": {"arr": "deal_value"}, "dry_run": True}
    UpdateOpportunityOperator(task_id="output", data=frame(), **ways)
    UpdateOpportunityOperator(task_id="literal", data=[{"id": "oppo_1", "arr": "{{ 424_242 + 424_000 }}"}], **ways)
    UpdateOpportunityOperator(task_id="text", data="{{ [{'id': 'oppo_1', 'arr': 424_242}] }}", **ways)
    notes = {**ways, "fields": {"note": "notes"}, "dry_run": False}
    UpdateOpportunityOperator(task_id="gathered", data=page.expand(number=[1, 3]), **notes)
    UpdateOpportunityOperator(task_id="path", data="/nowhere/{{ ds }}.csv", **ways)
"""


@pytest.fixture(scope="module")
def ran(world, row, tmp_path_factory):
    """The sandbox after one run in which the second of three batches has an id that Close does not know."""
    made = world([row("2026-03-10", number) for number in (1, 3)], dags=())
    folder = tmp_path_factory.mktemp("rejects")
    (made.home.dags / "mapped.py").write_text(DAG_FILE.replace("FOLDER", str(folder)))
    day = "2026-03-10T00:00:00+00:00"
    run, _ = made.home.run([("mapped", day), ("unmapped", day)])
    return made, run, folder


def rendered_data(home, dag_id):
    """What Airflow's database has of the argument `data`, by task and map index."""
    with closing(sqlite3.connect(home.root / "airflow.db")) as database:
        query = "SELECT task_id, map_index, rendered_fields FROM rendered_task_instance_fields WHERE dag_id = ?"
        rows = database.execute(query, (dag_id,)).fetchall()
    return {(name, index): json.loads(fields).get("data") for name, index, fields in rows}


def test_each_mapped_task_writes_its_own_rows(ran):
    """Batches land on their own; the one with an unknown id fails alone."""
    made, run, _ = ran
    sandbox = made.sandbox
    assert run.state == "failed"
    assert [sandbox.close.opportunity(f"oppo_{number}")["value"] for number in (1, 3)] == [100, 300]


def test_one_task_writes_the_outputs_of_a_mapped_task(ran):
    """All outputs of a mapped task are the rows of one task that is not mapped."""
    made, _, _ = ran
    assert [made.sandbox.close.opportunity(f"oppo_{number}")["note"] for number in (1, 3)] == ["page 1", "page 3"]


def test_templates_are_rendered_for_each_mapped_task(ran):
    """Connection, fields and paths are templates: each task has its own rejects file, and only one holds a row."""
    _, _, folder = ran
    lines = {path.name: path.read_text().count("\n") - 1 for path in folder.iterdir()}
    assert lines == {"0-2026-03-10.csv": 0, "1-2026-03-10.csv": 1, "2-2026-03-10.csv": 0}


def test_rows_do_not_stand_in_airflows_database(ran):
    """Of `data` Airflow stores what it is: of mapped tasks, frames, lists and text; a path stands there whole."""
    made, _, _ = ran
    batch = "list, 1 row, columns: id, arr"
    assert rendered_data(made.home, "mapped") == {("batches", -1): None} | {
        ("values", index): batch for index in range(3)
    }
    assert rendered_data(made.home, "unmapped") == {
        ("frame", -1): None,
        ("page", 0): None,
        ("page", 1): None,
        ("gathered", -1): "LazyXComSequence",
        ("output", -1): "DataFrame, 1 row, columns: id, arr",
        ("literal", -1): batch,
        ("text", -1): "text of 33 characters that looks like rows",
        ("path", -1): "/nowhere/2026-03-10.csv",
    }
