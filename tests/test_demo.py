"""The demo: it shows what it promises, and it notices when something is not as planned."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections import Counter
from decimal import Decimal

import pytest

from airflow_provider_crm.demo.airflow_home import AirflowHome, AirflowHomeError, Run
from airflow_provider_crm.demo.expectations import TASKS, differences, expected, record_differences, total
from airflow_provider_crm.demo.warehouse import DAYS, DIRTY_DAYS, Flaw, deals, write

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
    """The deals of the first dirty day."""
    return [deal for deal in deals() if deal.day == DIRTY_DAYS[0]]


@pytest.fixture
def planned(dirty_day):
    """What the daily DAG has to make of a dirty day, and a run that does just that."""
    wanted = expected(DAILY, dirty_day)
    rejects = [
        {"record_id": record_id, "outcome": word, "code": code, "reason": "..."}
        for record_id, word, code in wanted.rejects.elements()
    ]
    report = {"vendor": "close", "outcomes": dict(wanted.outcomes), "rejects": rejects}
    run = Run("close_daily_sql", "2026-03-08", "failed", {"deal_values": report}, {"deal_values": "failed"}, 1.0)
    return run, wanted


def test_the_demo_ends_well_and_leaves_nothing(shown):
    """Everything comes as planned, nothing is on stderr, and the folder it ran in stays empty."""
    done, left = shown
    assert (done.returncode, done.stderr, left) == (0, "", []), done.stdout
    assert "Everything came as planned." in done.stdout


def test_the_demo_shows_outcomes_reasons_and_won_dates(shown):
    """The tables hold the counts of each run, the reason of a reject, and the wins next to the clock changes."""
    lines = [line.split() for line in shown[0].stdout.splitlines()]
    assert ["close_daily_sql", "2026-03-09", "40"] in [words[:3] for words in lines]
    assert ["oppo_0308_040", "date_won", "(empty)", "2026-03-08"] in [words[:4] for words in lines]
    assert ["oppo_1101_040", "date_won", "(empty)", "2026-11-01"] in [words[:4] for words in lines]
    assert ["invalid", "NOT_A_NUMBER"] in [words[:2] for words in lines]
    assert "airflow connections add close_default --conn-type close" in shown[0].stdout


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
    """What the demo shows is a case at all: by UTC the last win of each day belongs to the day after."""
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
def test_a_difference_of_the_run_is_told(planned, change, sentence):
    """A green task with refused rows, a task that did not run, and a report that is not there are each one sentence."""
    run, wanted = planned
    found = differences(dataclasses.replace(run, **change), {"deal_values": wanted})
    assert [text.removeprefix("close_daily_sql.deal_values of 2026-03-08 ") for text in found] == [sentence]


def test_a_difference_of_an_outcome_is_told(planned):
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


def test_a_difference_of_a_reject_is_told(planned):
    """Another code or another record is not the planned reject."""
    run, wanted = planned
    reject = next(one for one in run.reports["deal_values"]["rejects"] if one["code"] == "NOT_FOUND")
    reject["code"] = "BAD_REQUEST"
    found = " ".join(differences(run, {"deal_values": wanted}))
    assert "reports record oppo_0308_unknown_id as rejected (BAD_REQUEST), which was not planned." in found
    assert "does not report record oppo_0308_unknown_id as rejected (NOT_FOUND), which was planned." in found


def test_a_difference_in_the_crm_is_told():
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


def test_a_broken_dag_file_is_told_with_its_error(tmp_path, airflow_db):
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
