"""The DAG that waits for opportunities, under a real scheduler: it runs because another one wrote some."""

from __future__ import annotations

import json
import shutil

import pytest
import sqlalchemy as sa

from .cluster import airflow, run, wait_for
from .standalone import standalone

pytestmark = pytest.mark.long

DAY = "2026-03-16"
WRITTEN = sa.text("SELECT value FROM xcom WHERE dag_id = 'crm_after_sync' AND key = 'return_value'")
READ = sa.text("SELECT count(*) FROM serialized_dag")


def rows(metadata, statement):
    """Rows of the metadata database; none before its tables are there."""
    with metadata.connect() as connection:
        tables = sa.inspect(connection)
        known = tables.has_table("xcom") and tables.has_table("serialized_dag")
        return connection.execute(statement).fetchall() if known else []


def test_writing_sets_off_the_dag_that_waits(world, row, metadata):
    """One run of the daily DAG is one run of the waiting one, which reads account, run key and counts off the event."""
    made = world([row(DAY, 1), row(DAY, 2)], dags={"close_daily_sql.py", "after_sync.py"})
    root = made.home.root
    shutil.rmtree(root / "logs", ignore_errors=True)
    with standalone(root, made.home.environment, metadata, parallelism=2) as running:
        wait_for(root, "reading the DAGs", 180, lambda: rows(metadata, READ) == [(2,)])
        trigger = ["dags", "trigger", "close_daily_sql", "--run-id", "first", "--logical-date", f"{DAY}T04:00:00+00:00"]
        run(airflow(*trigger), running.environment, root)
        found = wait_for(root, "the run of the waiting DAG", 240, lambda: rows(metadata, WRITTEN))
    told = found[0][0]
    host = made.sandbox.url.removeprefix("http://")
    assert len(found) == 1
    assert (json.loads(told) if isinstance(told, str) else told) == {
        f"close:{host}:orga_sandbox": {"close_daily_sql/deal_values/first": 2}
    }
