"""Many runs over the same deals at once, some of them killed: the newest value stays, and every row is told truly.

For each of ten seeds: eight days, five by the schedule and the older ones by a backwards backfill, and three of them by
hand, all about the same 200 deals, under one real scheduler on PostgreSQL, which has the ledger, too.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import signal
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.database import Database
from airflow_provider_crm.sandbox import Sandbox

from .running import Running, environment, make_home
from .standalone import standalone

pytestmark = pytest.mark.long

HERE = Path(__file__).parent
NEW_YORK = ZoneInfo("America/New_York")
SEEDS, DEALS, DAYS, BACKFILLED, KILLS = 10, 200, 8, 3, 2
BY_HAND = {"cli": 3, "rest": 5, "older": 1}
"""Which day is run by hand, the oldest being 0: two of the scheduled ones, and one of the backfill."""
RUNS = SEEDS * (DAYS + len(BY_HAND))
FIELDS = {"arr": "value", "note": "note", "confidence": "confidence"}
WRITING = sa.text(
    "SELECT DISTINCT claim_run_key FROM crm_field_states"
    " WHERE claim_run_key IS NOT NULL AND claimed_until > clock_timestamp()"
)
LATEST = dt.datetime.now(NEW_YORK).date() - dt.timedelta(days=1)


def date_of(day):
    """The date of a day; the last one ended when the test began."""
    return LATEST - dt.timedelta(days=DAYS - 1 - day)


def midnight_of(day):
    """When it begins in New York."""
    date = date_of(day)
    return dt.datetime(date.year, date.month, date.day, tzinfo=NEW_YORK)


class Deals:
    """What each day says about each deal of each seed: some deals, some fields, each value of one day only."""

    def __init__(self):
        self.rows = {}
        for seed in range(SEEDS):
            rng = random.Random(seed)
            for day in range(DAYS):
                for number in range(DEALS):
                    values = {"arr": f"{day}{number:03}.50", "note": f"day {day}", "confidence": day}
                    chosen = {name: value for name, value in values.items() if rng.random() < 0.7}
                    if chosen and rng.random() < 0.9:
                        self.rows[seed, day, f"oppo_{seed}_{number}"] = chosen

    def newest(self):
        """By record and the CRM's field, what the newest day with a value says."""
        found = defaultdict(dict)
        for (_, _, record), values in self.rows.items():  # the oldest day first
            found[record].update({FIELDS[name]: in_crm(name, value) for name, value in values.items()})
        return dict(found)

    def write(self, path):
        """Write a warehouse."""
        with closing(sqlite3.connect(path)) as warehouse:
            warehouse.execute(
                "CREATE TABLE deals (seed INTEGER, day TEXT, id TEXT, arr TEXT, note TEXT, confidence INTEGER)"
            )
            warehouse.execute("CREATE INDEX by_day ON deals (seed, day)")
            warehouse.executemany(
                "INSERT INTO deals VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (seed, str(date_of(day)), record, *(values.get(name) for name in FIELDS))
                    for (seed, day, record), values in self.rows.items()
                ],
            )
            warehouse.commit()


def in_crm(name, value):
    """A value as Close shows it."""
    return int(value.replace(".", "")) if name == "arr" else value


def day_of_value(field, value):
    """Which day a value is of."""
    if field == "value":
        return value // 100_000
    return int(value.removeprefix("day ")) if field == "note" else value


class Killer:
    """Kills processes of tasks that are writing, some of each seed.

    Args:
        processes: Folder in which each process says its run.
        ledger: The engine of the ledger.
    """

    def __init__(self, processes, ledger):
        self._processes, self._ledger = processes, ledger
        self.killed = set()

    def kill_some(self):
        """Kill the processes of the runs that hold claims now."""
        with self._ledger.connect() as connection:
            writing = connection.execute(WRITING).scalars().all()
        for key in sorted(set(writing) - self.killed):
            if self.of_seed(seed_of(key)) < KILLS:
                self._kill(key)

    def of_seed(self, seed):
        """How many processes of a seed were killed."""
        return sum(seed_of(key) == seed for key in self.killed)

    def _kill(self, key):
        for told in self._processes.iterdir():
            if told.read_text() == key:
                os.kill(int(told.name), signal.SIGKILL)
                self.killed.add(key)


def seed_of(key):
    """The seed of a run key, or of a record."""
    return int(key.partition("/")[0].split("_")[1])


@pytest.fixture(scope="module")
def ledger(new_database):
    """The engine of an empty ledger."""
    engine = Database(sa.create_engine(new_database())).engine
    Database(engine).open()
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def deals():
    """What all days say."""
    return Deals()


@pytest.fixture(scope="module")
def sandbox(deals):
    """A Close with all deals; some writes arrive late, so that others could overtake them."""
    with Sandbox() as made:
        for seed in range(SEEDS):
            for number in range(DEALS):
                made.close.add_opportunity(f"oppo_{seed}_{number}")
        made.set(fault_rates={"late": 0.03}, slow_seconds=0.5, fault_methods={"PUT"})
        yield made


@pytest.fixture(scope="module")
def killed(tmp_path_factory, metadata, ledger, deals, sandbox):
    """Run everything at once, and kill what is said above; returns the keys of the runs that were killed."""
    root = tmp_path_factory.mktemp("airflow")
    make_home(root, HERE / "many_runs_dags.py")
    (root / "processes").mkdir()
    deals.write(root / "warehouse.db")
    url = ledger.url
    close = json.loads(sandbox.connection_uris()["close_default"])
    # A claim outlives its process by two timeouts and half a minute, for which the retry waits. Within a timeout the
    # sandbox must answer, however busy the machine is: a call that is given up and lands later may come out of order.
    close["extra"] = {**as_dict(close.get("extra")), "timeout": 12}
    connections = {
        "close_default": json.dumps(close),
        "warehouse": json.dumps({"conn_type": "sqlite", "host": str(root / "warehouse.db")}),
        "ledger": json.dumps(
            {"conn_type": "postgres", "host": url.query["host"], "login": url.username, "schema": url.database}
        ),
    }
    more = {
        "AIRFLOW__CRM__LEDGER_CONN_ID": "ledger",
        "MANY_RUNS_FIRST": midnight_of(0).isoformat(),
        "MANY_RUNS_PROCESSES": str(root / "processes"),
    }
    with standalone(root, environment(root, connections, **more), metadata, parallelism=8) as airflow:
        running = Running(root, airflow, metadata)
        running.wait_until_ready(SEEDS)
        killer = Killer(root / "processes", ledger)
        start(running)

        def all_ended():
            killer.kill_some()
            return running.query("SELECT count(*) FROM dag_run WHERE state IN ('success', 'failed')") == [(RUNS,)]

        running.wait("the end of all runs", all_ended)
    return killer.killed


def start(running):
    """Start all runs: those by hand and the backfills first, while nothing may begin, and then everything at once."""
    for seed in range(SEEDS):
        dag_id = f"many_{seed}"
        for run_id in ("rest", "older"):
            running.post_run(dag_id, run_id, logical_date=f"{date_of(BY_HAND[run_id])}T00:00:00Z")
        days = {"from_date": midnight_of(0).isoformat(), "to_date": midnight_of(BACKFILLED - 1).isoformat()}
        running.call("POST", "/backfills", dag_id=dag_id, **days, run_backwards=True, max_active_runs=BACKFILLED)
    by_cli = ["dags", "trigger", "--run-id", "cli", "-l", date_of(BY_HAND["cli"])]
    running.command(*([*by_cli, f"many_{seed}"] for seed in range(SEEDS)))
    running.unpause(*(f"many_{seed}" for seed in range(SEEDS)))


def as_dict(extra):
    """The extra of a connection, however it is written."""
    return json.loads(extra) if isinstance(extra, str) else dict(extra or {})


@pytest.fixture(scope="module")
def runs(killed, metadata):
    """Day, type, state, start and end of each run, by its key in the ledger."""
    sql = "SELECT dag_id, run_id, run_type, state, logical_date, start_date, end_date FROM dag_run"
    with metadata.connect() as connection:
        found = connection.execute(sa.text(sql)).fetchall()
    return {f"{run.dag_id}/write/{run.run_id}": run for run in found}


@pytest.fixture(scope="module")
def reports(killed, ledger):
    """Rows by outcome of each run."""
    with ledger.connect() as connection:
        found = connection.execute(sa.text("SELECT run_key, report FROM crm_runs")).fetchall()
    return {key: json.loads(report)["outcomes"] for key, report in found}


@pytest.fixture(scope="module")
def told(killed, ledger):
    """Run, record and field of each line of the change log, by what became of it."""
    with ledger.connect() as connection:
        found = connection.execute(sa.text("SELECT outcome, run_key, record_id, field FROM crm_changes")).fetchall()
    lines = defaultdict(set)
    for outcome, *line in found:
        lines[outcome].add(tuple(line))
    return lines


def day_of(run):
    """The day that a run reads, by its `ds`."""
    return DAYS - 1 - (LATEST - run.logical_date.astimezone(dt.UTC).date()).days


def test_the_case_is_real(runs, killed):
    """Runs of each kind ended well, some of one seed at the same time, and some of each seed were killed."""
    assert Counter((run.run_type, run.state) for run in runs.values()) == {
        ("scheduled", "success"): SEEDS * (DAYS - BACKFILLED),
        ("backfill", "success"): SEEDS * BACKFILLED,
        ("manual", "success"): SEEDS * len(BY_HAND),
    }
    assert Counter(map(seed_of, killed)) == dict.fromkeys(range(SEEDS), KILLS)
    for seed in range(SEEDS):
        spans = sorted((run.start_date, run.end_date) for key, run in runs.items() if seed_of(key) == seed)
        assert sum(later[0] < earlier[1] for earlier, later in pairwise(spans)) > DAYS / 2


def test_the_newest_value_of_every_field_stays(killed, deals, sandbox):
    """Whichever run came last, and whoever was killed."""
    wanted = deals.newest()
    held = {record: sandbox.close.opportunity(record) for record in wanted}
    assert {record: {name: held[record][name] for name in fields} for record, fields in wanted.items()} == wanted


def test_values_landed_in_the_order_of_their_days(killed, sandbox):
    """No value was ever overwritten by an older one, not even for a moment."""
    landed = defaultdict(list)
    for write in sandbox.audit.writes:
        for name, value in write.fields.items():
            landed[write.record_id, name].append(day_of_value(name, value))
    assert {place: days for place, days in landed.items() if days != sorted(days)} == {}


def test_reports_account_for_every_row(runs, reports, deals):
    """Each run tells of each row that it landed, was there, or came too late; the newest day has no late one."""
    expected = Counter((seed, day) for seed, day, _ in deals.rows)
    for key, outcomes in reports.items():
        day = day_of(runs[key])
        assert sum(outcomes.values()) == expected[seed_of(key), day]
        assert set(outcomes) <= {"updated", "unchanged", "stale"}
        assert day < DAYS - 1 or "stale" not in outcomes
    assert reports.keys() == runs.keys()


def test_what_landed_is_what_was_told(runs, killed, told, deals, sandbox):
    """The change log and the CRM agree: each value that a run says it wrote was written, and none else.

    A process that was killed could not tell any more of the rows that were on their way: the retry sent these again.
    """
    written = Counter(
        (write.record_id, name, day_of_value(name, value))
        for write in sandbox.audit.writes
        for name, value in write.fields.items()
    )
    log = Counter((record, field, day_of(runs[key])) for key, record, field in told["updated"])
    assert log.keys() <= written.keys()
    beyond = written - log
    days_of_killed = {(seed_of(key), day_of(runs[key])) for key in killed}
    assert {(seed_of(record.removeprefix("oppo")), day) for record, _, day in beyond} <= days_of_killed
    assert sum(beyond.values()) <= len(killed) * 64 * len(FIELDS)


def test_counts_of_runs_are_those_of_the_change_log(killed, ledger, reports, told):
    """A run that was not killed reports as many rows as updated as it has records in the log.

    Unknown is only what a killed try had claimed, and a newer run took over. Failed is only what another try of the run
    took up again, as after a moment in which the machine was too busy to answer.
    """
    rows = defaultdict(set)
    for key, record, _ in told["updated"]:
        rows[key].add(record)
    for key in reports.keys() - killed:
        assert reports[key].get("updated", 0) == len(rows[key]), key
    assert set(told) <= {"updated", "unchanged", "unknown", "failed"}
    assert {key for key, _, _ in told["unknown"]} <= killed
    with ledger.connect() as connection:
        retried = set(connection.execute(sa.text("SELECT run_key FROM crm_runs WHERE tries > 1")).scalars())
    assert {key for key, _, _ in told["failed"]} <= retried


def test_stale_is_said_only_of_rows_that_newer_data_has_overtaken(runs, reports, deals):
    """A row is `stale` if another day has newer values for some of its fields: no run has more than there are."""
    newest = defaultdict(lambda: -1)
    for _, day, record in deals.rows:
        for name in deals.rows[int(record.split("_")[1]), day, record]:
            newest[record, name] = max(newest[record, name], day)
    overtaken = Counter(
        (seed, day)
        for (seed, day, record), values in deals.rows.items()
        if any(newest[record, name] > day for name in values)
    )
    for key, outcomes in reports.items():
        assert outcomes.get("stale", 0) <= overtaken[seed_of(key), day_of(runs[key])]


def test_the_ledger_believes_what_the_crm_holds(killed, ledger, deals, sandbox):
    """Every field that a day had a value for is known, and as the CRM shows it."""
    with ledger.connect() as connection:
        sql = "SELECT record_id, field, value FROM crm_field_states WHERE known"
        known = {(record, field): json.loads(value) for record, field, value in connection.execute(sa.text(sql))}
    assert known == {
        (record, name): value for record, fields in deals.newest().items() for name, value in fields.items()
    }
