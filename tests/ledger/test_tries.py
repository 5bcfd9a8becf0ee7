"""Tries of a run are kept, and add up."""

from __future__ import annotations

import datetime as dt
import json

import pytest
import sqlalchemy as sa

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import changes, runs, tries
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.report.combined import combined

DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def report(ended_early=None, **outcomes):
    """What a try reports."""
    return {
        "outcomes": outcomes,
        "rows": sum(outcomes.values()),
        "calls": 2,
        "seconds": 1.5,
        "budget": None,
        "ended_early": ended_early,
    }


@pytest.fixture
def begin(engine):
    """Open a try of one run."""

    def opened(**also):
        ledger = Ledger(
            Database(engine), combine=combined, account="close:h:o", run_key="d/t/r", lease=90, clock=Clock()
        )
        ledger.open(DAY, **also)
        return ledger

    return opened


@pytest.fixture
def stored(engine):
    """All rows of a table."""

    def rows(table):
        with engine.connect() as connection:
            return connection.execute(sa.select(table).order_by(table.c.started_at)).mappings().all()

    return rows


def test_a_cleared_run_adds_up(begin, stored):
    """56 landed and 5 were refused; mended and cleared, 4 more land: 60 landed and one is still refused."""
    begin().close(report(updated=56, rejected=5))
    begin().close(report(updated=4, unchanged=56, rejected=1))
    (run,) = stored(runs)
    stored_report = json.loads(run["report"])
    assert (run["tries"], stored_report["outcomes"], stored_report["rows"]) == (2, {"updated": 60, "rejected": 1}, 61)
    assert (stored_report["calls"], stored_report["seconds"]) == (4, 3.0)
    assert [json.loads(one["report"])["outcomes"] for one in stored(tries)] == [
        {"updated": 56, "rejected": 5},
        {"updated": 4, "unchanged": 56, "rejected": 1},
    ]


def test_a_deferral_is_one_try(begin, stored):
    """The report of a try before a deferral stands until the try ends, and no second try is counted."""
    begin().close(report(updated=3), deferred=True)
    (run,) = stored(runs)
    assert (run["finished_at"], json.loads(run["report"])["outcomes"]) == (None, {"updated": 3})
    begin(resumed=True).close(report(updated=5))
    (run,) = stored(runs)
    assert (run["tries"], json.loads(run["report"])["outcomes"]) == (1, {"updated": 5})
    assert [one["try_number"] for one in stored(tries)] == [1]


def test_a_killed_try_counts_what_it_wrote(begin, stored, engine):
    """A worker that was killed left no report: the next try counts its rows from the change log."""
    begin()
    line = {"run_key": "d/t/r", "account": "close:h:o", "field": "value", "before_known": False, "outcome": "updated"}
    line |= {"code": "", "reason": "", "at": dt.datetime.now(dt.UTC)}
    with engine.begin() as connection:
        connection.execute(sa.insert(changes), [{**line, "record_id": one} for one in ("a", "b", "b")])
    begin().close(report(updated=1, unchanged=2))
    (run,) = stored(runs)
    assert json.loads(run["report"])["outcomes"] == {"updated": 3}
    killed, _ = stored(tries)
    assert killed["finished_at"] is None
    assert "without a report" in json.loads(killed["report"])["ended_early"]
