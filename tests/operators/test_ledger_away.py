"""The operator when its ledger's database fails: an ordinary failure that a retry heals, with the report in XCom."""

from __future__ import annotations

import sqlite3

import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_crm.database.database import Database

WHEN = {"in the middle": "NEW.record_id = 'oppo_3'", "at the last row": "NEW.record_id = 'oppo_9'"}


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """A ledger that fails on request, as a disk does."""
    path = tmp_path / "ledger.db"
    engine = Database(sa.create_engine(f"sqlite:///{path}")).engine
    Database(engine).open()
    engine.dispose()
    monkeypatch.setenv("AIRFLOW_CONN_AWAY", f"sqlite:///{path}")

    def execute(sql):
        connection = sqlite3.connect(path)
        connection.execute(sql)
        connection.commit()
        connection.close()

    return execute


@pytest.fixture
def deals(crm_sandbox, monkeypatch):
    """Ten deals."""
    for name, uri in crm_sandbox.connection_uris().items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", uri)
    return [{"id": crm_sandbox.close.add_opportunity(f"oppo_{number}")["id"], "arr": number} for number in range(10)]


@pytest.mark.parametrize("when", WHEN)
def test_a_failing_ledger_is_an_ordinary_failure(update, crm_sandbox, broken, deals, when):
    """The task fails with the reason and can be retried; the retry writes what is left."""
    fail = "BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
    broken(f"CREATE TRIGGER t BEFORE INSERT ON crm_changes WHEN {WHEN[when]} {fail}")
    run = update(deals, ledger_conn_id="away", concurrency=1)
    assert type(run.error) is AirflowException
    assert "The ledger cannot be used: disk I/O error (sqlite, " in str(run.error)
    assert run.report["rows"] == 10
    assert crm_sandbox.audit.count(method="PUT") == (4 if when == "in the middle" else 10)
    broken("DROP TRIGGER t")
    broken("UPDATE crm_field_states SET claimed_until = '2020-01-01 00:00:00.000000' WHERE claimed_until IS NOT NULL")
    again = update(deals, ledger_conn_id="away", concurrency=1, try_number=2)
    assert again.error is None
    assert crm_sandbox.audit.count(method="PUT") == 11


def test_a_report_that_cannot_be_stored_is_an_ordinary_failure(update, broken, deals):
    """Every row landed and is on record; only the run's report is missing, so the retry has nothing to send."""
    fail = "WHEN NEW.report IS NOT NULL BEGIN SELECT RAISE(ABORT, 'away'); END"
    broken(f"CREATE TRIGGER t BEFORE UPDATE OF report ON crm_runs {fail}")
    run = update(deals, ledger_conn_id="away")
    assert isinstance(run.error, AirflowException)
    assert not isinstance(run.error, AirflowFailException)
    assert str(run.error).startswith("The ledger cannot be used: away (sqlite, ")
    assert run.outcomes == {"updated": 10}


def test_without_its_ledger_nothing_is_sent(update, crm_sandbox, deals, tmp_path, monkeypatch):
    """A database that cannot be opened fails the task before the first write."""
    monkeypatch.setenv("AIRFLOW_CONN_AWAY", f"sqlite:///{tmp_path / 'no' / 'ledger.db'}")
    run = update(deals, ledger_conn_id="away")
    assert type(run.error) is AirflowException
    assert "The ledger cannot be used: unable to open database file (sqlite, " in str(run.error)
    assert crm_sandbox.audit.count(method="PUT") == 0


def test_a_row_that_may_have_landed_is_doubted_after_a_stop(update, crm_sandbox, broken, deals):
    """An answer is lost, then the vendor asks for a long wait: the value on record is no longer taken for the CRM's.

    The row counts as not sent and is tried again; until then the old value is not "unchanged".
    """
    row = deals[:1]
    update([{**row[0], "arr": 1}], ledger_conn_id="away")
    crm_sandbox.set(throttle_seconds=3600)
    crm_sandbox.script(faults=["reset_after", "http_429"], method="PUT")
    stopped = update([{**row[0], "arr": 2}], ledger_conn_id="away")
    assert stopped.deferred is not None
    assert crm_sandbox.close.opportunity("oppo_0")["value"] == 200
    back = update([{**row[0], "arr": 1}], ledger_conn_id="away")
    assert back.outcomes == {"updated": 1}
    assert crm_sandbox.close.opportunity("oppo_0")["value"] == 100
