"""What is left of a run besides the CRM, through real Airflow: a mail, a file, an event."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pandas as pd
import pytest

from .mail_server import MailServer

DAY, GREEN = "2026-03-13", "2026-03-14"


@pytest.fixture(scope="module")
def ran(world, row):
    """A run with a row that lands and two that do not, then a green one; gives mails, runs and home."""
    deals = [row(DAY, 1), row(DAY, 2, currency="EUR"), row(DAY, 3, arr="<b>{{ ti }}</b>")]
    deals += [row(GREEN, number) for number in range(10, 30)]
    with MailServer() as server:
        connections = {"smtp_default": server.connection}
        made = world(deals, dags=["failure_mail.py", "close_daily_sql.py"], connections=connections)
        folder = {"folder": str(made.home.root / "rejects")}
        with made.home.start() as process:
            run = process.run("crm_failure_mail", f"{DAY}T00:00:00-04:00", conf=folder)
            process.run("close_daily_sql", f"{GREEN}T00:00:00-04:00")
        yield server.mails, run, made


def text(mail):
    """The HTML that was sent."""
    return mail.get_body(("html",)).get_content()


def test_one_mail_tells_what_went_wrong(ran):
    """One mail per failed task: the task, the counts, and an example of each reason."""
    mails, run, _ = ran
    assert run.state == "failed"
    assert [mail["subject"] for mail in mails] == ["crm_failure_mail: not every row landed"]
    assert "crm_failure_mail.deal_values, run " in text(mails[0])
    assert "3 rows: 1 updated, 2 invalid" in text(mails[0])
    assert "invalid CURRENCY, such as record &#39;oppo_2&#39;" in text(mails[0])


def test_values_in_the_mail_are_neither_markup_nor_template(ran):
    """A reason that quotes HTML or a template shows it as it stands."""
    mails, _, _ = ran
    assert "&lt;b&gt;{{ ti }}&lt;/b&gt;" in text(mails[0])


def test_all_rejects_are_in_a_parquet_file(ran):
    """The file that the report names holds both rows."""
    _, run, _ = ran
    frame = pd.read_parquet(run.reports["deal_values"]["rejects_path"])
    assert sorted(frame["record_id"]) == ["oppo_2", "oppo_3"]


def test_green_tasks_leave_an_event_of_the_account(ran):
    """The green task, whose outlet is the alias, tells what it wrote; the red one tells nothing."""
    _, _, made = ran
    with closing(sqlite3.connect(made.home.root / "airflow.db")) as metadata:
        found = metadata.execute(
            "SELECT uri, source_dag_id, e.extra FROM asset_event e JOIN asset ON asset.id = e.asset_id"
        ).fetchall()
    host = made.sandbox.url.removeprefix("http://")
    uri = f"crm://close:{host}:orga_sandbox/opportunity"
    assert {(one, dag) for one, dag, _ in found} == {(uri, "close_daily_sql")}
    assert [json.loads(extra)["outcomes"] for _, _, extra in found] == [{"updated": 20}]
