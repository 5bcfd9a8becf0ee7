"""A ledger, connections to the sandbox, and `airflow crm` on them."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from airflow.sdk.crypto import get_fernet
from cryptography.fernet import Fernet

from airflow_provider_crm.database.database import Database

from .command_line import run_command


@pytest.fixture(autouse=True)
def own_environment(monkeypatch, tmp_path):
    """An Airflow home of the test's own, with a Fernet key; connections are in the environment only."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    get_fernet.cache_clear()
    yield
    get_fernet.cache_clear()


@pytest.fixture
def define(monkeypatch):
    """Define an Airflow connection."""

    def set_connection(conn_id, **fields):
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))

    return set_connection


@pytest.fixture
def ledger(any_database, any_connection, define, monkeypatch):
    """The engine of a ledger of each kind, which `[crm] ledger_conn_id` names; its tables are of this version."""
    define("ledger", **any_connection)
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_CONN_ID", "ledger")
    database = Database.at(any_database)
    database.open()
    yield database.engine
    database.close()


@pytest.fixture
def crm(capsys):
    """Run `airflow crm ...`; returns how it ended."""

    def run(*words):
        return run_command("crm", *words)

    return run


@pytest.fixture
def crm_json(crm):
    """Run a command with `-o json`; returns its content."""

    def run(*words):
        ended = crm(*words, "-o", "json")
        assert ended.message == ""
        return json.loads(ended.out)

    return run


@pytest.fixture
def execute(ledger):
    """Run a statement on the ledger."""

    def run(statement, **values):
        with ledger.begin() as connection:
            return connection.execute(sa.text(statement), values)

    return run
