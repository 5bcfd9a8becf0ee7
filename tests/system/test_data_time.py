"""The data time of every way in which a run can begin, under a real scheduler: the table of the manual, row by row."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from airflow_provider_crm.sandbox import Sandbox

from .running import Running, environment, make_home
from .standalone import standalone

pytestmark = pytest.mark.long

HERE = Path(__file__).parent
DAY, NOTHING = dt.timedelta(days=1), dt.timedelta()
NEW_YORK = ZoneInfo("America/New_York")
TODAY = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DEALS = 40
RUNS = sa.text(
    "SELECT dag_id, run_id, run_type, state, logical_date, data_interval_start, data_interval_end, run_after, end_date,"
    " partition_key"
    " FROM dag_run"
)


class Run(NamedTuple):
    """A run, as Airflow keeps it."""

    dag_id: str
    run_id: str
    run_type: str
    state: str
    logical_date: dt.datetime | None
    start: dt.datetime | None
    end: dt.datetime | None
    run_after: dt.datetime
    ended: dt.datetime | None
    partition_key: str | None


def day(ago, *, zone=dt.UTC, hour=0):
    """An hour of a day some days ago, in a zone."""
    date = (TODAY - ago * DAY).date()
    return dt.datetime(date.year, date.month, date.day, hour, tzinfo=zone)


def iso(moment):
    """A moment as commands and calls take it."""
    return moment.isoformat()


TIMETABLE, BACKFILL = "scheduled", "backfill"


class Row(NamedTuple):
    """A row of the table: which run, and what its dates are to be."""

    how: str
    dag_id: str
    run: str
    """The run's id, or its type where the scheduler chose the id."""
    as_of: object
    """A moment, or what makes of a run a moment, or the first and the last that are right."""
    interval: object = None
    """The data interval that Airflow gives, likewise; None for no interval."""
    warns: bool = False


def of_its_end(run):
    """The end of the interval."""
    return run.end


def due(run):
    """When the run was due, or asked for."""
    return run.run_after


def moment(run):
    """An interval without a length."""
    return run.run_after, run.run_after


def now(run):
    """Some time from the logical date, which is the clock's when the run was asked for, to the end of the run."""
    return run.logical_date, run.ended


def of_key(run):
    """What the partition's key says."""
    return dt.datetime.fromisoformat(run.partition_key).replace(tzinfo=dt.UTC)


def night_before(run):
    """The last night in New York that had ended when the run was asked for."""
    last = run.run_after.astimezone(NEW_YORK).date()
    start, end = (dt.datetime(date.year, date.month, date.day, tzinfo=NEW_YORK) for date in (last - DAY, last))
    return start, end


TABLE = [
    Row("schedule", "nightly", TIMETABLE, of_its_end, night_before),
    Row("schedule", "duration_interval", TIMETABLE, of_its_end, lambda run: (run.end - DAY, run.run_after)),
    Row("schedule", "with_interval", TIMETABLE, of_its_end, lambda run: (run.end - DAY, run.run_after)),
    Row("schedule", "daily", TIMETABLE, due, moment),
    Row("schedule", "morning", TIMETABLE, due, moment),
    Row("schedule", "duration", TIMETABLE, due, moment),
    Row("schedule", "several", TIMETABLE, due, moment),
    Row("schedule", "events", TIMETABLE, due, moment),
    Row("schedule", "once", TIMETABLE, day(30, hour=3), moment),
    Row("schedule", "continuous", TIMETABLE, of_its_end, lambda run: (run.start, run.run_after)),
    Row("schedule", "partition", TIMETABLE, lambda run: run.run_after - DAY),
    Row("backfill", "nightly", BACKFILL, day(11, zone=NEW_YORK), (day(12, zone=NEW_YORK), day(11, zone=NEW_YORK))),
    Row("backfill", "morning", BACKFILL, day(12, hour=6), moment),
    Row("backfill", "partition", BACKFILL, of_key),
    Row("cli", "nightly", "cli", day(5, zone=NEW_YORK), night_before),
    Row("cli", "daily", "cli", day(6), moment),
    Row("cli", "morning", "cli", day(6, hour=6), moment),
    Row("cli", "duration", "cli", day(6), moment),
    Row("cli", "duration_interval", "cli", day(5), lambda run: (run.run_after - DAY, run.run_after)),
    Row("cli", "with_interval", "cli", day(5, hour=6), lambda run: (run.run_after - DAY, run.run_after)),
    Row("cli", "several", "cli", day(6, hour=6), moment),
    Row("cli", "events", "cli", day(9, hour=18), moment),
    Row("cli", "once", "cli", day(6), moment, warns=True),
    Row("cli", "by_hand", "cli", day(6), moment, warns=True),
    Row("cli, no date", "by_hand", "cli_without", due),
    Row("dag.test", "nightly", "test", day(14, zone=NEW_YORK), (day(17, zone=NEW_YORK), day(16, zone=NEW_YORK))),
    Row("REST", "nightly", "rest", day(6, zone=NEW_YORK), (day(9, zone=NEW_YORK), day(8, zone=NEW_YORK))),
    Row("REST", "nightly", "rest_exact", day(7, zone=NEW_YORK), (day(9, zone=NEW_YORK), day(8, zone=NEW_YORK))),
    Row("REST", "morning", "rest", day(7, hour=6), (day(7), day(7))),
    Row("REST", "with_interval", "rest", day(6, hour=6), (day(8, hour=6), day(7, hour=6))),
    Row("REST", "by_hand", "rest", day(7), (day(7), day(7))),
    Row("REST, interval with the date", "nightly", "rest_inside", day(12), (day(13), day(12))),
    Row("REST, interval without the date", "nightly", "rest_outside", day(19), (day(20), day(19)), warns=True),
    Row("REST, interval without the date", "by_hand", "rest_outside", day(19), (day(20), day(19)), warns=True),
    Row("UI, now", "nightly", "ui_now", now, night_before),
    Row("UI, now", "daily", "ui_now", lambda run: run.logical_date, lambda run: (run.logical_date, run.logical_date)),
    Row("REST, null", "nightly", "rest_null", due),
    Row("operator", "nightly", "operator_past", day(3, zone=NEW_YORK), night_before),
    Row("operator", "by_hand", "operator_past", day(4), moment, warns=True),
    Row("operator, now", "nightly", "operator_now", now, night_before),
    Row("operator, now", "by_hand", "operator_now", now, moment),
    Row("asset", "asset", "asset_triggered", due),
    Row("materialize", "daily", "asset_materialization", due),
    Row("asset's partition", "asset_partition", "asset_triggered", of_key),
    Row("REST, partition", "partition", "rest", day(16)),
]
NAMES = {row.dag_id for row in TABLE}
DAGS = NAMES | {"starter", "forty_deals"}
LATEST = dt.datetime.now(NEW_YORK).date() - DAY
PAST = LATEST - 5 * DAY


class Field(Running):
    """A running Airflow with the DAGs of the table, and its ledger."""

    def runs(self, dag_id):
        """The runs of a DAG."""
        with self.metadata.connect() as connection:
            return [Run(*row) for row in connection.execute(RUNS) if row.dag_id == dag_id]

    def ended(self, dag_id, run):
        """The run of an id, or the first of a type, once it has ended."""
        found = [one for one in self.runs(dag_id) if one.run_id == run or (run == one.run_type and one.ended)]
        found += [one for one in self.runs(dag_id) if run == "test" and one.logical_date == day(15)]
        return next((one for one in found if one.ended is not None), None)

    def ledger(self, column, run):
        """What the ledger knows of the task of a run."""
        with closing(sqlite3.connect(self.root / "crm_ledger.db")) as ledger:
            query = f"SELECT {column} FROM crm_runs WHERE run_key = ?"
            return ledger.execute(query, (f"{run.dag_id}/write/{run.run_id}",)).fetchone()[0]

    def data_time(self, run):
        """The data time that a run's task has put into the ledger."""
        return dt.datetime.fromisoformat(self.ledger("as_of", run)).replace(tzinfo=dt.UTC)

    def outcomes(self, run):
        """Rows by outcome."""
        return json.loads(self.ledger("report", run))["outcomes"]

    def log_of(self, run):
        """The log of a run's task."""
        folder = self.root / "logs" / f"dag_id={run.dag_id}" / f"run_id={run.run_id}"
        return "".join(log.read_text() for log in folder.rglob("*.log"))


@pytest.fixture(scope="module")
def field(tmp_path_factory, metadata):
    """An Airflow in which every row of the table has had its run."""
    root = tmp_path_factory.mktemp("airflow")
    make_home(root, HERE / "data_time_dags.py")
    with closing(sqlite3.connect(root / "warehouse.db")) as warehouse, Sandbox() as sandbox:
        warehouse.execute("CREATE TABLE deals (day TEXT, id TEXT, arr INTEGER)")
        # The day that ended last in New York, and one of the week before.
        for number in range(DEALS):
            sandbox.close.add_opportunity(f"oppo_{number}")
            warehouse.execute("INSERT INTO deals VALUES (?, ?, ?)", (str(LATEST), f"oppo_{number}", 2700 + number))
            warehouse.execute("INSERT INTO deals VALUES (?, ?, ?)", (str(PAST), f"oppo_{number}", 2200 + number))
        warehouse.commit()
        for dag_id in NAMES:
            sandbox.close.add_opportunity(f"oppo_{dag_id}")
        connections = {
            **sandbox.connection_uris(),
            "warehouse": json.dumps({"conn_type": "sqlite", "host": str(root / "warehouse.db")}),
        }
        with standalone(
            root, environment(root, connections, DATA_TIME_TODAY=iso(TODAY)), metadata, parallelism=4
        ) as airflow:
            made = Field(root, airflow, metadata)
            made.sandbox, made.warehouse = sandbox, warehouse
            start_all(made)
            yield made


def start_all(field):
    """Start the runs of all rows that do not start by themselves, and wait until every row has one that has ended."""
    field.wait_until_ready(len(DAGS))
    # While its DAG is paused: of one that is not, the scheduler runs the task of "dags test" as well, and one of the
    # two loses.
    field.command(["dags", "test", "nightly", iso(day(15))])
    field.unpause(*DAGS - {"continuous"})
    first = field.wait("the first run of the forty deals", lambda: field.ended("forty_deals", TIMETABLE))
    assert first.state == "success"
    for number in range(DEALS):  # the day is repaired
        sql = "UPDATE deals SET arr = ? WHERE day = ? AND id = ?"
        field.warehouse.execute(sql, (2800 + number, str(LATEST), f"oppo_{number}"))
    field.warehouse.commit()
    field.unpause("continuous")
    by_cli = {row.dag_id: day(6) for row in TABLE if row.run == "cli"} | {"events": day(9)}
    trigger = ["dags", "trigger", "--run-id"]
    backfill = ["backfill", "create", "--from-date", iso(day(12)), "--to-date"]
    field.command(
        *([*trigger, "cli", "-l", iso(date), dag_id] for dag_id, date in by_cli.items()),
        [*trigger, "past", "-l", PAST, "forty_deals"],
        [*trigger, "repair", "-l", LATEST, "forty_deals"],
        [*trigger, "cli_without", "by_hand"],
        [*trigger, "now", "starter"],
        [*backfill, iso(day(11)), "--run-backwards", "--dag-id", "nightly"],
        [*backfill, iso(day(12, hour=23)), "--dag-id", "morning"],
        [*backfill, iso(day(11)), "--dag-id", "partition"],
    )
    posts = [
        ("nightly", "rest", {"logical_date": iso(day(7))}),
        ("nightly", "rest_exact", {"logical_date": iso(day(8, zone=NEW_YORK))}),
        ("morning", "rest", {"logical_date": iso(day(7))}),
        ("with_interval", "rest", {"logical_date": iso(day(7, hour=6))}),
        ("by_hand", "rest", {"logical_date": iso(day(7))}),
        ("nightly", "rest_inside", given(day(13, hour=12), day(13), day(12))),
        ("nightly", "rest_outside", given(day(14), day(20), day(19))),
        ("by_hand", "rest_outside", given(day(14), day(20), day(19))),
        ("nightly", "rest_null", {}),
        ("partition", "rest", {"partition_key": day(16).strftime("%Y-%m-%dT%H:%M:%S")}),
    ]
    for dag_id, run_id, dates in posts:
        field.post_run(dag_id, run_id, **dates)
    for dag_id in ("nightly", "daily"):
        field.post_run(dag_id, "ui_now", logical_date=iso(dt.datetime.now(dt.UTC)))
    assets = {asset["name"]: asset["id"] for asset in field.call("GET", "/assets")["assets"]}
    field.call("POST", f"/assets/{assets['data_time_written']}/materialize")
    field.wait("a run of the continuous DAG", lambda: field.ended("continuous", TIMETABLE))
    field.call("PATCH", "/dags/continuous", is_paused=True)
    field.wait("the end of all runs", lambda: all(field.ended(row.dag_id, row.run) for row in TABLE))
    field.wait("the forty deals", lambda: field.ended("forty_deals", "past") and field.ended("forty_deals", "repair"))


def given(logical_date, start, end):
    """The dates of a run whose interval somebody chose."""
    return {"logical_date": iso(logical_date), "data_interval_start": iso(start), "data_interval_end": iso(end)}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.how}: {row.dag_id}")
def test_every_way_to_begin_a_run_has_its_data_time(field, row):
    """The ledger has the data time that the manual's table promises, and Airflow the interval that it names."""
    run = field.ended(row.dag_id, row.run)
    wanted, interval = (value(run) if callable(value) else value for value in (row.as_of, row.interval))
    first, last = wanted if isinstance(wanted, tuple) else (wanted, wanted)
    assert run.state == "success"
    assert first <= field.data_time(run) <= last
    assert (run.start, run.end) == (interval or (None, None))
    if row.run != "test":
        assert ("older data time counts" in field.log_of(run)) == row.warns


def test_an_old_day_by_hand_is_stale_and_yesterday_can_be_repaired(field):
    """The day of the week before overwrites nothing of yesterday; yesterday, by hand, overwrites itself."""
    found = {name: field.outcomes(field.ended("forty_deals", name)) for name in (TIMETABLE, "past", "repair")}
    assert found == {TIMETABLE: {"updated": DEALS}, "past": {"stale": DEALS}, "repair": {"updated": DEALS}}
    values = [field.sandbox.close.opportunity(f"oppo_{number}")["value"] for number in range(DEALS)]
    assert values == [(2800 + number) * 100 for number in range(DEALS)]
