"""The backfill example under a real scheduler: parallel runs, the latest day first, through the command line."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from itertools import pairwise

import pytest
import sqlalchemy as sa

from .standalone import standalone

pytestmark = pytest.mark.long

DAYS = [f"2026-10-{day}" for day in range(26, 32)]
PARALLEL = 3


def rows(metadata, sql):
    """Rows of the metadata database; none before its tables are there."""
    with metadata.connect() as connection:
        if not sa.inspect(connection).has_table("serialized_dag"):
            return []
        return [tuple(map(str, row)) for row in connection.execute(sa.text(sql))]


def wait_for(home, what, seconds, condition):
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        log = (home.root / "standalone.log").read_text(errors="replace")[-4000:]
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s.\n{log}"
        time.sleep(1)


@pytest.fixture(scope="module")
def backfilled(world, row, metadata):
    """A home in which six days were backfilled by the command that the example names."""
    deals = []
    for day in DAYS:
        moment = f"{day}T15:00:00+00:00"
        deals.append(row(day, f"{day[-2:]}_1", arr=f"{day[-2:]}1.50", won_at=moment, changed_at=moment))
        deals.append(row(day, f"{day[-2:]}_2", arr=f"{day[-2:]}2.50", changed_at=moment))
    made = world(deals, dags={"backfill.py"})
    shutil.rmtree(made.home.root / "logs", ignore_errors=True)
    with standalone(made.home.root, made.home.environment, metadata, parallelism=PARALLEL) as airflow:
        wait_for(made.home, "serializing the DAG", 180, lambda: rows(metadata, "SELECT 1 FROM serialized_dag"))
        command = ["backfill", "create", "--dag-id", "crm_backfill", "--run-backwards"]
        command += ["--from-date", DAYS[0], "--to-date", "2026-11-01", "--max-active-runs", str(PARALLEL)]
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
        going = "SELECT 1 FROM dag_run WHERE run_type = 'backfill' AND state NOT IN ('success', 'failed')"
        wait_for(made.home, "the end of the backfill", 240, lambda: not rows(metadata, going))
    return made


def test_every_interval_succeeded(backfilled, metadata):
    """One run for each day, all green, with every row updated by the report in XCom."""
    runs = rows(metadata, "SELECT logical_date, state FROM dag_run WHERE run_type = 'backfill' ORDER BY 1")
    assert [(date[:10], state) for date, state in runs] == [(day, "success") for day in DAYS]


def test_intervals_ran_side_by_side_and_the_latest_first(backfilled, metadata):
    """The case is real: the latest day started before the earliest, and some runs overlapped in time."""
    sql = "SELECT start_date, end_date FROM dag_run WHERE run_type = 'backfill' ORDER BY logical_date DESC"
    runs = rows(metadata, sql)
    assert runs[0][0] < runs[-1][0]
    assert any(later_start < earlier_end for (_, earlier_end), (later_start, _) in pairwise(runs))


def test_each_interval_wrote_its_own_values_and_dates(backfilled):
    """Every opportunity holds what its own day's row said, the date of the win included."""
    close = backfilled.sandbox.close
    for day in DAYS:
        won, active = close.opportunity(f"oppo_{day[-2:]}_1"), close.opportunity(f"oppo_{day[-2:]}_2")
        assert (won["value"], won["date_won"], won["status_type"]) == (int(f"{day[-2:]}150"), day, "won")
        assert (active["value"], active["date_won"], active["status_type"]) == (int(f"{day[-2:]}250"), None, "active")


def test_each_row_was_sent_once(backfilled):
    """No interval was written twice: one PUT for each row."""
    assert backfilled.sandbox.audit.count("close", "PUT") == 2 * len(DAYS)
