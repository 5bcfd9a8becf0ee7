"""The demo: it shows what it promises, and it notices when something is not as planned."""

from __future__ import annotations

import dataclasses
import datetime as dt
import subprocess
import sys
from collections import Counter
from decimal import Decimal

import pytest

from airflow_provider_crm.demo import crm
from airflow_provider_crm.demo.airflow_home import AirflowHome, AirflowHomeError, DemoRun
from airflow_provider_crm.demo.crm import BEFORE
from airflow_provider_crm.demo.expectations import TASKS, differences, expected, record_differences, total
from airflow_provider_crm.demo.ledger_story import CORRECTED, DAY, EDITED, PLANNED, Act, LedgerStory
from airflow_provider_crm.demo.warehouse import DAYS, DIRTY_DAYS, Flaw, deals, write
from airflow_provider_crm.sandbox.audit import Write

DAILY = TASKS["close_daily_sql"]["deal_values"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Run the demo as a user does, in an empty folder, and return the process and what is in the folder afterwards."""
    folder = tmp_path_factory.mktemp("empty")
    done = subprocess.run(
        [sys.executable, "-m", "airflow_provider_crm.demo"],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    return done, list(folder.iterdir())


@pytest.fixture(scope="module")
def dirty_day():
    """Return the deals of the first dirty day."""
    return [deal for deal in deals() if deal.day == DIRTY_DAYS[0]]


@pytest.fixture
def planned(dirty_day):
    """Return the expected results of the daily DAG on a dirty day, and a run with just these."""
    wanted = expected(DAILY, dirty_day)
    rejects = [
        {"record_id": record_id, "outcome": word, "code": code, "reason": "..."}
        for record_id, word, code in wanted.rejects.elements()
    ]
    report = {"vendor": "close", "outcomes": dict(wanted.outcomes), "rejects": rejects}
    run = DemoRun("close_daily_sql", "2026-03-08", "failed", {"deal_values": report}, {"deal_values": "failed"}, 1.0)
    return run, wanted


@pytest.mark.long
def test_the_demo_ends_well_and_leaves_nothing(shown):
    """Everything comes as planned, nothing is on stderr, and the folder it ran in stays empty."""
    done, left = shown
    assert (done.returncode, done.stderr, left) == (0, "", []), done.stdout
    assert "Everything came as planned." in done.stdout


@pytest.mark.long
def test_the_demo_shows_outcomes_reasons_and_won_dates(shown):
    """The tables hold the counts of each run, the reason of a reject, and the wins next to the clock changes."""
    lines = [line.split() for line in shown[0].stdout.splitlines()]
    assert ["close_daily_sql", "2026-03-09", "40"] in [words[:3] for words in lines]
    assert ["oppo_0308_040", "date_won", "(empty)", "2026-03-08"] in [words[:4] for words in lines]
    assert ["oppo_1101_040", "date_won", "(empty)", "2026-11-01"] in [words[:4] for words in lines]
    assert ["90308001", "health_score", "(empty)", "2.5"] in [words[:4] for words in lines]
    assert ["invalid", "NOT_A_NUMBER"] in [words[:2] for words in lines]
    assert all(f"airflow connections add {one}_default --conn-type {one}" in shown[0].stdout for one in BEFORE)


@pytest.mark.long
def test_the_demo_shows_that_hubspot_takes_many_rows_in_a_call(shown):
    """The rows of a day take fewer calls than there are rows; the table breaks the list of their outcomes."""
    (line,) = [words.split() for words in shown[0].stdout.splitlines() if words.startswith("hubspot_scores")]
    assert line[1:3] == ["2026-03-08", "48"]
    assert int(line[3]) < 10
    assert line[4:6] == ["43", "updated,"]


@pytest.mark.long
def test_the_demo_shows_that_salesforce_is_read_back(shown):
    """Writes and reads of a day share a call, and an id of fifteen characters is one of eighteen."""
    (line,) = [words.split() for words in shown[0].stdout.splitlines() if words.startswith("salesforce_amounts")]
    assert line[1:3] == ["2026-03-08", "48"]
    assert int(line[3]) < 12
    assert line[4:6] == ["43", "updated,"]
    (sample,) = [words for words in map(str.split, shown[0].stdout.splitlines()) if words[1:2] == ["Amount"]]
    assert (sample[0], sample[2]) == ("006Dm0000308001IAA", "1,000.00")


@pytest.mark.long
@pytest.mark.parametrize(
    "line",
    [
        "same data again close_daily_sql 40 unchanged 2 0",
        "one deal changed close_daily_sql 1 updated, 39 unchanged 3 1",
        "older day, late close_daily_sql 40 stale 2 0",
        "plan 3 changes plan_approve_apply 3 update, 77 unchanged 3 0",
        "write the three close_daily_sql 3 updated, 37 unchanged 5 3",
        "undo the write crm_undo 2 updated, 1 rejected 6 2",
    ],
)
def test_the_demo_shows_what_the_ledger_is_for(shown, line):
    """Each act of the story is a line: outcomes, the provider's calls, and the writes that Close saw."""
    assert line in [" ".join(words.split()) for words in shown[0].stdout.splitlines()]


@pytest.mark.long
def test_the_demo_shows_the_plan_with_the_most_money_first(shown):
    """The approver's table goes by the size of the change, up or down, not by record."""
    lines = [words.split() for words in shown[0].stdout.splitlines()]
    assert [words for words in lines if words[1:2] == ["deal_value"] and words[-1] == "update"] == [
        ["oppo_0309_021", "deal_value", "8,921.25", "58,921.25", "+50,000.00", "update"],
        ["oppo_0309_010", "deal_value", "228,107.86", "208,107.86", "-20,000.00", "update"],
        ["oppo_0309_003", "deal_value", "113,690.49", "114,590.49", "+900.00", "update"],
    ]


@pytest.mark.long
def test_the_demo_keeps_airflows_logs_and_warnings_to_itself(shown):
    """No log line and no warning reaches the terminal, and no line is wider than it."""
    out = shown[0].stdout
    assert not [word for word in ("Warning", "Traceback", "[info", "INFO") if word in out]
    tables = out[: out.index("Your own account")]
    assert max(map(len, tables.splitlines())) <= 80


def test_the_warehouse_is_the_same_each_time(tmp_path):
    """Two warehouses hold the same rows, and each flaw is planted on each dirty day."""
    assert deals() == deals()
    flaws = Counter((deal.day, deal.flaw) for deal in deals() if deal.flaw)
    assert set(flaws) == {(day, flaw) for day in DIRTY_DAYS for flaw in Flaw}
    assert {deal.day for deal in deals()} == set(DAYS)
    write(tmp_path / "warehouse.db", deals())


def test_a_late_win_is_on_the_next_day_in_utc():
    """The case of the demo exists: by UTC the last win of each day belongs to the day after."""
    late = [deal for deal in deals() if deal.close_id.endswith("_040")]
    assert len(late) == len(DAYS)
    assert all(deal.won_on == deal.day < deal.won_at[:10] for deal in late)


def test_a_run_as_planned_has_no_differences(planned):
    """The comparison is quiet when nothing is wrong."""
    run, wanted = planned
    assert differences(run, {"deal_values": wanted}) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"states": {"deal_values": "success"}}, "is success, planned was failed."),
        ({"states": {}}, "is missing, planned was failed."),
        ({"reports": {}}, "left no report in XCom."),
    ],
)
def test_a_difference_of_the_run_is_reported(planned, change, sentence):
    """A green task with refused rows, a task that did not run, and a report that is not there are each one sentence."""
    run, wanted = planned
    found = differences(dataclasses.replace(run, **change), {"deal_values": wanted})
    assert [text.removeprefix("close_daily_sql.deal_values of 2026-03-08 ") for text in found] == [sentence]


def test_a_difference_of_an_outcome_is_reported(planned):
    """A row that was updated instead of refused shows in both counts and among the rejects."""
    run, wanted = planned
    report = run.reports["deal_values"]
    report["outcomes"]["invalid"] -= 1
    report["outcomes"]["updated"] += 1
    report["rejects"] = [reject for reject in report["rejects"] if reject["code"] != "CURRENCY"]
    found = differences(run, {"deal_values": wanted})
    assert [text.removeprefix("close_daily_sql.deal_values of 2026-03-08 ") for text in found] == [
        "has 3 rows invalid, planned were 4.",
        "has 43 rows updated, planned were 42.",
        "does not report record oppo_0308_currency as invalid (CURRENCY), which was planned.",
    ]


def test_a_difference_of_a_reject_is_reported(planned):
    """Another code or another record is not the planned reject."""
    run, wanted = planned
    reject = next(one for one in run.reports["deal_values"]["rejects"] if one["code"] == "NOT_FOUND")
    reject["code"] = "BAD_REQUEST"
    found = " ".join(differences(run, {"deal_values": wanted}))
    assert "reports record oppo_0308_unknown_id as rejected (BAD_REQUEST), which was not planned." in found
    assert "does not report record oppo_0308_unknown_id as rejected (NOT_FOUND), which was planned." in found


def test_a_difference_in_the_crm_is_reported():
    """A value off by one cent and a date off by one day are each one sentence."""
    shown = {"value": 101, "date_won": "2026-03-09", "note": "anything"}
    assert record_differences("close", "oppo_1", {"value": 100, "date_won": "2026-03-08"}, shown) == [
        "close oppo_1 shows value 101, planned was 100.",
        "close oppo_1 shows date_won '2026-03-09', planned was '2026-03-08'.",
    ]
    assert record_differences("raze", "opp_1", {"deal_value": Decimal("1.10")}, {"deal_value": Decimal("1.1")}) == []


def test_refused_rows_are_expected_to_leave_the_record_alone(dirty_day):
    """The plan covers rows that may not land: their records are compared with what was there before."""
    records = total([expected(DAILY, dirty_day)])
    assert records["close", "oppo_0308_currency"]["value"] == 100_000
    assert records["close", "oppo_0308_001"]["value"] != 100_000
    assert ("close", "oppo_0308_unknown_id") not in records


NO_WRITE = Act(title="same data again", counts={"unchanged": 40})
ONE_WRITE = Act(title="one deal changed", counts={"updated": 1}, writes={"oppo_1": {"value": 100}})
DIFF = (
    "| oppo_2 | deal_value | 1.00 | 9.00 | +8.00 | update |",
    "| oppo_1 | deal_value | 1.00 | 2.00 | +1.00 | update |",
)
PLAN = Act(title="plan", dag_id="plan_approve_apply", task_id="plan", counts={"update": 2}, diff=DIFF)
HEADS = ("| record | field | before | after | difference | verdict |", "| --- | --- | --- | --- | --- | --- |")


def daily(**outcomes):
    """Return a green run of the daily DAG with these outcomes."""
    report = {"vendor": "close", "outcomes": outcomes, "rejects": []}
    return DemoRun("close_daily_sql", DAY, "success", {"deal_values": report}, {"deal_values": "success"}, 1.0)


def plan(*lines, **counts):
    """Return a run that planned, with these lines in its summary."""
    summary = "\n".join(["**2 records.**", "", *HEADS, *lines, "", "Plan `1`."]).replace("_", "\\_")
    made = {"counts": {"stale": 0, **counts}, "summary": summary}
    return DemoRun("plan_approve_apply", DAY, "success", {"plan": made}, {"plan": "success"}, 1.0)


def seen(record_id="oppo_1", vendor="close", **fields):
    """Return a write as the sandbox reports it."""
    return Write(
        number=1, vendor=vendor, method="PUT", path="/", record_id=record_id, fields=fields, at=dt.datetime.now(dt.UTC)
    )


@pytest.mark.parametrize(
    ("act", "run", "writes"),
    [
        (NO_WRITE, daily(unchanged=40), []),
        (ONE_WRITE, daily(updated=1), [seen(value=100)]),
        (PLAN, plan(*DIFF, update=2), []),
    ],
)
def test_an_act_as_planned_has_no_differences(act, run, writes):
    """The comparison is quiet when nothing is wrong."""
    assert act.differences(run, writes) == []


@pytest.mark.parametrize(
    ("act", "writes", "sentence"),
    [
        (NO_WRITE, [seen(value=100)], "wrote close oppo_1 {'value': 100}, which was not planned."),
        (ONE_WRITE, [], "did not write close oppo_1 {'value': 100}, which was planned."),
        (ONE_WRITE, [seen(value=100)] * 2, "wrote close oppo_1 {'value': 100}, which was not planned."),
        (
            ONE_WRITE,
            [seen(value=100), seen("oppo_2", note="")],
            "wrote close oppo_2 {'note': ''}, which was not planned.",
        ),
        (
            ONE_WRITE,
            [seen(value=100), seen(vendor="raze", value=100)],
            "wrote raze oppo_1 {'value': 100}, which was not planned.",
        ),
    ],
)
def test_a_write_too_many_or_too_few_is_reported(act, writes, sentence):
    """The writes that arrived are compared, for any report, each planned one once."""
    run = daily(**act.counts)
    assert act.differences(run, writes) == [f"close_daily_sql ({act.title}) {sentence}"]


def test_a_write_of_another_value_is_reported():
    """One cent off is a write that was not planned, and one that is lacking."""
    assert ONE_WRITE.differences(daily(updated=1), [seen(value=101)]) == [
        "close_daily_sql (one deal changed) wrote close oppo_1 {'value': 101}, which was not planned.",
        "close_daily_sql (one deal changed) did not write close oppo_1 {'value': 100}, which was planned.",
    ]


def test_an_old_row_that_lands_is_reported():
    """A run of an older day that writes its rows shows in the outcomes, not only among the writes."""
    act = Act(title="older day, late", counts={"stale": 40})
    assert act.differences(daily(updated=40), []) == [
        f"close_daily_sql.deal_values of {DAY} has 0 rows stale, planned were 40.",
        f"close_daily_sql.deal_values of {DAY} has 40 rows updated, planned were 0.",
    ]


def test_a_plan_in_another_order_is_reported():
    """The most money has to come first."""
    (found,) = PLAN.differences(plan(*reversed(DIFF), update=2), [])
    assert found.startswith(f"plan_approve_apply.plan of {DAY} shows [{DIFF[1]!r}, {DIFF[0]!r}], planned was ")


def test_a_plan_of_other_fields_is_reported():
    """A field too many shows in the counts, and in the table."""
    found = PLAN.differences(plan(*DIFF, DIFF[0], update=3), [])
    assert found[0] == f"plan_approve_apply.plan of {DAY} plans 3 fields as update, planned were 2."
    assert len(found) == 2


def test_a_plan_that_was_not_made_is_reported():
    """A task that failed, and left nothing, is two sentences."""
    run = dataclasses.replace(plan(), states={"plan": "failed"}, reports={})
    assert PLAN.differences(run, []) == [
        f"plan_approve_apply.plan of {DAY} is failed, planned was success.",
        f"plan_approve_apply.plan of {DAY} left no plan in XCom.",
    ]


class IdleProcess:
    """Stands for an Airflow whose tasks say that all is well and write nothing."""

    def run(self, dag_id, logical_date, *, conf=None, until=None):
        """Return a green run without any effect."""
        tasks = {"close_daily_sql": "deal_values", "plan_approve_apply": "plan", "crm_undo": "undo"}
        report = {"vendor": "close", "outcomes": {}, "rejects": [], "counts": {}, "summary": "", "run_key": "a/b/c"}
        return DemoRun(dag_id, logical_date, "success", {tasks[dag_id]: report}, {tasks[dag_id]: "success"}, 0.1)


@pytest.fixture
def idle_story(tmp_path, crm_sandbox):
    """Return the acts of a story in which nothing is ever written, by title."""
    write(tmp_path / "warehouse.db", deals())
    crm.fill(crm_sandbox, deals())
    story = LedgerStory(IdleProcess(), crm_sandbox, tmp_path / "warehouse.db", deals())
    return {played.act.title: " ".join(played.problems) for played in story.play()}


def test_a_story_without_writes_fails_in_every_act(idle_story):
    """No act passes on the word of a report: each that has to write names the write that never came."""
    assert all(idle_story.values())
    for title, record_ids in (("one deal changed", CORRECTED), ("write the three", PLANNED)):
        assert all(f"did not write close {record_id} " in idle_story[title] for record_id in record_ids)


def test_a_story_reads_every_deal_of_the_day_back(idle_story):
    """The values of Close after each act are compared, for every deal of the day, also after a colleague's change."""
    ids = [deal.close_id for deal in deals() if deal.day == DAY]
    assert all(
        f"close {record_id} shows value 100000, planned was " in idle_story["same data again"] for record_id in ids
    )
    assert f"close {EDITED} shows value 100000" in idle_story["write the three"]
    assert f"close {EDITED} shows value" not in idle_story["undo the write"]


def test_a_broken_dag_file_is_reported_with_its_error(tmp_path, airflow_db):
    """A DAG file that does not import stops the run before any DAG, with the file's traceback."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "broken_dag.py").write_text("from airflow.sdk import DAG\nimport no_such_module\n")
    (tmp_path / "home").mkdir()
    home = AirflowHome(tmp_path / "home", connections={}, dags=tmp_path / "source")
    (tmp_path / "home" / "airflow.db").write_bytes(airflow_db.read_bytes())
    with pytest.raises(AirflowHomeError, match="No module named 'no_such_module'"):
        list(home.run([("broken", "2026-03-08T00:00:00+00:00")]))


def test_the_users_airflow_settings_do_not_reach_the_demo(tmp_path, monkeypatch):
    """Neither home nor database nor connections of the user's own Airflow are in the environment of the demo's."""
    monkeypatch.setenv("AIRFLOW_HOME", "/home/user/airflow")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD", "cat secret")
    monkeypatch.setenv("AIRFLOW_CONN_CLOSE_DEFAULT", "close://production")
    (tmp_path / "home").mkdir()
    environment = AirflowHome(tmp_path / "home", connections={"raze_default": "{}"}).environment
    assert environment["AIRFLOW_HOME"] == str(tmp_path / "home")
    assert environment["AIRFLOW_CONN_RAZE_DEFAULT"] == "{}"
    assert not {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD", "AIRFLOW_CONN_CLOSE_DEFAULT"} & environment.keys()
