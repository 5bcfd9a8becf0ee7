"""The overview says what needs a person, what happened, and filters by links."""

from __future__ import annotations

import csv
import datetime as dt
import html
import re
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.schema import runs, uploads
from airflow_provider_crm.ledger.uploads import UploadStage
from airflow_provider_crm.queries.attention import RHYTHM, attention, used_budgets
from airflow_provider_crm.queries.syncs import syncs
from airflow_provider_crm.report.verdict import VerdictWord

from .conftest import CLOSE, NOW
from .month import DAGS, PLANS, SCORES

KEY = "sales_sync/t/r"
DAY = dt.timedelta(days=1)


def attention_now(reading, dags, now, asks=None):
    """What needs a person, as the overview asks for it."""
    known, used = syncs(reading, dags, now - RHYTHM), used_budgets(reading, dags, now)
    return attention(reading, dags, now, known=known, used=used, asks=asks)


def items(reading, month, dags=DAGS):
    """What needs a person at the end of the month, by kind and subject."""
    return {(item.kind.value, item.subject): item for item in attention_now(reading, dags, month.now)}


def section(page, name):
    """The text of one section of a page, without tags."""
    (found,) = re.findall(rf'<section class="card" aria-labelledby="{name}">(.*?)</section>', page, re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", found)).split())


def test_each_thing_of_the_month_that_needs_a_person_is_found(reading, month):
    """A waiting plan, failed and overdue syncs, returning refusals, drift, and a day's budget; nothing else."""
    found = items(reading, month)
    assert set(found) == {
        ("plan waits", "deal_plans / approve"),
        ("last run", "deal_values / write"),
        ("last run", "deal_plans / undo"),
        ("last run", "health_scores / write"),
        ("overdue", "health_scores / write"),
        ("refused again", "BAD_REQUEST"),
        ("refused again", "NOT_FOUND"),
        ("refused again", "CURRENCY"),
        ("not kept by the CRM", "notes"),
        ("budget of the day", CLOSE),
    }
    waiting = found["plan waits", "deal_plans / approve"]
    assert (waiting.plan_id, waiting.question.task_id) == (month.waiting, "approve")
    assert "3 days ago; one comes every 1 day" in found["overdue", "health_scores / write"].text
    again = found["refused again", "NOT_FOUND"]
    assert ("1 row with the same values refused up to 6 times" in again.text, again.run_key) == (True, month.deals(0))
    before = found["refused again", "CURRENCY"]
    assert before.text.startswith("1 row refused before sending, by up to 4 runs. deal_currency is EUR")
    assert before.run_key == month.deals(0)
    assert "19 values" not in found["not kept by the CRM", "notes"].text
    assert found["budget of the day", CLOSE].text.startswith("320 of 10,000 calls")


def test_only_dags_of_the_reader_need_them(reading, month):
    """Whoever may read one Dag learns nothing of the others: neither plans nor refusals nor budgets."""
    kinds = {key[0] for key in items(reading, month, {SCORES})}
    assert kinds == {"last run", "overdue", "not kept by the CRM"}
    assert items(reading, month, {"other"}) == {}
    asked_nothing = attention_now(reading, DAGS, month.now, asks=())
    assert "plan waits" not in {item.kind.value for item in asked_nothing}


def test_an_answered_plan_waits_no_more(reading, month):
    """The answer in Airflow takes the plan from the list."""
    from airflow.models.hitl import HITLDetail
    from airflow.utils.session import create_session

    asked = HITLDetail.body.contains(month.waiting)
    with create_session() as session:
        session.execute(sa.update(HITLDetail).where(asked).values(responded_at=month.now))
    try:
        assert "plan waits" not in {key[0] for key in items(reading, month)}
    finally:
        with create_session() as session:
            session.execute(sa.update(HITLDetail).where(asked).values(responded_at=None))


@pytest.mark.parametrize(
    ("schedule", "overdue"),
    [
        ({"next_dagrun_create_after": -3 * DAY}, True),
        ({"next_dagrun_create_after": DAY}, False),
        ({"next_dagrun_create_after": None, "timetable_type": "airflow.timetables.simple.NullTimetable"}, False),
    ],
)
def test_a_schedule_decides_before_the_rhythm_does(log, reading, airflow_with_teams, schedule, overdue):
    """A Dag whose run Airflow should have made is overdue; one without a schedule never is, however long it rests."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    for number in range(5):
        log.run(f"sales_sync/t/{number}", ago=(number + 1.5) * DAY, outcomes={"updated": 1})
    moment = schedule.get("next_dagrun_create_after")
    known = {**schedule, "next_dagrun_create_after": None if moment is None else NOW + moment}
    usual = {"next_dagrun_create_after": None, "timetable_type": ""}
    with create_session() as session:
        for name, value in (usual | known).items():
            setattr(session.get(DagModel, "sales_sync"), name, value)
    try:
        found = {item.kind.value for item in attention_now(reading, {"sales_sync"}, NOW)}
        assert ("overdue" in found) is overdue
    finally:
        with create_session() as session:
            for name, value in usual.items():
                setattr(session.get(DagModel, "sales_sync"), name, value)


def test_needs_attention_stands_on_top_with_links(month_browser, month):
    """It is the first section, and each item has a link to where it is solved: the answer is one click away."""
    page = month_browser("anna").text("")
    assert page.index("Needs attention") < page.index("Running now") < page.index("What happened")
    question = month.plan_key("approve")
    run_id = question.split("/", 2)[2].replace(":", "%3A").replace("+", "%2B")
    assert f'href="/dags/{PLANS}/runs/{run_id}/tasks/approve/required_actions"' in page
    listed = re.findall(r"<li>(.*?)</li>", page.partition('class="attention"')[2].partition("</ul>")[0], re.DOTALL)
    assert len(listed) == 10
    assert all("<a href=" in item for item in listed)


def test_nothing_to_do_is_said(browser, log):
    """After a green run the section says that nothing needs a person."""
    log.run(KEY, outcomes={"updated": 3})
    assert "Nothing needs you" in section(browser("anna").text(""), "attention")


def test_an_outage_is_called_one(month_browser, month):
    """The 2,598 rows of the outage are in no count of refusals, and its run says what happened."""
    page = month_browser("anna").text("", range="30d", verdict="outage")
    happened = section(page, "happened")
    assert "2,598 not sent or answered" in re.sub(r"(not sent or answered) ([\d,]+)", r"\2 \1", happened)
    assert re.search(r"\brefused 0\b", happened)
    runs = section(page, "runs")
    assert "outage: 2,598 of 3,000 rows did not land" in runs
    assert "nothing is wrong with them" in runs


@pytest.mark.parametrize(
    ("parameters", "keys"),
    [
        ({"verdict": "guardrail"}, [5]),
        ({"verdict": "stale"}, [12]),
        ({"verdict": "ended_early"}, [16]),
        ({"verdict": "nothing"}, [2]),
        ({"outcome": "stale"}, [12]),
        ({"outcome": "not_sent"}, [9]),
        ({"verdict": "killed", "to": "2026-11-20"}, [18]),
        ({"from": "2026-11-28", "to": "2026-11-28", "dag": "deal_values", "verdict": "nothing"}, [2]),
    ],
)
def test_filters_choose_runs(month_browser, month, parameters, keys):
    """Time, Dag, outcome and verdict narrow the runs; each view is an address."""
    known = {"range": "30d", **parameters} if "to" not in parameters else parameters
    page = month_browser("anna").text("", **known)
    table = page.partition('aria-labelledby="runs"')[2].partition("</section>")[0]
    shown = {html.unescape(key) for key in re.findall(r"run\?run_key=([^\"]+)", table)}
    assert {key.replace("%2F", "/").replace("%3A", ":").replace("%2B", "+") for key in shown} == {
        month.deals(ago) for ago in keys
    }


def test_a_plan_that_was_applied_in_part_is_found_by_its_verdict(month_browser, month):
    """An undo of which six of twenty rows did not land is partly applied, and no refused run."""
    anna = month_browser("anna")
    assert "14 of 20 applied" in anna.text("", range="30d", verdict="partly")
    assert "14 of 20 applied" not in section(anna.text("", range="30d", verdict="refused"), "runs")


def test_every_verdict_of_the_form_is_an_address(month_browser):
    """No verdict and no outcome of the form is an error; a wrong one, and a wrong day, are explained."""
    anna = month_browser("anna")
    for word in VerdictWord:
        anna.text("", verdict=word.value)
    assert anna.text("", range="", dag="", account="", outcome="", verdict="", **{"from": "", "to": ""})
    for wrong in ({"verdict": "x"}, {"from": "yesterday"}, {"range": "9d"}):
        assert "Bad address" in anna.get("", **wrong).text


def test_legend_chips_and_bars_are_links(month_browser, month):
    """Each outcome of the legend filters and keeps the other filters; each bar has a label in words."""
    page = month_browser("anna").text("", range="30d", dag="deal_values")
    legend = page.partition('class="legend"')[2].partition("</ul>")[0]
    assert 'href="/crm/?range=30d&amp;dag=deal_values&amp;outcome=rejected"' in legend
    assert re.search(r'<nav class="chips".*href="/crm/\?range=24h&amp;dag=deal_values"', page, re.DOTALL)
    labels = re.findall(r'<a href="[^"]*" aria-label="([^"]*)" data-moment="[^"]*">', page)
    assert len(labels) > 20
    assert any("402 updated, 5 failed, 2,593 not sent" in label for label in labels)
    assert 'tabindex="-1">\n      <title>' not in page


def test_trends_show_thirty_days_of_each_sync(month_browser):
    """A drawing for each sync, with a sentence for those who do not see it."""
    page = month_browser("anna").text("")
    shown = section(page, "trends")
    assert shown.count("/ write") == 2
    assert page.count('class="trend"') == 5
    assert "of 30 days with rows; 4 with refused rows, 1 with an outage" in page


def test_all_refusals_of_a_time_are_one_file(month_browser, month):
    """The file has the refusals of all runs of the time, with run and account, and no row that met the outage."""
    anna = month_browser("anna")
    link = re.findall(r'href="/crm/(refused\.csv[^"]*)" download', anna.text("", range="30d"))[0]
    answer = anna.get(html.unescape(link))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(answer.text.splitlines()))
    assert {row["outcome"] for row in rows} == {"invalid", "rejected", "ignored"}
    assert {row["run"] for row in rows if row["outcome"] == "ignored"} == {month.scores(ago) for ago in range(3, 8)}
    assert len([row for row in rows if row["run"] == month.deals(0)]) == 3
    week = list(csv.DictReader(anna.get("refused.csv").text.splitlines()))
    assert 0 < len(week) < len(rows)
    failed = list(csv.DictReader(anna.get("refused.csv", range="30d", outcome="failed").text.splitlines()))
    assert {row["outcome"] for row in failed} == {"failed"}
    assert anna.get("refused.csv", dag="finance_sync").text.count("\n") == 1


def test_the_file_has_rows_of_the_readers_dags_only(month_browser, month):
    """Another team's reader gets the heading and no row."""
    assert month_browser("ben").get("refused.csv", range="30d").text.count("\n") == 1


def test_what_runs_is_a_part_that_is_fetched_again(month_browser, month):
    """The progress of a running sync stands on the overview, and at an address of its own; other teams see none."""
    anna = month_browser("anna")
    assert 'data-refresh="/crm/running"' in anna.text("")
    part = anna.text("running")
    assert "deal_values / stages" in part
    assert "1,300 of 3,000 rows, 2.2 rows per second" in part
    assert "about 13 min 5 s left" in part
    assert "<html" not in part
    assert "data-running" not in month_browser("ben").text("running")


def test_the_page_of_a_running_sync_shows_its_progress(month_browser, month):
    """Rows of all, rate and time left, also at an address of their own, until the run ends; other teams see none."""
    anna = month_browser("anna")
    shown = anna.text("run", run_key=month.running)
    address = f"run-progress?run_key={quote(month.running, safe='')}"
    assert f'data-refresh="/crm/{address}"' in shown
    for text in (shown, part := anna.text("run-progress", run_key=month.running)):
        assert "1,300 of 3,000 rows, 2.2 rows per second; about 13 min 5 s left" in text
    assert "<html" not in part
    assert "data-running" not in anna.text("run-progress", run_key=month.deals(18))
    assert month_browser("ben").get("run-progress", run_key=month.running).status_code == 404


def test_a_run_whose_file_is_on_its_way(month_browser, month, log, database):
    """The overview and the run's page say how many rows the CRM is writing, and since when, until it has ended."""
    anna, minutes = month_browser("anna"), dt.timedelta(minutes=1)
    log.upload(
        month.running, stage=UploadStage.SENT.value, opened_at=month.now - 5 * minutes, touched_at=month.now - minutes
    )
    log.upload(month.running, stage="ended", rows=90_000)
    log.upload(month.running, stage="abandoned", rows=80_000)
    log.upload(month.deals(3), rows=70_000)
    with database.begin() as connection:
        connection.execute(sa.update(runs).where(runs.c.run_key == month.running).values(progress=None))
    addresses = {"": {}, "running": {}, "run": {"run_key": month.running}, "run-progress": {"run_key": month.running}}
    since, noted = (f"{month.now - ago:%Y-%m-%d %H:%M:%S}" for ago in (5 * minutes, minutes))
    for path, parameters in addresses.items():
        (part,) = re.findall(r"<article.*?</article>", anna.text(path, **parameters), re.DOTALL)
        shown = " ".join(re.sub(r"<[^>]+>", " ", part).split())
        assert f"Close is writing 2,280 rows of one file, on their way since {since} (as of {noted} UTC )" in shown
        assert "no progress" not in shown
    with database.begin() as connection:
        connection.execute(sa.update(uploads).values(stage=UploadStage.ENDED.value))
    assert "is writing" not in anna.text("running")


def test_a_run_that_airflow_does_not_run_is_killed(month_browser, month):
    """The run without a report of 18 days ago is called killed, and is not among those that run."""
    anna = month_browser("anna")
    assert "killed, no report" in section(anna.text("", **{"from": "2026-11-12", "to": "2026-11-12"}), "runs")
    assert month.deals(18) not in anna.text("running")
