"""Which database the pages read: the one that Airflow's configuration names for tasks."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.database import Database
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.hooks.ledger import FILE_NAME
from airflow_provider_crm.queries.database import LedgerReader, configured_ledger


def readable(reader):
    """Whether the ledger can be asked."""
    with reader.connection() as connection:
        return connection.execute(sa.text("SELECT count(*) FROM crm_runs")).scalar() == 0


def test_the_file_in_the_airflow_home_is_the_default(tmp_path, monkeypatch):
    """Without a setting it is the file that the LocalExecutor's tasks write; a missing one is not made."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="There is no ledger yet"):
        configured_ledger()
    assert list(tmp_path.iterdir()) == []
    engine = Database(sa.create_engine(f"sqlite:///{tmp_path / FILE_NAME}")).engine
    Database(engine).open()
    engine.dispose()
    found = configured_ledger()
    assert readable(LedgerReader(lambda: found))
    found.dispose()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_named_connection_is_read(request, tmp_path, monkeypatch, kind):
    """The connection of `[crm] ledger_conn_id` is opened for reading only, of either kind."""
    if kind == "sqlite":
        url = sa.make_url(f"sqlite:///{tmp_path / 'ledger.db'}")
        connection = {"host": str(tmp_path / "ledger.db")}
    else:
        url = request.getfixturevalue("new_database")()
        connection = {"host": url.query["host"], "login": url.username, "schema": url.database}
    engine = Database(sa.create_engine(url)).engine
    Database(engine).open()
    engine.dispose()
    monkeypatch.setenv("AIRFLOW_CONN_CRM_LEDGER", json.dumps({"conn_type": kind, **connection}))
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_CONN_ID", "crm_ledger")
    found = configured_ledger()
    assert readable(LedgerReader(lambda: found))
    with found.connect() as reading, pytest.raises(sa.exc.DBAPIError, match=r"read-?only"):
        reading.execute(sa.text("DELETE FROM crm_runs"))
    found.dispose()


def test_a_setting_that_leads_nowhere_is_reported(tmp_path, monkeypatch):
    """A connection that does not exist, and workers without a shared database, are sentences for the page."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    with pytest.raises(ConfigurationError, match="workers need a ledger that they share"):
        configured_ledger()
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_CONN_ID", "no_such_ledger")
    with pytest.raises(ConfigurationError, match="no_such_ledger"):
        configured_ledger()
