"""What real Airflow makes of some runs: the rows of mapped and templated tasks, and a mail, a file and an event.

All runs are of one Airflow home and one process, as Airflow takes long to start.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pandas as pd
import pytest

from airflow_provider_crm.demo.airflow_home import DemoRun

from .conftest import World
from .mail_server import MailServer

MAPPED, DAY, GREEN = "2026-03-10", "2026-03-13", "2026-03-14"
DAG_FILE = """
import pendulum
from airflow.sdk import DAG, task

from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator


@task
def batches():
    return [[{"id": f"oppo_{number}", "arr": number}] for number in (41, 42, 43)]


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
    UpdateOpportunityOperator(task_id="gathered", data=page.expand(number=[41, 43]), **notes)
    UpdateOpportunityOperator(task_id="path", data="/nowhere/{{ ds }}.csv", **ways)
"""


@dataclass(frozen=True)
class Ran:
    """The world after all runs.

    Attributes:
        made: Airflow home and sandbox.
        mapped: A run in which the second of three batches has an id that Close does not know.
        folder: Where its tasks put their rejects files.
        mailed: A run with a row that lands and two that do not.
        mails: What was sent.
    """

    made: World
    mapped: DemoRun
    folder: Path
    mailed: DemoRun
    mails: list[EmailMessage]


@pytest.fixture(scope="module")
def ran(world, row, tmp_path_factory):
    """A run of mapped tasks, one of tasks that are not mapped, one that fails for two rows, then a green one."""
    deals = [row(MAPPED, number) for number in (41, 43)]
    deals += [row(DAY, 1), row(DAY, 2, currency="EUR"), row(DAY, 3, arr="<b>{{ ti }}</b>")]
    deals += [row(GREEN, number) for number in range(10, 30)]
    folder = tmp_path_factory.mktemp("rejects")
    with MailServer() as server:
        connections = {"smtp_default": server.connection}
        made = world(deals, dags=["failure_mail.py", "close_daily_sql.py"], connections=connections)
        (made.home.dags / "mapped.py").write_text(DAG_FILE.replace("FOLDER", str(folder)))
        conf = {"folder": str(made.home.root / "rejects")}
        with made.home.start() as process:
            mapped = process.run("mapped", f"{MAPPED}T00:00:00+00:00")
            process.run("unmapped", f"{MAPPED}T00:00:00+00:00")
            mailed = process.run("crm_failure_mail", f"{DAY}T00:00:00-04:00", conf=conf)
            process.run("close_daily_sql", f"{GREEN}T00:00:00-04:00")
        yield Ran(made, mapped, folder, mailed, server.mails)


# Mapped and templated operators


def rendered_data(home, dag_id):
    """What Airflow's database has of the argument `data`, by task and map index."""
    with closing(sqlite3.connect(home.root / "airflow.db")) as database:
        query = "SELECT task_id, map_index, rendered_fields FROM rendered_task_instance_fields WHERE dag_id = ?"
        rows = database.execute(query, (dag_id,)).fetchall()
    return {(name, index): json.loads(fields).get("data") for name, index, fields in rows}


def test_each_mapped_task_writes_its_own_rows(ran):
    """Batches land on their own; the one with an unknown id fails alone."""
    assert ran.mapped.state == "failed"
    assert [ran.made.sandbox.close.opportunity(f"oppo_{number}")["value"] for number in (41, 43)] == [4100, 4300]


def test_one_task_writes_the_outputs_of_a_mapped_task(ran):
    """All outputs of a mapped task are the rows of one task that is not mapped."""
    assert [ran.made.sandbox.close.opportunity(f"oppo_{number}")["note"] for number in (41, 43)] == [
        "page 41",
        "page 43",
    ]


def test_templates_are_rendered_for_each_mapped_task(ran):
    """Connection, fields and paths are templates: each task has its own rejects file, and only one holds a row."""
    lines = {path.name: path.read_text().count("\n") - 1 for path in ran.folder.iterdir()}
    assert lines == {"0-2026-03-10.csv": 0, "1-2026-03-10.csv": 1, "2-2026-03-10.csv": 0}


def test_rows_do_not_stand_in_airflows_database(ran):
    """Of `data` Airflow stores what it is: of mapped tasks, frames, lists and text; a path stands there whole."""
    batch = "list, 1 row, columns: id, arr"
    assert rendered_data(ran.made.home, "mapped") == {("batches", -1): None} | {
        ("values", index): batch for index in range(3)
    }
    assert rendered_data(ran.made.home, "unmapped") == {
        ("frame", -1): None,
        ("page", 0): None,
        ("page", 1): None,
        ("gathered", -1): "LazyXComSequence",
        ("output", -1): "DataFrame, 1 row, columns: id, arr",
        ("literal", -1): batch,
        ("text", -1): "text of 33 characters that looks like rows",
        ("path", -1): "/nowhere/2026-03-10.csv",
    }


# Besides the CRM


def text(mail):
    """The HTML that was sent."""
    return mail.get_body(("html",)).get_content()


def test_one_mail_tells_what_went_wrong(ran):
    """One mail per failed task: the task, the counts, and an example of each reason."""
    mails = ran.mails
    assert ran.mailed.state == "failed"
    assert [mail["subject"] for mail in mails] == ["crm_failure_mail: not every row landed"]
    assert "crm_failure_mail.deal_values, run " in text(mails[0])
    assert "3 rows: 1 updated, 2 invalid" in text(mails[0])
    assert "invalid CURRENCY, such as record &#39;oppo_2&#39;" in text(mails[0])


def test_values_in_the_mail_are_neither_markup_nor_template(ran):
    """A reason that quotes HTML or a template shows it as it stands."""
    assert "&lt;b&gt;{{ ti }}&lt;/b&gt;" in text(ran.mails[0])


def test_all_rejects_are_in_a_parquet_file(ran):
    """The file that the report names holds both rows."""
    frame = pd.read_parquet(ran.mailed.reports["deal_values"]["rejects_path"])
    assert sorted(frame["record_id"]) == ["oppo_2", "oppo_3"]


def test_green_tasks_leave_an_event_of_the_account(ran):
    """The green task, whose outlet is the alias, tells what it wrote; the red one tells nothing."""
    with closing(sqlite3.connect(ran.made.home.root / "airflow.db")) as metadata:
        found = metadata.execute(
            "SELECT uri, source_dag_id, e.extra FROM asset_event e JOIN asset ON asset.id = e.asset_id"
        ).fetchall()
    host = ran.made.sandbox.url.removeprefix("http://")
    uri = f"crm://close:{host}:orga_sandbox/opportunity"
    assert {(one, dag) for one, dag, _ in found} == {(uri, "close_daily_sql")}
    assert [json.loads(extra)["outcomes"] for _, _, extra in found] == [{"updated": 20}]
