"""The DAG that waits for opportunities, under a real scheduler: it runs because another one wrote some."""

from __future__ import annotations

import json
import shutil

import pytest
import sqlalchemy as sa

from .cluster import airflow, run, wait_for
from .standalone import standalone

pytestmark = pytest.mark.long

DAY, TRIGGERED = "2026-03-16", "close_daily_sql/deal_values/first"
WRITTEN = sa.text("SELECT value FROM xcom WHERE dag_id = 'crm_after_sync' AND key = 'return_value'")
READ = sa.text("SELECT count(*) FROM serialized_dag")


def rows(metadata, statement):
    """Rows of the metadata database; none before its tables are there."""
    with metadata.connect() as connection:
        tables = sa.inspect(connection)
        known = tables.has_table("xcom") and tables.has_table("serialized_dag")
        return connection.execute(statement).fetchall() if known else []


def written(metadata):
    """What each run of the waiting DAG returned, of those that read an event of the triggered run."""
    told = [json.loads(value) if isinstance(value, str) else value for (value,) in rows(metadata, WRITTEN)]
    return [one for one in told if TRIGGERED in json.dumps(one)]


def test_writing_sets_off_the_dag_that_waits(world, row, metadata):
    """One run of the daily DAG sets off one of the waiting one, which finds account, run key and counts."""
    made = world([row(DAY, 1), row(DAY, 2)], dags={"close_daily_sql.py", "after_sync.py"})
    root = made.home.root
    shutil.rmtree(root / "logs", ignore_errors=True)
    with standalone(root, made.home.environment, metadata, parallelism=2) as running:
        wait_for(root, "reading the DAGs", 400, lambda: rows(metadata, READ) == [(2,)])
        trigger = ["dags", "trigger", "close_daily_sql", "--run-id", "first", "--logical-date", f"{DAY}T04:00:00+00:00"]
        run(airflow(*trigger), running.environment, root)
        found = wait_for(root, "the run of the waiting DAG", 400, lambda: written(metadata))
    host = made.sandbox.url.removeprefix("http://")
    assert [one[f"close:{host}:orga_sandbox"][TRIGGERED] for one in found] == [2]
