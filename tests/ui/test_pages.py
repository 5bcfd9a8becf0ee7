"""What the pages show, over HTTP."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from airflow_provider_crm.database.database import Database
from airflow_provider_crm.queries.database import LedgerReader, read_only

from .conftest import CLOSE, Browser, mounted, served

KEY = "sales_sync/t/r"
EVIL = '"><script>alert(1)</script>'


def test_any_value_of_a_row_is_text(browser, log):
    """A deal, field, code, reason, account or run that is named like markup is shown as the text it is."""
    log.run(f"sales_sync/t/{EVIL}", outcomes={"updated": 1, "rejected": 1}, rejects_path=EVIL, account=f"close:{EVIL}")
    row = {"run_key": f"sales_sync/t/{EVIL}", "record_id": EVIL, "field": EVIL, "account": f"close:{EVIL}"}
    log.change(**row, after=f'"{EVIL[2:]}"', before='"<b>"')
    log.change(**row, after="1", outcome="rejected", code=EVIL, reason=EVIL)
    log.state(row["run_key"], record_id=EVIL, field=EVIL, value='"<i>"', account=row["account"])
    log.plan(EVIL, row["run_key"], [(EVIL, EVIL, "update", '"<b>"', '"<i>"')], account=row["account"])
    anna = browser("anna")
    for path, parameters in {
        "": {},
        "run": {"run_key": row["run_key"], "q": EVIL},
        "dag-run": {"dag_id": "sales_sync", "run_id": EVIL},
        "record": {"record_id": EVIL},
        "plan": {"plan_id": EVIL, "q": EVIL},
    }.items():
        shown = anna.text(path, **parameters)
        assert "&lt;script&gt;alert(1)" in shown
        assert not re.search(r"<(script>|b>|i>)", shown)
    assert "<b>" not in anna.text("run", run_key=row["run_key"], show="written")


def test_the_overview_adds_up_days(browser, log):
    """Landed, refused and saved rows are those of runs that began within a day, a week or a month, of one account."""
    for hours, account in ((1, CLOSE), (30, CLOSE), (300, CLOSE), (2, "raze:x:y")):
        counts = {"updated": 10, "unchanged": 5, "rejected": 1}
        log.run(f"sales_sync/t/{hours}", account=account, ago=dt.timedelta(hours=hours), outcomes=counts)
    figure = r"<dt[^>]*>([a-z ]+)</dt><dd[^>]*>(\d+)</dd>"
    for period, runs in {"24h": 2, "7d": 3, "30d": 4}.items():
        figures = re.findall(figure, browser("anna").text("", range=period))
        assert figures == [
            ("landed", f"{10 * runs}"), ("refused", f"{runs}"), ("not sent or answered", "0"),
            ("already there", f"{5 * runs}"), ("runs", f"{runs}"),
        ]  # fmt: skip
        of_one = re.findall(figure, browser("anna").text("", range=period, account=CLOSE))
        assert of_one[0] == ("landed", f"{10 * (runs - 1)}")


def test_an_empty_ledger_says_what_will_appear(browser):
    """Before the first run the overview is no empty table but a sentence."""
    assert "No runs yet" in browser("anna").text("")


def test_a_task_without_a_run_says_so(browser, log):
    """The tab of a task that writes to no CRM is a sentence, also where Airflow left its placeholder in the address."""
    shown = browser("anna").text("task", dag_id="sales_sync", run_id="r", task_id="x", map_index="{MAP_INDEX}")
    assert "Nothing written by this task" in shown


def test_the_tab_of_a_mapped_task_shows_its_own_run(browser, log):
    """Two map indexes of one task are two runs."""
    for index in (0, 1):
        log.run(f"sales_sync/t[{index}]/r", outcomes={"updated": index + 5})
    task = {"dag_id": "sales_sync", "run_id": "r", "task_id": "t"}
    for index in (0, 1):
        shown = browser("anna").text("task", **task, map_index=index)
        assert f"t [{index}]" in shown
        assert f"updated <strong>{index + 5}</strong>" in re.sub(r"</?span[^>]*>", "", shown)
    assert len(re.findall(r"/crm/run\?", browser("anna").text("dag-run", dag_id="sales_sync", run_id="r"))) == 2


def test_a_run_without_a_report_is_explained(browser, log):
    """Airflow knows no task that still runs it: its page says so, and waits for no progress."""
    log.run(KEY, finished=False)
    shown = browser("anna").text("run", run_key=KEY)
    assert "The task ended before it could report." in shown
    assert "data-refresh" not in shown


def test_rows_that_a_stopped_run_left_over_are_reported(browser, log):
    """They are counted as refused and have no line of their own: the page says so instead of calling all well."""
    log.run(KEY, outcomes={"updated": 1, "not_sent": 1200})
    shown = browser("anna").text("run", run_key=KEY)
    assert "The run stopped before 1,200 rows" in shown
    assert "Every row landed" not in shown
    log.run("sales_sync/t/green", outcomes={"updated": 1})
    green = browser("anna").text("run", run_key="sales_sync/t/green", show="refused")
    assert "Every row landed" in green
    assert "The run stopped before" not in green


@pytest.mark.parametrize(
    ("outcomes", "warning", "badge"),
    [
        ({}, "Nothing to write: 0 rows.", "nothing to write"),
        ({"stale": 3293}, "All 3,293 rows stale: newer data is in the CRM.", "all stale"),
        ({"updated": 1, "stale": 1}, "Two values were rounded.", "1 of 2 rows left alone"),
    ],
)
def test_a_run_in_which_not_all_landed_is_not_called_whole(browser, log, outcomes, warning, badge):
    """A green run says what happened instead, in its badge and as its warning."""
    log.run(KEY, outcomes=outcomes, warnings=[warning])
    shown = browser("anna").text("run", run_key=KEY, show="refused")
    assert warning in shown
    assert badge in shown
    assert "Every row landed" not in shown
    assert "all landed" not in shown


def test_a_run_that_ended_early_says_why(browser, log):
    """Its rows may all have landed: there were others."""
    log.run(KEY, outcomes={"updated": 4}, ended_early="The source broke after 4 rows.")
    shown = browser("anna").text("run", run_key=KEY)
    assert "The source broke after 4 rows." in shown
    assert "ended early" in shown


def test_each_try_is_shown(browser, log):
    """A run that was retried shows the rows of each try, above the rows of all tries together; other teams see none."""
    log.run(KEY, tries=2, outcomes={"updated": 60})
    log.attempt(KEY, 1, outcomes={"updated": 56, "rejected": 5}, warnings=[])
    log.attempt(KEY, 2, outcomes={"updated": 4, "unchanged": 56}, warnings=["One value was rounded."])
    shown = browser("anna").text("run", run_key=KEY)
    assert "56 updated, 5 rejected" in shown
    assert "4 updated, 56 unchanged" in shown
    assert "One value was rounded." in shown
    assert browser("ben").get("run", run_key=KEY).status_code == 404


def test_personal_values_are_hidden(browser, log):
    """Values that the ledger stores as hashes are shown as hidden, on every page."""
    digest = "sha256:" + "a" * 64
    log.run(KEY, outcomes={"updated": 1})
    log.change(KEY, field="email", before=digest, after=digest)
    log.state(KEY, field="email", value=digest)
    log.plan("p", KEY, [("oppo_1", "email", "update", digest, digest)])
    anna = browser("anna")
    for shown in (
        anna.text("run", run_key=KEY, show="written"),
        anna.text("record", record_id="oppo_1"),
        anna.text("plan", plan_id="p"),
    ):
        assert "hidden" in shown
        assert "sha256:" not in shown


def test_values_stored_in_clear_before_are_hidden(airflow_with_teams, database, log, monkeypatch):
    """A field that is named for hashing later (by the vendor's name) is shown nowhere any more."""
    from airflow_provider_crm.ui.app import make_app

    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_HASH_FIELDS", "value,phone")
    log.run(KEY, outcomes={"updated": 1})
    log.change(KEY, field="value", before="77700", after="88800")
    log.change(KEY, field="phone", before='"555-1"', after='"555-2"')
    log.change(KEY, field="note", before='"old"', after='"new"')
    engine = read_only(database)
    with mounted(make_app(LedgerReader(lambda: engine))) as url:
        shown = Browser(url, "anna").text("run", run_key=KEY, show="written")
    engine.dispose()
    assert [text for text in ("777", "888", "555-", "111") if text in shown] == []
    assert "new" in shown


def test_records_of_close_itself_link_to_its_application(browser, log):
    """A row of Close's own service can be opened there; the link gives nothing of Airflow's address away."""
    log.run(KEY, outcomes={"updated": 1})
    log.change(KEY, before="1", after="2")
    log.change(KEY, after="2", outcome="rejected", code="NO", reason="no")
    log.plan("p", KEY, [("oppo_1", "value", "update", "1", "2")])
    link = '<a href="https://app.close.com/opportunity/oppo_1/" data-leaves rel="noopener noreferrer">'
    for path, parameters in (
        ("run", {"run_key": KEY, "show": "refused"}),
        ("run", {"run_key": KEY, "show": "written"}),
        ("record", {"record_id": "oppo_1"}),
        ("plan", {"plan_id": "p"}),
    ):
        assert link in browser("anna").text(path, **parameters)


def test_the_file_is_a_download(browser, log):
    """The CSV comes as a file whose name cannot leave its header."""
    key = 'sales_sync/t/r";\u00e9'
    log.run(key, outcomes={"rejected": 1})
    log.change(key, record_id="=1+1", outcome="rejected", code="NO", reason="no")
    answer = browser("anna").get("run.csv", run_key=key)
    assert answer.headers["content-disposition"] == 'attachment; filename="refused-sales-sync-t-r---.csv"'
    assert answer.text.splitlines()[1] == '"\'=1+1","","rejected","NO","no","value",""'


@pytest.mark.parametrize("query", ["?page=0", "?page=x", "?page=99999999", "run?run_key=a/b/c&sort=password", "record"])
def test_a_bad_address_is_distinguished_from_a_failure(browser, log, query):
    """A parameter of a wrong form is a page with a sentence, with status 400."""
    answer = browser("anna").get(query)
    assert (answer.status_code, "Start again from the overview" in answer.text) == (400, True)


def test_a_ledger_that_is_not_there_yet_is_explained_and_then_found(airflow_with_teams, tmp_path):
    """Without a ledger the page says how to get one; once a run has made it, no restart is needed."""
    import sqlalchemy as sa

    from airflow_provider_crm.ui.app import make_app

    url, made = f"sqlite:///{tmp_path / 'crm_ledger.db'}", []

    def find():
        made.append(read_only(sa.create_engine(url)))
        return made[-1]

    with mounted(make_app(LedgerReader(find))) as place:
        anna = Browser(place, "anna")
        before = anna.get("")
        assert (before.status_code, "There is no ledger yet" in before.text) == (404, True)
        engine = Database(sa.create_engine(url)).engine
        Database(engine).open()
        engine.dispose()
        assert "No runs yet" in anna.text("")
    for engine in made:
        engine.dispose()


def test_airflow_itself_finds_and_mounts_the_pages(airflow_with_teams, tmp_path, monkeypatch):
    """Airflow's own application, under a path prefix, has the pages with every address below that prefix."""
    from airflow import plugins_manager
    from airflow.api_fastapi import app as airflow_app

    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setattr(airflow_app, "API_ROOT_PATH", "/proxy/")
    found = [plugin for plugin in plugins_manager._get_plugins()[0] if plugin.name == "crm"]
    assert [type(plugin).__name__ for plugin in found] == ["CrmPlugin"]
    try:
        with served(airflow_app.create_app(apps="core")) as url:
            anna = Browser(f"{url}/proxy", "anna")
            answer = anna.get("")
            links = re.findall(r'(?:href|src|action)="([^"#]+)', answer.text)
            assert (answer.status_code, "There is no ledger yet" in answer.text) == (404, True)
            assert len(links) >= 4
            assert all(link.startswith("/proxy/crm/") for link in links)
            assert Browser(f"{url}/proxy", None).get("").status_code == 401
            assert anna.get("static/crm.css").headers["content-type"].startswith("text/css")
    finally:
        airflow_app.purge_cached_app()


def test_a_nul_in_a_search_is_no_letter(browser, log):
    """A NUL, which PostgreSQL takes in no text, is removed from every parameter of a page."""
    log.run(KEY, outcomes={"rejected": 1})
    log.change(KEY, record_id="oppo_1", outcome="rejected", code="NO", reason="no")
    anna = browser("anna")
    assert "oppo_1" in anna.text("run", run_key=f"{KEY}\0", show="refused", q="\0oppo\0")
    assert anna.get("record", record_id="oppo_1\0", account="\0").status_code == 200
    assert anna.get("", account="\0").status_code == 200
    assert anna.get("plan", plan_id="\0").status_code == 404
