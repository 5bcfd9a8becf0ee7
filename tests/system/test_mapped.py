"""Mapped and templated operators in real Airflow."""

from __future__ import annotations

import pytest

DAG_FILE = """
import pendulum
from airflow.sdk import DAG, task

from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator


@task
def batches():
    return [[{"id": f"oppo_{number}", "arr": number}] for number in (1, 2, 3)]


with DAG("mapped", schedule=None, start_date=pendulum.datetime(2026, 1, 1), params={"crm": "close_default"}):
    UpdateOpportunityOperator.partial(
        task_id="values",
        crm_conn_id="{{ params.crm }}",
        id_column="id",
        fields={"arr": "{{ 'deal_' ~ 'value' }}"},
        rejects_path="FOLDER/{{ ti.map_index }}-{{ ds }}.csv",
    ).expand(data=batches())
"""


@pytest.fixture(scope="module")
def ran(world, row, tmp_path_factory):
    """The sandbox after one run in which the second of three batches has an id that Close does not know."""
    made = world([row("2026-03-10", number) for number in (1, 3)], dags=())
    folder = tmp_path_factory.mktemp("rejects")
    (made.home.dags / "mapped.py").write_text(DAG_FILE.replace("FOLDER", str(folder)))
    (run,) = made.home.run([("mapped", "2026-03-10T00:00:00+00:00")])
    return made.sandbox, run, folder


def test_each_mapped_task_writes_its_own_rows(ran):
    """Batches land on their own; the one with an unknown id fails alone."""
    sandbox, run, _ = ran
    assert run.state == "failed"
    assert [sandbox.close.opportunity(f"oppo_{number}")["value"] for number in (1, 3)] == [100, 300]


def test_templates_are_rendered_for_each_mapped_task(ran):
    """Connection, fields and paths are templates: each task has its own rejects file, and only one holds a row."""
    _, _, folder = ran
    lines = {path.name: path.read_text().count("\n") - 1 for path in folder.iterdir()}
    assert lines == {"0-2026-03-10.csv": 0, "1-2026-03-10.csv": 1, "2-2026-03-10.csv": 0}
