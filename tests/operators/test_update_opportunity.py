"""`UpdateOpportunityOperator` against the sandbox over HTTP: one outcome a row, and green means that all landed."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator


@pytest.fixture
def deals(crm_sandbox):
    """Three opportunities in each CRM."""
    for number in range(3):
        crm_sandbox.close.add_opportunity(f"oppo_{number}", value=100)
        crm_sandbox.raze.add_opportunity(f"opp_{number}", name="Jane Roe", deal_value="1.00", status="new")
    return crm_sandbox


def rows(*values, prefix="oppo_"):
    """One row per value, ids counted from 0."""
    return [{"id": f"{prefix}{number}", "arr": value} for number, value in enumerate(values)]


def test_every_row_lands_in_close(deals, update):
    """A frame of values becomes integer cents in Close, and the task ends green with one call a row."""
    run = update(pd.DataFrame(rows(1250.5, 0.1, 99)))
    assert run.error is None
    assert [deals.close.opportunity(f"oppo_{number}")["value"] for number in range(3)] == [125050, 10, 9900]
    assert run.outcomes == {"updated": 3}
    assert deals.audit.count(vendor="close", method="PUT") == 3


def test_the_report_is_small_and_whole(deals, update):
    """XCom has run key, vendor, account, counts and rejects, and never the rows."""
    report = update(rows("1.00", "x")).report
    assert set(report) == {
        "run_key", "vendor", "account", "rows", "calls", "seconds", "outcomes", "rejects", "rejects_path", "budget",
        "guardrails", "causes", "warnings", "ended_early",
    }  # fmt: skip
    assert report["run_key"] == "dag/task/run"
    assert report["account"] == f"close:{deals.url.removeprefix('http://')}:orga_sandbox"
    assert (report["vendor"], report["rows"], report["calls"]) == ("close", 2, 2)
    assert set(report["rejects"][0]) == {"record_id", "outcome", "code", "reason"}


def test_permanent_rejects_fail_without_retry(deals, update):
    """A row that the CRM refuses fails the task for good; the others have landed, and the report is in XCom."""
    run = update([*rows("5.00"), {"id": "oppo_gone", "arr": "6.00"}])
    assert isinstance(run.error, AirflowFailException)
    assert run.outcomes == {"updated": 1, "rejected": 1}
    assert run.rejects == {"oppo_gone": ("rejected", "NOT_FOUND")}
    assert deals.close.opportunity("oppo_0")["value"] == 500


def test_transient_failures_fail_with_retry(deals, update):
    """A row that got only 5xx answers fails the task in the way that Airflow retries."""
    deals.script(vendor="close", method="PUT", path="/api/v1/opportunity/oppo_1/", faults=["http_500"] * 8)
    run = update(rows("1", "2", "3"))
    assert isinstance(run.error, AirflowException)
    assert not isinstance(run.error, AirflowFailException)
    assert run.outcomes == {"updated": 2, "failed": 1}


@pytest.mark.parametrize(("allowed", "fails"), [(0, True), (1, False), (0.33, True), (0.34, False)])
def test_max_rejected_is_a_count_or_a_fraction(deals, update, allowed, fails):
    """One bad row of three is tolerated by a count of 1 or a fraction from a third on."""
    run = update(rows("1", "2", "x"), max_rejected=allowed)
    assert (run.error is not None) is fails
    assert run.outcomes == {"updated": 2, "invalid": 1}


def test_ignored_values_are_failures(deals, update):
    """A 2xx whose record shows another value is `ignored`, for exactly those rows, and fails the task."""
    deals.set(ignored_ids={"oppo_1"})
    run = update(rows("7", "8", "9"))
    assert isinstance(run.error, AirflowFailException)
    assert run.outcomes == {"updated": 2, "ignored": 1}
    assert run.rejects == {"oppo_1": ("ignored", "NOT_WRITTEN")}


def test_an_expired_key_stops_before_the_second_row(deals, update):
    """401 for the first row ends the run: no second row is sent, and no retry is scheduled."""
    deals.script(vendor="raze", method="PUT", faults=["http_401"])
    run = update(rows("1", "2", "3", prefix="opp_"), crm_conn_id="raze_default")
    assert isinstance(run.error, AirflowFailException)
    assert run.outcomes == {"not_sent": 3}
    assert deals.audit.count(vendor="raze") == 1


def test_missing_values_skip_clear_or_refuse(deals, update):
    """`nulls` decides what a missing value does, by column if need be."""
    frame = [{"id": "oppo_0", "arr": None, "text": "a"}, {"id": "oppo_1", "arr": 5, "text": None}]
    fields = {"arr": "deal_value", "text": "notes"}
    update(frame, fields=fields)
    assert (deals.close.opportunity("oppo_0")["value"], deals.close.opportunity("oppo_0")["note"]) == (100, "a")
    update(frame, fields=fields, nulls={"arr": "clear", "text": "skip"})
    assert deals.close.opportunity("oppo_0")["value"] is None
    assert update(frame, fields=fields, nulls="error").outcomes == {"invalid": 2}


def test_rows_without_any_value_cost_no_call(deals, update):
    """A row whose every value is missing is `unchanged` and sends nothing."""
    run = update(rows(None, None))
    assert run.error is None
    assert run.outcomes == {"unchanged": 2}
    assert deals.audit.writes == []


def test_duplicates_are_refused_or_the_last_wins(deals, update):
    """Two rows of one id: by default none is sent, with "last" the later one."""
    frame = [{"id": "oppo_0", "arr": 1}, {"id": "oppo_0", "arr": 2}, {"id": "oppo_1", "arr": 3}]
    assert update(frame).outcomes == {"updated": 1, "invalid": 2}
    assert deals.close.opportunity("oppo_0")["value"] == 100
    run = update(frame, on_duplicate="last")
    assert run.outcomes == {"updated": 1, "unchanged": 1, "stale": 1}
    assert deals.close.opportunity("oppo_0")["value"] == 200


def test_a_row_in_another_currency_is_invalid(deals, update):
    """Close keeps one currency per organization: a row in another is refused before it is sent."""
    frame = [{"id": "oppo_0", "arr": 1, "cur": "EUR"}, {"id": "oppo_1", "arr": 2, "cur": "usd"}]
    run = update(frame, fields={"arr": "deal_value", "cur": "deal_currency"})
    assert run.rejects == {"oppo_0": ("invalid", "CURRENCY")}
    assert [write.fields for write in deals.audit.writes] == [{"value": 200}]


def test_a_raze_row_with_a_stage_is_two_calls(deals, update):
    """Values go through PUT, the stage through its own PATCH."""
    run = update(
        [{"id": "opp_0", "arr": Decimal("10.25"), "stage": "proposal"}],
        crm_conn_id="raze_default",
        fields={"arr": "deal_value", "stage": "stage"},
    )
    assert run.outcomes == {"updated": 1}
    assert [(write.method, write.fields) for write in deals.audit.writes] == [
        ("PUT", {"deal_value": Decimal("10.25")}),
        ("PATCH", {"status": "proposal"}),
    ]


def test_a_half_applied_raze_row_says_so_and_its_retry_sends_the_missing_half(deals, update):
    """If the stage fails after the values landed, the reason says it; the task's next try sends only the stage."""
    arguments = {"crm_conn_id": "raze_default", "fields": {"arr": "deal_value", "stage": "stage"}}
    data = [{"id": "opp_0", "arr": 10, "stage": "won"}]
    deals.script(vendor="raze", method="PATCH", faults=["http_503"] * 8)
    run = update(data, **arguments)
    assert run.report["rejects"][0]["reason"].startswith("deal_value landed, the rest did not: Raze answered 503")
    deals.audit.clear()
    assert update(data, try_number=2, **arguments).outcomes == {"updated": 1}
    assert [call.method for call in deals.audit.calls if call.method != "GET"] == ["PATCH"]


def test_dry_run_checks_everything_and_writes_nothing(deals, update, capsys):
    """With `dry_run` the payloads are logged, bad rows are reported, and no call that writes is made."""
    run = update(rows("1.5", "x"), dry_run=True)
    assert run.outcomes == {"invalid": 1, "not_sent": 1}
    assert isinstance(run.error, AirflowFailException)
    assert 'Would send PUT /api/v1/opportunity/oppo_0/ {"value": 150}' in capsys.readouterr().out
    assert deals.audit.writes == []
    assert update(rows("1.5"), dry_run=True).error is None


def test_a_dry_run_logs_no_personal_values(deals, update, capsys):
    """Values of personal fields stay out of the log."""
    data = [{"id": "opp_0", "mail": "jane@example.com"}]
    update(data, crm_conn_id="raze_default", fields={"mail": "email"}, dry_run=True)
    output = capsys.readouterr().out
    assert '{"email": "(hidden)"}' in output
    assert "jane@example.com" not in output


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_all_rejects_are_in_the_file(deals, update, tmp_path, suffix):
    """The file of `rejects_path` has every row that did not land, beyond the 20 of the report."""
    path = tmp_path / "some" / f"rejects.{suffix}"
    run = update([{"id": f"oppo_x{number}", "arr": 1} for number in range(30)], rejects_path=str(path))
    frame = pd.read_csv(path) if suffix == "csv" else pd.read_json(path, lines=True)
    assert list(frame.columns) == ["record_id", "outcome", "code", "reason"]
    assert sorted(frame.record_id) == sorted(f"oppo_x{number}" for number in range(30))
    assert len(run.report["rejects"]) == 20
    assert run.report["rejects_path"] == str(path)


def test_a_run_without_rejects_leaves_no_old_ones(deals, update, tmp_path):
    """A try in which everything lands empties the file of the try before."""
    path = tmp_path / "rejects.csv"
    update(rows("x"), rejects_path=str(path))
    assert "NOT_A_NUMBER" in path.read_text()
    update(rows("1"), rejects_path=str(path))
    assert path.read_text() == '"record_id","outcome","code","reason"\n'


def test_a_won_stage_in_a_late_run_names_both_ways_out(deals, update):
    """In a backfill a win without a date is refused, unless the user says which date is meant."""
    data = [{"id": "oppo_0", "stage": "Sales/Won"}]
    as_of = dt.datetime(2026, 1, 5, 3, tzinfo=dt.UTC)
    late = {"as_of": as_of, "fields": {"stage": "stage"}, "timezone": "America/New_York"}
    run = update(data, **late)
    assert run.rejects == {"oppo_0": ("invalid", "DATE_WON")}
    reason = run.report["rejects"][0]["reason"]
    assert "date_won_default='server'" in reason
    assert "'as_of'" in reason
    update(data, date_won_default="as_of", **late)
    assert deals.close.opportunity("oppo_0")["date_won"] == "2026-01-04"


def test_the_date_of_an_interval_is_its_last_day(deals, update):
    """The end of a data interval is no longer part of it: the day of March 5 ends at midnight of March 6."""
    end_of_day = dt.datetime(2026, 3, 6, 5, tzinfo=dt.UTC)  # midnight in New York
    arguments = {"fields": {"stage": "stage"}, "timezone": "America/New_York", "date_won_default": "as_of"}
    update([{"id": "oppo_0", "stage": "Sales/Won"}], as_of=end_of_day, **arguments)
    assert deals.close.opportunity("oppo_0")["date_won"] == "2026-03-05"


def test_a_403_after_other_rows_landed_is_about_its_row(deals, update):
    """A key that has written other rows is good: the row it may not edit is rejected, and the others go on."""
    deals.script(vendor="close", method="PUT", path="/api/v1/opportunity/oppo_1/", faults=["http_403"])
    run = update(rows("1", "2", "3"))
    assert run.outcomes == {"updated": 2, "rejected": 1}
    assert deals.close.opportunity("oppo_2")["value"] == 300


def test_an_absurd_wait_is_deferred_for_a_day_at_most(deals, update):
    """A vendor that asks for a month is asked again tomorrow."""
    deals.set(throttle_seconds=30 * 86_400, fault_rates={"http_429": 1.0}, fault_methods={"PUT"})
    run = update(rows("1"))
    assert run.deferred.trigger.moment - dt.datetime.now(dt.UTC) <= dt.timedelta(hours=25)


def test_the_server_may_date_a_win_in_the_named_zone(deals, update):
    """With "server" Close sets its own today, in the zone of `x-tz-offset`."""
    deals.clock.set(dt.datetime(2026, 3, 8, 4, 30, tzinfo=dt.UTC))
    update(
        [{"id": "oppo_0", "stage": "Sales/Won"}],
        fields={"stage": "stage"},
        timezone="Pacific/Honolulu",
        date_won_default="server",
        as_of=dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
    )
    assert deals.audit.calls[-1].headers["x-tz-offset"] == "-10"
    assert deals.close.opportunity("oppo_0")["date_won"] == "2026-03-07"


def test_a_long_wait_defers_and_the_rest_follows(deals, update, tmp_path):
    """A Raze window of an hour frees the worker slot; after it only the missing rows are sent, and counted once."""
    began = dt.datetime.now(dt.UTC)
    deals.set(raze_limit=2)
    deals.clock.set(dt.datetime(2026, 11, 20, 10, 15, tzinfo=dt.UTC))
    arguments = {"crm_conn_id": "raze_default", "concurrency": 1, "rejects_path": str(tmp_path / "rejects.csv")}
    data = [*rows("1", "2", "3", prefix="opp_"), {"id": "opp_bad", "arr": "x"}]
    run = update(data, **arguments)
    assert run.deferred.method_name == "resume"
    assert run.deferred.kwargs["report"]["outcomes"] == {"updated": 2, "invalid": 1}
    left, rounding = dt.timedelta(seconds=2700), dt.timedelta(seconds=10)
    assert began + left - rounding < run.deferred.trigger.moment <= dt.datetime.now(dt.UTC) + left

    deals.clock.advance(2700)
    deals.audit.clear()
    operator = UpdateOpportunityOperator(
        task_id="task", data=data, id_column="id", fields={"arr": "deal_value"}, **arguments
    )
    run.of(lambda context: operator.resume(context, **run.deferred.kwargs, event=None))
    assert run.outcomes == {"updated": 3, "invalid": 1}
    assert [write.record_id for write in deals.audit.writes] == ["opp_2"]
    assert (tmp_path / "rejects.csv").read_text().count("NOT_A_NUMBER") == 1


def test_an_outage_stops_the_run(deals, update):
    """When row after row fails, and the vendor answers nothing else, the rest is `not_sent` for the retry."""
    for number in range(40):
        deals.close.add_opportunity(f"oppo_many{number}")
    deals.set(fault_rates={"http_503": 1.0}, fault_methods={"PUT"})
    deals.script(vendor="close", method="GET", path="/api/v1/me/", faults=[None] + ["http_503"] * 100)
    run = update([{"id": f"oppo_many{number}", "arr": 1} for number in range(40)], concurrency=4)
    assert not isinstance(run.error, AirflowFailException)
    assert run.outcomes["not_sent"] > 0
    assert run.outcomes["failed"] + run.outcomes["not_sent"] == 40
