"""The backfill example under a real scheduler: parallel runs, the latest day first, through the command line.

Each day has deals of its own; for runs about the same deals see `test_many_runs`.
"""

from __future__ import annotations

import shutil
from itertools import pairwise

import pytest

from .running import Running
from .standalone import standalone

pytestmark = pytest.mark.long

DAYS = [f"2026-10-{day}" for day in range(26, 32)]
DAY_AFTER = "2026-11-01"
PARALLEL = 3
GOING = "SELECT 1 FROM backfill WHERE completed_at IS NULL"
RUNS = "SELECT logical_date, state, start_date, end_date FROM dag_run WHERE run_type = 'backfill' ORDER BY logical_date"


def deals(row):
    """Two deals for each day, one of them won."""
    for day in DAYS:
        moment = f"{day}T15:00:00+00:00"
        yield row(day, f"{day[-2:]}_1", arr=f"{day[-2:]}1.50", won_at=moment, changed_at=moment)
        yield row(day, f"{day[-2:]}_2", arr=f"{day[-2:]}2.50", changed_at=moment)


@pytest.fixture(scope="module")
def backfill(world, row, metadata):
    """Backfill the days by the command that the example names; gives the sandbox and the runs."""
    made = world(list(deals(row)), dags={"backfill.py"})
    root = made.home.root
    shutil.rmtree(root / "logs", ignore_errors=True)
    command = ["backfill", "create", "--dag-id", "crm_backfill", "--run-backwards"]
    command += ["--from-date", DAYS[0], "--to-date", DAY_AFTER, "--max-active-runs", PARALLEL]
    with standalone(root, made.home.environment, metadata, parallelism=PARALLEL) as airflow:
        running = Running(root, airflow, metadata)
        running.wait_until_ready(1)
        running.command(command)
        running.wait("the end of the backfill", lambda: not running.query(GOING))
    return made.sandbox, running.query(RUNS)


def test_intervals_ran_side_by_side_and_the_latest_first(backfill):
    """Every day succeeded, the latest started before the earliest, and some runs overlapped in time."""
    runs = backfill[1]
    assert [(str(run.logical_date.date()), run.state) for run in runs] == [(day, "success") for day in DAYS]
    assert runs[-1].start_date < runs[0].start_date
    assert any(later.start_date < earlier.end_date for later, earlier in pairwise(reversed(runs)))


def test_each_interval_wrote_its_own_values_and_dates(backfill):
    """Every opportunity holds what its own day's row said, the date of the win included."""
    close = backfill[0].close
    for day in DAYS:
        won, active = close.opportunity(f"oppo_{day[-2:]}_1"), close.opportunity(f"oppo_{day[-2:]}_2")
        assert (won["value"], won["date_won"], won["status_type"]) == (int(f"{day[-2:]}150"), day, "won")
        assert (active["value"], active["date_won"], active["status_type"]) == (int(f"{day[-2:]}250"), None, "active")


def test_each_row_was_sent_once(backfill):
    """No interval was written twice: one PUT for each row."""
    assert backfill[0].audit.count("close", "PUT") == 2 * len(DAYS)
