"""Green means that something landed; else the run says in log, report and message what happened instead."""

from __future__ import annotations

import datetime as dt

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_crm.guardrails.limits import Guardrails
from airflow_provider_crm.notifications.failure_text import failure_text
from airflow_provider_crm.report.report import SyncReport

DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
ROWS = [{"id": f"oppo_{number}", "arr": 5} for number in range(3)]


def test_no_rows_are_a_warning(deals, update, capsys):
    """A source without rows is green, and log and report say that there was nothing to write."""
    run = update([])
    assert run.error is None
    assert run.report["warnings"] == ["Nothing to write: 0 rows."]
    assert "Nothing to write: 0 rows." in capsys.readouterr().out


def test_stale_rows_alone_are_a_warning(deals, update, capsys):
    """A run of which newer data has been written says so; one of which a row lands does not."""
    assert update(ROWS, as_of=DAY).report["warnings"] == []
    older = DAY - dt.timedelta(days=1)
    run = update([{**row, "arr": 9} for row in ROWS], as_of=older)
    assert run.error is None
    assert run.report["warnings"] == ["All 3 rows stale: newer data is in the CRM."]
    assert "All 3 rows stale: newer data is in the CRM." in capsys.readouterr().out
    deals.close.add_opportunity("oppo_new")
    assert update([*ROWS, {"id": "oppo_new", "arr": 1}], as_of=older).report["warnings"] == []


def test_rows_without_a_value_are_a_warning(deals, update):
    """Missing values under `nulls="skip"` leave nothing to send: `unchanged`, green, and nothing landed."""
    run = update([{**row, "arr": None} for row in ROWS])
    assert (run.outcomes, run.report["warnings"]) == (
        {"unchanged": 3},
        ["Nothing to write: all 3 rows without a value."],
    )


def test_rejects_that_are_tolerated_are_a_warning_where_nothing_landed(deals, update):
    """`max_rejected` may allow every row to fail: the task is green, and says that no row landed."""
    run = update([{"id": "oppo_gone", "arr": 1}], max_rejected=1)
    assert run.error is None
    assert run.report["warnings"] == ["No row landed. 1 rows: 1 rejected."]


def test_unchanged_rows_are_no_warning(deals, update):
    """A run in which every row is unchanged is as it should be."""
    update(ROWS)
    assert update(ROWS).report["warnings"] == []


def test_warnings_are_in_the_text_of_a_failure(deals, update):
    """The warnings of the report are in the log and the message of the failure, too."""
    run = update([*ROWS, {"id": "oppo_gone", "arr": 1}])
    report = SyncReport.from_dict({**run.report, "warnings": ["Two values were rounded."]})
    assert report.failure_text().endswith("\nWarning: Two values were rounded.")


@pytest.mark.parametrize("rows", [[], ROWS[:2]], ids=["none", "some"])
def test_too_few_rows_write_nothing(deals, update, rows):
    """`min_rows` stops a run whose source is empty or cut before its first write."""
    run = update(rows, guardrails=Guardrails(min_rows=3))
    assert isinstance(run.error, AirflowFailException)
    assert f"min_rows: {len(rows)} rows, required are at least 3." in str(run.error)
    assert deals.audit.writes == []
    assert update(ROWS, guardrails=Guardrails(min_rows=3)).error is None


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"min_rows": 1.5}, "min_rows is 1.5; write a whole number"),
        ({"min_rows": "1"}, "min_rows is '1'; write a number from 0 on"),
        ({"min_rows": 5, "max_rows": 4}, "min_rows is 5 and max_rows 4; write a min_rows that is not above"),
    ],
)
def test_a_wrong_least_number_is_named(deals, update, limits, message):
    """A wrong limit, or one that no run can keep, is refused."""
    assert message in str(update(ROWS, guardrails=Guardrails(**limits)).error)


def test_a_guardrail_that_stops_a_run_leaves_its_report_in_xcom(deals, update):
    """No row was written, and what was measured is in XCom and in the text of a callback."""
    run = update(ROWS, guardrails=Guardrails(max_rows=2))
    assert (run.report["rows"], run.report["guardrails"][0]["measured"]) == (0, "3")
    assert "max_rows: 3 rows, allowed are 2" in run.report["ended_early"]
    run.context["ti"].xcom_pull = lambda key: run.xcom[key]
    assert "max_rows: 3 rows, allowed are 2" in failure_text({"ti": run.context["ti"]})


@pytest.mark.parametrize("arguments", [{}, {"guardrails": Guardrails(max_rows=1)}], ids=["refused", "stopped"])
def test_a_task_may_push_nothing(deals, update, arguments):
    """With `do_xcom_push=False` there is no XCom, also where rows failed or a guardrail stopped the run."""
    run = update([*ROWS, {"id": "oppo_gone", "arr": 1}], do_xcom_push=False, **arguments)
    assert run.error is not None
    assert run.xcom == {}


def test_a_plan_may_push_nothing(deals, task):
    """The XComs that a plan adds to its result are not pushed either."""
    from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator

    arguments = {"data": ROWS, "id_column": "id", "fields": {"arr": "deal_value"}}
    assert task(PlanOpportunityUpdatesOperator, do_xcom_push=False, **arguments).xcom == {}
