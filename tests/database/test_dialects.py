"""Test what is special about a kind of database."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import sqlalchemy as sa

from airflow_provider_crm.database.database import Database

FILES, WORKERS = 150, 6


def test_workers_open_new_files_at_once(tmp_path):
    """SQLite refuses a write-ahead log while another connection asks for it; each worker gets its connection."""
    paths = [tmp_path / f"{number}.db" for number in range(FILES)]
    for path in paths:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE one (number INTEGER)")
    together = threading.Barrier(WORKERS)

    def modes(_):
        found = []
        for path in paths:
            engine = Database(sa.create_engine(f"sqlite:///{path}")).engine
            together.wait(60)
            try:
                with engine.begin() as connection:
                    found.append(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())
            except sa.exc.OperationalError as err:
                found.append(str(err.orig))
            engine.dispose()
        return found

    with ThreadPoolExecutor(WORKERS) as pool:
        assert list(pool.map(modes, range(WORKERS))) == [["wal"] * FILES] * WORKERS
