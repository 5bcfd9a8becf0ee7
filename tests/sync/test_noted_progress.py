"""A run's progress stands in the ledger while it goes on, and never ends the run."""

from __future__ import annotations

import datetime as dt
import json
import logging
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import runs
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.report.combined import with_verdict
from airflow_provider_crm.report.progress import Reading
from airflow_provider_crm.report.run_progress import RunProgress
from airflow_provider_crm.sync.noted_progress import NotedProgress

NOW = dt.datetime(2026, 11, 30, 8, tzinfo=dt.UTC)
LOG = logging.getLogger(__name__)


@pytest.fixture
def database(any_database):
    """An empty ledger's database, of each kind."""
    made = Database(sa.create_engine(any_database))
    yield made
    made.close()


def begun(database):
    """A run that has begun, and its context."""
    ledger = Ledger(database, account="a", run_key="d/t/r", lease=60.0, clock=Clock(), combine=with_verdict)
    ledger.open(None)
    session = SimpleNamespace(clock=Clock(now=lambda: NOW))
    return ledger, SimpleNamespace(session=session, ledger=ledger, run_key="d/t/r", account="a")


def stored(database):
    """The run's row."""
    with database.engine.connect() as connection:
        return connection.execute(sa.select(runs)).one()


def test_progress_stands_beside_a_run_until_it_ends(database):
    """Rows, total, rate and moment are stored while it goes on; its end has counts and verdict instead."""
    ledger, context = begun(database)
    NotedProgress(SimpleNamespace(database=database), context, 3_000, LOG).note(Reading(1_300, 2, 1_310), 2.5)
    progress = RunProgress.from_dict(json.loads(stored(database).progress))
    assert progress == RunProgress(1_300, 3_000, 2, 2.5, NOW)
    assert (round(progress.part, 2), progress.seconds_left) == (0.43, 680.0)
    ledger.close({"outcomes": {"updated": 2_998, "rejected": 2}, "rows": 3_000})
    row = stored(database)
    assert (row.progress, row.verdict, json.loads(row.outcomes)) == (None, "refused", {"updated": 2_998, "rejected": 2})
    assert "verdict" not in json.loads(row.report)
    ledger.open(None)
    assert (stored(database).verdict, stored(database).finished_at) == (None, None)


def test_a_note_after_the_end_changes_nothing(database):
    """A late note of a run that has ended is dropped."""
    ledger, context = begun(database)
    ledger.close({"outcomes": {"updated": 1}, "rows": 1})
    NotedProgress(SimpleNamespace(database=database), context, None, LOG).note(Reading(1, 0, 1), 1.0)
    assert stored(database).progress is None


def test_a_database_that_fails_ends_the_notes_only(caplog):
    """The log says so once, and the run goes on."""
    away = Database(sa.create_engine("postgresql+psycopg2://crm@127.0.0.1:1/crm"))
    context = SimpleNamespace(
        session=SimpleNamespace(clock=Clock(now=lambda: NOW)), ledger=object(), run_key="d/t/r", account="a"
    )
    noted = NotedProgress(SimpleNamespace(database=away), context, None, LOG)
    for _ in range(3):
        noted.note(Reading(1, 0, 1), 1.0)
    assert caplog.text.count("The page no longer shows the progress") == 1


def test_time_left_is_known_with_a_total_only():
    """Without the number of rows there is no part and no time left; nor without a rate."""
    assert RunProgress(10, None, 0, 2.0, NOW).seconds_left is None
    assert RunProgress(10, None, 0, 2.0, NOW).part is None
    assert RunProgress(10, 20, 0, 0.0, NOW).seconds_left is None
