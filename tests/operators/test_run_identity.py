"""The name and the data time of a run, read from the context that Airflow gives to a task."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, CronPartitionTimetable

from airflow_provider_crm.sync.data_time import DataTime
from airflow_provider_crm.sync.run_identity import data_time_of_run

from .conftest import Impatient, Run

NOW = dt.datetime(2026, 11, 28, 9, 30, tzinfo=dt.UTC)
HOURS = CronPartitionTimetable("0 * * * *", timezone="UTC")
DAYS = CronPartitionTimetable("0 0 * * *", timezone="UTC", key_format="%d.%m.%Y")
NO_YEAR = CronPartitionTimetable("0 0 * * *", timezone="UTC", key_format="%d.%m.")


def context(schedule, *, run_type="manual", partition_key=None, **dates):
    """The part of a context that the data time depends on."""
    run = SimpleNamespace(run_after=NOW, run_type=run_type, partition_key=partition_key)
    return {"dag": DAG("d", schedule=schedule), "dag_run": run, **dates}


@pytest.mark.parametrize("run_type", ["manual", "operator_triggered", "asset_materialization"])
def test_the_timetable_is_that_of_the_dag_file(run_type):
    """A DAG file has a description of a timetable; Airflow's own is made from it."""
    found = context(
        CronDataIntervalTimetable("0 0 * * *", timezone="America/New_York"),
        run_type=run_type,
        logical_date=dt.datetime(2026, 11, 22, tzinfo=dt.UTC),
        data_interval_start=dt.datetime(2026, 11, 27, 5, tzinfo=dt.UTC),
        data_interval_end=dt.datetime(2026, 11, 28, 5, tzinfo=dt.UTC),
    )
    assert data_time_of_run(found, NOW) == DataTime(dt.datetime(2026, 11, 23, 5, tzinfo=dt.UTC), exclusive=True)


def test_a_partition_has_its_date():
    """Airflow 3.3 and later pass it to the task."""
    date = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    found = context(DAYS, partition_key="22.11.2026", partition_date=date)
    assert data_time_of_run(found, NOW) == DataTime(date)


@pytest.mark.parametrize(
    ("schedule", "key", "date"),
    [
        (HOURS, "2026-11-22T07:00:00", "2026-11-22T07:00"),
        (DAYS, "22.11.2026", "2026-11-22"),
        ([Asset("a")], "2026-11-22", "2026-11-22"),
        ([Asset("a")], "2026-11-22T07:00:00+01:00", "2026-11-22T06:00"),
        (None, "2026-11-22T07:00", "2026-11-22T07:00"),
    ],
)
def test_a_key_of_a_partition_says_its_date(schedule, key, date):
    """Where Airflow passes only the key to a task, a run for an old partition keeps the date of that partition."""
    assert data_time_of_run(context(schedule, partition_key=key), NOW) == DataTime(
        dt.datetime.fromisoformat(date).replace(tzinfo=dt.UTC)
    )


@pytest.mark.parametrize(
    ("schedule", "key"), [(None, "us-east"), (None, "20261122"), (None, "2026-11-99"), (NO_YEAR, "22.11."), (DAYS, "x")]
)
def test_a_key_without_a_date_is_doubtful(schedule, key):
    """Then nothing but the time of the run is known, and the log says so."""
    found = data_time_of_run(context(schedule, partition_key=key), NOW)
    assert (found.as_of, found.exclusive) == (NOW, False)
    assert f"The partition {key!r} has no date" in found.doubt


def test_a_run_without_any_date_is_of_the_time_at_which_it_was_asked_for():
    """Assets start such runs, and the command line, the UI and the REST API without a logical date."""
    assert data_time_of_run(context([Asset("a")], run_type="asset_triggered"), NOW) == DataTime(NOW)


def by_hand(deals, day):
    """Win a deal in a run that was started by hand on March 20, for an earlier day; gives the date of the win."""
    run = Run()
    run.context |= context(
        CronDataIntervalTimetable("0 0 * * *", timezone="America/New_York"),
        logical_date=dt.datetime(2026, 3, day, tzinfo=dt.UTC),
        data_interval_start=dt.datetime(2026, 3, 19, 4, tzinfo=dt.UTC),
        data_interval_end=dt.datetime(2026, 3, 20, 4, tzinfo=dt.UTC),
    )
    data = [{"id": "oppo_0", "stage": "Sales/Won", "arr": day}]
    operator = Impatient(
        task_id="task",
        data=data,
        crm_conn_id="close_default",
        id_column="id",
        fields={"stage": "stage", "arr": "deal_value"},
        timezone="America/New_York",
        date_won_default="as_of",
    )
    return run.of(operator.execute).outcomes, deals.close.opportunity("oppo_0")["date_won"]


def test_a_past_day_by_hand_wins_on_that_day_and_overwrites_no_later_one(deals, tmp_path, monkeypatch):
    """The day is that of the logical date, not of the interval, which Airflow takes from the clock."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    assert by_hand(deals, 5) == ({"updated": 1}, "2026-03-05")
    assert by_hand(deals, 7) == ({"updated": 1}, "2026-03-07")
    assert by_hand(deals, 5) == ({"stale": 1}, "2026-03-07")
    assert deals.close.opportunity("oppo_0")["value"] == 700
