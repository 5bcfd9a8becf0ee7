"""The backfill example under a real scheduler: parallel runs, the latest day first, through the command line.

Once each day has deals of its own, once all days are about the same deals.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise

import pytest
import sqlalchemy as sa

from .standalone import standalone

pytestmark = pytest.mark.long

OWN = [f"2026-10-{day}" for day in range(26, 32)]
SAME = [f"2026-09-{day}" for day in range(21, 27)]
DEALS = 24
PARALLEL = 3


@dataclass(frozen=True)
class BackfillRun:
    """One run of a backfill, as the scheduler keeps it."""

    day: str
    run_id: str
    state: str
    start: str
    end: str


def own_deals(row):
    """Two deals for each day, one of them won."""
    for day in OWN:
        moment = f"{day}T15:00:00+00:00"
        yield row(day, f"{day[-2:]}_1", arr=f"{day[-2:]}1.50", won_at=moment, changed_at=moment)
        yield row(day, f"{day[-2:]}_2", arr=f"{day[-2:]}2.50", changed_at=moment)


def same_deals(row):
    """The same deals on every day, with other values; some are won, some no longer on the later days."""
    for place, day in enumerate(SAME):
        moment = f"{day}T15:00:00+00:00"
        for number in range(DEALS):
            won = (True, place < 3, False)[number % 3]
            if number % 4 or day != SAME[-1]:
                arr = f"{day[-2:]}{number:02}.50"
                yield row(day, f"same_{number}", arr=arr, won_at=moment if won else None, changed_at=moment)


def rows(metadata, sql):
    """Rows of the metadata database; none before its tables are there."""
    with metadata.connect() as connection:
        if not sa.inspect(connection).has_table("serialized_dag"):
            return []
        return [tuple(map(str, row)) for row in connection.execute(sa.text(sql))]


def runs(metadata, days):
    """The backfill's runs of these days, the earliest first."""
    columns = "logical_date, run_id, state, start_date, end_date"
    sql = f"SELECT {columns} FROM dag_run WHERE run_type = 'backfill' ORDER BY logical_date"
    found = [BackfillRun(date[:10], *others) for date, *others in rows(metadata, sql)]
    return [run for run in found if days[0] <= run.day <= days[-1]]


def wait_for(home, what, seconds, condition):
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        log = (home.root / "standalone.log").read_text(errors="replace")[-4000:]
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s.\n{log}"
        time.sleep(1)


@pytest.fixture(scope="module")
def backfill(world, row, metadata):
    """Backfill some days by the command that the example names, with a running Airflow; gives its world."""
    made = world([*own_deals(row), *same_deals(row)], dags={"backfill.py"})
    shutil.rmtree(made.home.root / "logs", ignore_errors=True)

    def run(airflow, days, until):
        command = ["backfill", "create", "--dag-id", "crm_backfill", "--run-backwards"]
        command += ["--from-date", days[0], "--to-date", until, "--max-active-runs", str(PARALLEL)]
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *command],
            env=airflow.environment,
            cwd=made.home.root,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        # One DAG may have one backfill at a time, and its end is noticed some time after that of its last run.
        going = "SELECT 1 FROM backfill WHERE completed_at IS NULL"
        wait_for(made.home, "the end of the backfill", 240, lambda: not rows(metadata, going))
        return made

    with standalone(made.home.root, made.home.environment, metadata, parallelism=PARALLEL) as airflow:
        wait_for(made.home, "serializing the DAG", 180, lambda: rows(metadata, "SELECT 1 FROM serialized_dag"))
        yield lambda days, until: run(airflow, days, until)


@pytest.fixture(scope="module")
def own(backfill):
    """The world after six days of deals of their own."""
    return backfill(OWN, "2026-11-01")


@pytest.fixture(scope="module")
def same(backfill, own):
    """The world after six days of the same deals; half of the writes arrive late, so that others can overtake them."""
    own.sandbox.audit.clear()
    own.sandbox.set(fault_rates={"late": 0.5}, slow_seconds=0.5, fault_methods={"PUT"})
    return backfill(SAME, "2026-09-27")


def check_runs(found, days):
    """Every interval succeeded, the latest day started before the earliest, and some runs overlapped in time."""
    assert [(run.day, run.state) for run in found] == [(day, "success") for day in days]
    assert found[-1].start < found[0].start
    assert any(later.start < earlier.end for later, earlier in pairwise(reversed(found)))


def test_intervals_ran_side_by_side_and_the_latest_first(own, metadata):
    """One run for each day, all green, and the case is real."""
    check_runs(runs(metadata, OWN), OWN)


def test_each_interval_wrote_its_own_values_and_dates(own):
    """Every opportunity holds what its own day's row said, the date of the win included."""
    close = own.sandbox.close
    for day in OWN:
        won, active = close.opportunity(f"oppo_{day[-2:]}_1"), close.opportunity(f"oppo_{day[-2:]}_2")
        assert (won["value"], won["date_won"], won["status_type"]) == (int(f"{day[-2:]}150"), day, "won")
        assert (active["value"], active["date_won"], active["status_type"]) == (int(f"{day[-2:]}250"), None, "active")


def test_each_row_was_sent_once(own):
    """No interval was written twice: one PUT for each row."""
    assert own.sandbox.audit.count("close", "PUT") == 2 * len(OWN)


def test_intervals_of_the_same_deals_ran_side_by_side_and_the_latest_first(same, metadata):
    """The same for the days that are all about the same deals."""
    check_runs(runs(metadata, SAME), SAME)


def test_the_newest_interval_stays_for_every_field(same, row):
    """Whichever interval came last, value, stage and date of the win are those of the newest that has them."""
    wanted = defaultdict(lambda: {"value": None, "date_won": None, "status_type": "active"})
    for deal in same_deals(row):
        wanted[deal.close_id]["value"] = int(deal.arr.replace(".", ""))
        if deal.won_at is not None:
            wanted[deal.close_id] |= {"date_won": deal.day, "status_type": "won"}
    held = {record_id: same.sandbox.close.opportunity(record_id) for record_id in wanted}
    assert {one: {key: held[one][key] for key in wanted[one]} for one in wanted} == dict(wanted)


def test_values_were_written_in_the_order_of_their_days(same):
    """Of each deal the values that landed are of later and later days: an older one came before the newer, or never."""
    landed = defaultdict(list)
    for write in same.sandbox.audit.writes:
        if "value" in write.fields:
            landed[write.record_id].append(write.fields["value"])
    assert len(landed) == DEALS
    assert {record_id: sorted(set(values)) for record_id, values in landed.items()} == landed


def test_older_data_that_came_later_is_told_as_stale(same, row, metadata):
    """Each run's report in the ledger accounts for all its rows: those that landed, and those that came too late."""
    with closing(sqlite3.connect(same.home.root / "crm_ledger.db")) as ledger:
        reports = dict(ledger.execute("SELECT run_key, report FROM crm_runs").fetchall())
        known = ledger.execute(
            "SELECT record_id, value FROM crm_field_states WHERE field = 'value' AND known"
        ).fetchall()
    by_day = {run.day: reports[f"crm_backfill/deal_values/{run.run_id}"] for run in runs(metadata, SAME)}
    told = {day: json.loads(report)["outcomes"] for day, report in by_day.items()}
    expected = Counter(deal.day for deal in same_deals(row))
    assert {day: sum(outcomes.values()) for day, outcomes in told.items()} == expected
    assert told[SAME[-1]] == {"updated": expected[SAME[-1]]}
    total = sum(map(Counter, told.values()), Counter())
    assert total.keys() == {"updated", "stale"}
    assert total["updated"] == len(same.sandbox.audit.writes)
    held = {record_id: same.sandbox.close.opportunity(record_id)["value"] for record_id, _ in known}
    assert {record_id: int(value) for record_id, value in known} == held
