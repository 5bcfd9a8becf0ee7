"""A real PostgreSQL, and a SQLite file, as warehouses."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import psycopg2
import pytest


@pytest.fixture
def warehouse(postgres, monkeypatch):
    """Run statements in PostgreSQL, and find it under the connection `warehouse`."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", postgres.replace("postgresql://", "postgres://", 1))

    def run(statements):
        with closing(psycopg2.connect(postgres)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statements)

    return run


@pytest.fixture
def sqlite_warehouse(tmp_path, monkeypatch):
    """Run statements in SQLite, and find it under the connection `warehouse`."""
    path = tmp_path / "warehouse.db"
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": str(path)}))

    def run(statements):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executescript(statements)

    return run
