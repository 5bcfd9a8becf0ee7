"""What is left of a run besides the CRM, through real Airflow: a mail, a file, an event."""

from __future__ import annotations

import pandas as pd
import pytest

from .mail_server import MailServer

DAY = "2026-03-13"


@pytest.fixture(scope="module")
def ran(world, row):
    """One run with a row that lands and two that do not; returns the mails, the run and the home."""
    deals = [row(DAY, 1), row(DAY, 2, currency="EUR"), row(DAY, 3, arr="<b>{{ ti }}</b>")]
    with MailServer() as server:
        made = world(deals, dags=["failure_mail.py"], connections={"smtp_default": server.connection})
        folder = {"folder": str(made.home.root / "rejects")}
        with made.home.start() as process:
            run = process.run("crm_failure_mail", f"{DAY}T00:00:00-04:00", conf=folder)
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
