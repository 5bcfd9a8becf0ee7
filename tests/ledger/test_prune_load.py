"""Pruning beside four runs that write: none of them fails or waits, and what is kept can be undone."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import changes, runs
from airflow_provider_crm.ledger.prune import prune
from airflow_provider_crm.plan.store import PlanStore

ROOT = Path(__file__).parents[2]
ACCOUNT = "close:api.close.com:orga_9Lq7uYgJ1Xk2"
WRITERS = 4
LONGEST_WAIT = 1.0
KEPT = "sales_sync/deal_values/scheduled__2026-11-29T04:00:00+00:00"
LINES_OF_A_RUN = 10_000
MILLIONS = {"sqlite": 5_000_000, "postgresql": 1_000_000}
"""Lines of the long proof. PostgreSQL deletes as many a second, whatever their number, and takes its time over each."""
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count})"
OLD_KEY = "'sales_sync/deal_values/scheduled__' || (100000 + i / {lines}) || 'T04:00:00+00:00'"
LINE = """
    INSERT INTO crm_changes (run_key, account, record_id, field, before, before_known, after, outcome, code, reason, at)
    {numbers} SELECT {key}, :account, 'oppo_' || (1000000000 + i / 5 % 200000), 'custom.cf_health_' || (i % 5),
        CAST(i AS TEXT), i >= 0, CAST(i + 1 AS TEXT), 'updated', '', '', :at FROM n
"""
RUN = """
    INSERT INTO crm_runs (run_key, account, tries, started_at, finished_at, report)
    {numbers} SELECT {key}, :account, 1, :at, :at, '{{}}' FROM n
"""


def fill(database, count):
    """Generate old runs, and one of yesterday; the indexes are built at the end, which takes half the time."""
    now = dt.datetime.now(dt.UTC)
    moments = {"old": now - dt.timedelta(days=400), "new": now - dt.timedelta(days=1)}
    at = {name: database.dialect.moment_text(moment) for name, moment in moments.items()}
    if not database.dialect.is_file:
        at = moments
    old_key = OLD_KEY.format(lines=LINES_OF_A_RUN)
    lines = LINE.format(numbers=NUMBERS.format(count=count), key=old_key)
    kept = LINE.format(numbers=NUMBERS.format(count=LINES_OF_A_RUN), key=f"'{KEPT}'")
    of_runs = RUN.format(numbers=NUMBERS.format(count=max(1, count // LINES_OF_A_RUN)), key=OLD_KEY.format(lines=1))
    with database.transaction() as connection:
        for index in changes.indexes:
            index.drop(connection)
        connection.execute(sa.text(lines), {"account": ACCOUNT, "at": at["old"]})
        connection.execute(sa.text(of_runs), {"account": ACCOUNT, "at": at["old"]})
        connection.execute(sa.text(kept), {"account": ACCOUNT, "at": at["new"]})
        for index in changes.indexes:
            index.create(connection)
        run = {"run_key": KEPT, "account": ACCOUNT, "tries": 1}
        connection.execute(sa.insert(runs), {**run, "started_at": moments["new"], "finished_at": moments["new"]})


def size_of(database):
    """Bytes of the file, or of the change log with its indexes."""
    if database.dialect.is_file:
        _outside_transactions(database, "PRAGMA wal_checkpoint(TRUNCATE)")
        return Path(database.engine.url.database).stat().st_size
    with database.transaction() as connection:
        return connection.execute(sa.text("SELECT pg_total_relation_size('crm_changes')")).scalar_one()


def _outside_transactions(database, statement):
    connection = database.engine.raw_connection()
    try:
        if not database.dialect.is_file:
            connection.driver_connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(statement)
        cursor.close()
    finally:
        connection.invalidate()


def start_writer(url, name):
    """Start a process that writes rows of its own."""
    script = Path(__file__).with_name("log_writer.py")
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, str(script), url, ACCOUNT, str(name)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )


def stop_writer(writer):
    """End its input; return what it reports."""
    out, _ = writer.communicate(timeout=120)
    assert writer.returncode == 0
    return json.loads(out.splitlines()[-1])


@pytest.mark.parametrize("is_large", [False, pytest.param(True, marks=pytest.mark.long)], ids=["few", "millions"])
def test_no_run_waits_while_the_log_is_pruned(engine, is_large):
    """All old lines go, every new line stays, and the run of yesterday is undone from the same lines as before."""
    count = MILLIONS[engine.dialect.name] if is_large else 30_000
    database = Database(engine)
    fill(database, count)
    store, sizes = PlanStore(database), [size_of(database)]
    undone = list(store.written(KEPT, ACCOUNT))
    writers = [start_writer(engine.url.render_as_string(hide_password=False), name) for name in range(WRITERS)]
    assert {writer.stdout.readline() for writer in writers} == {"ready\n"}
    began = time.monotonic()
    pruned = prune(database, keep_days=365, clock=Clock())
    seconds = time.monotonic() - began
    reports = [stop_writer(writer) for writer in writers]
    sizes.append(size_of(database))
    assert (pruned.changes, pruned.runs) == (count, max(1, count // LINES_OF_A_RUN))
    assert list(store.written(KEPT, ACCOUNT)) == undone
    written = sum(report["rows"] for report in reports)
    with database.transaction() as connection:
        lines = connection.execute(sa.select(sa.func.count()).select_from(changes)).scalar_one()
    assert lines == LINES_OF_A_RUN + 5 * written
    _outside_transactions(database, "VACUUM")
    sizes.append(size_of(database))
    longest = max(report["longest"] for report in reports)
    megabytes = ", ".join(f"{size / 1e6:,.0f}" for size in sizes)
    print(  # noqa: T201 - the size of the proof
        f"{engine.dialect.name}: {count:,} lines in {seconds:.0f} s, {written:,} rows written beside it, longest wait "
        f"{longest:.2f} s; MB before, after, after VACUUM: {megabytes}"
    )
    assert longest <= LONGEST_WAIT
