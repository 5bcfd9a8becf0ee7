"""A data time that has not come yet is refused: it would keep newer data out for ever."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.schema import field_states
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator
from airflow_provider_crm.rows import ColumnRules
from airflow_provider_crm.rows.reader import FrameReader
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Field, Outcome, OutcomeWord

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
OPEN_ENDS = [dt.date(9999, 12, 31), dt.datetime.max, "9999-12-31", "9999-12-31T23:59:59Z", "infinity"]  # noqa: DTZ901 - psycopg2's
ARGUMENTS = {"id_column": "id", "fields": {"arr": "deal_value"}}


class AtNoon(UpdateOpportunityOperator):
    """The operator on a day that has stopped at noon."""

    def session_for(self, account):
        """Use that clock."""
        return Session(account, clock=Clock(now=lambda: NOON))


class ByColumn(AtNoon):
    """The same, with a column for the data time of each row."""

    def __init__(self, **arguments):
        super().__init__(as_of="valid_to", **arguments)


class PlanAtNoon(PlanOpportunityUpdatesOperator):
    """The same for a plan."""

    session_for = AtNoon.session_for


def read(cell, *, timezone="UTC"):
    """Return the outcome of one row with this data time at noon."""
    rules = ColumnRules("id", {"n": "notes"}, as_of="valid_to", values=ValueRules(timezone=timezone))
    reader = FrameReader(rules, {"notes": Field("notes", "note")}, None, now=lambda: NOON)
    (row,) = reader.read(pd.DataFrame({"id": ["o"], "n": ["x"], "valid_to": [cell]}))
    return row


@pytest.mark.parametrize(
    ("cell", "timezone"),
    [
        (dt.datetime(2031, 1, 1, tzinfo=dt.UTC), "UTC"),
        ("2031-01-01", "UTC"),
        (dt.date(2026, 11, 21), "UTC"),
        ("2026-11-20 12:05:01", "UTC"),
        ("2026-11-20 12:30:00", "UTC"),  # a local time of Berlin, read as UTC an hour later than it was
        ("2026-11-20 07:06:00", "America/New_York"),
    ],
    ids=["aware", "text", "tomorrow", "just beyond the tolerance", "local time as UTC", "zone"],
)
def test_a_data_time_ahead_of_the_clock_is_refused(cell, timezone):
    """The reason names column, data time, clock and what to write instead."""
    row = read(cell, timezone=timezone)
    assert isinstance(row, Outcome)
    assert (row.word, row.code) == (OutcomeWord.INVALID, "FUTURE_AS_OF")
    assert "column 'valid_to': the data time 20" in row.reason
    assert "ahead of the clock (2026-11-20 12:00 UTC)" in row.reason
    assert "write when the value was read or last changed" in row.reason


@pytest.mark.parametrize("cell", OPEN_ENDS)
@pytest.mark.parametrize("timezone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_an_open_end_is_no_data_time(cell, timezone):
    """The value of databases and drivers for infinity is refused in every zone, on any date there."""
    row = read(cell, timezone=timezone)
    assert isinstance(row, Outcome)
    assert row.word is OutcomeWord.INVALID


@pytest.mark.parametrize("seconds", [-86400, 0, 300])
def test_what_clocks_differ_by_is_allowed(seconds):
    """Five minutes ahead may be another machine's present."""
    assert not isinstance(read(NOON + dt.timedelta(seconds=seconds)), Outcome)


def test_no_fence_is_left_by_an_open_end(deals, task, stored):
    """A row whose data time is 9999-12-31 is refused, and the next day's run writes the record."""
    row = {"id": "oppo_1", "arr": 5, "valid_to": OPEN_ENDS[0]}
    refused = task(ByColumn, **ARGUMENTS, data=[row], timezone="UTC")
    assert refused.outcomes == {"invalid": 1}
    assert stored(field_states) == []
    later = task(AtNoon, **ARGUMENTS, run_id="next", as_of=NOON, data=[{"id": "oppo_1", "arr": 7}])
    assert (later.error, later.outcomes) == (None, {"updated": 1})
    assert deals.close.opportunity("oppo_1")["value"] == 700


@pytest.mark.parametrize("more", [{}, {"ledger_conn_id": None}, {"dry_run": True}], ids=["", "no ledger", "dry run"])
def test_a_run_for_a_day_that_has_not_come_writes_nothing(deals, task, more):
    """Every row says so, with the cure, and nothing is sent, with a ledger or without one."""
    run = task(AtNoon, **ARGUMENTS, **more, as_of=NOON + dt.timedelta(days=1), data=[{"id": "oppo_1", "arr": 7}])
    assert run.rejects == {"oppo_1": ("invalid", "FUTURE_AS_OF")}
    assert "start the run for a date that has come" in run.report["rejects"][0]["reason"]
    assert deals.audit.count(method="PUT") == 0


def test_a_plan_for_a_day_that_has_not_come_plans_nothing(deals, task):
    """The rows of a plan are refused when it is made, so an approved one cannot have them."""
    plan = task(PlanAtNoon, **ARGUMENTS, as_of=NOON + dt.timedelta(days=1), data=[{"id": "oppo_1", "arr": 7}])
    assert plan.report["counts"]["invalid"] == 1
    assert plan.report["counts"]["update"] == 0


def test_an_interval_that_ends_now_is_no_future(deals, task):
    """The data time of a scheduled run is the moment at which it starts, give or take the difference of two clocks."""
    run = task(AtNoon, **ARGUMENTS, as_of=NOON + dt.timedelta(minutes=2), data=[{"id": "oppo_1", "arr": 7}])
    assert run.outcomes == {"updated": 1}
