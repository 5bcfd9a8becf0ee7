"""A ledger's database that does not answer costs a page, and nothing else."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests
import sqlalchemy as sa
from fastapi import FastAPI

from airflow_provider_crm.database.database import Database
from airflow_provider_crm.exceptions import TransientError
from airflow_provider_crm.queries.database import LedgerReader, read_only
from airflow_provider_crm.ui.app import make_app
from airflow_provider_crm.ui.threads import THREADS

from .conftest import served, token

PAGES = 60
CONNECT_SECONDS = 6  # a busy machine, too, answers ten requests in that time


@contextmanager
def silent_server():
    """The port of a server that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def silent_ledger():
    """Finds a PostgreSQL that takes connections and never answers; counts how often it was looked for."""
    with silent_server() as port:
        found = []

        def find():
            found.append(read_only(sa.create_engine(f"postgresql+psycopg2://crm@127.0.0.1:{port}/crm")))
            return found[-1]

        find.found = found
        yield find
        for engine in found:
            engine.dispose()


def test_pages_of_a_silent_ledger_take_no_thread_from_airflow(airflow_with_teams, silent_ledger, monkeypatch):
    """While more pages wait for a silent server than the API server has threads, its other routes still answer.

    All pages end with a sentence, within the time of two attempts to connect.
    """
    from airflow.api_fastapi.app import init_auth_manager, purge_cached_app

    monkeypatch.setattr("airflow_provider_crm.queries.database.CONNECT_SECONDS", CONNECT_SECONDS)
    init_auth_manager()
    host = FastAPI()
    host.mount("/crm", make_app(LedgerReader(silent_ledger)))

    @host.get("/blocking")
    def blocking() -> str:
        return "answered"

    try:
        with served(host) as url, ThreadPoolExecutor(PAGES) as browsers:
            cookies = {"_token": token("anna")}
            began = time.monotonic()
            pages = [browsers.submit(requests.get, f"{url}/crm/", cookies=cookies, timeout=60) for _ in range(PAGES)]
            answered = [requests.get(f"{url}/blocking", timeout=60).json() for _ in range(10)]
            while_waiting = sum(not page.done() for page in pages)
            answers = [page.result() for page in pages]
            took = time.monotonic() - began
    finally:
        purge_cached_app()
    assert answered == ["answered"] * 10
    assert while_waiting > THREADS
    assert {answer.status_code for answer in answers} == {503}
    assert all("the log of the API server says why" in answer.text for answer in answers)
    assert took < 10 * CONNECT_SECONDS
    assert len(silent_ledger.found) <= 2 * THREADS


def test_the_cause_is_in_the_log_and_the_server_is_left_alone_for_a_while(silent_ledger, caplog):
    """The log has the driver's own words; for some seconds no other request waits for the server, then one does."""
    now = [0.0]
    reader = LedgerReader(silent_ledger, monotonic=lambda: now[0])
    for _ in range(3):
        with pytest.raises(TransientError), reader.connection():
            pass
    assert len(silent_ledger.found) == 1
    assert "timeout expired" in caplog.text
    now[0] = 6.0
    with pytest.raises(TransientError), reader.connection():
        pass
    assert len(silent_ledger.found) == 2


def test_connecting_takes_no_lock(silent_ledger):
    """Two threads wait for a silent server side by side, not one after the other."""
    reader, both = LedgerReader(silent_ledger), threading.Barrier(2, timeout=10)

    def find():
        both.wait()
        return silent_ledger()

    reader = LedgerReader(find)

    def ask():
        with pytest.raises(TransientError), reader.connection():
            pass

    with ThreadPoolExecutor(2) as threads:
        for asked in [threads.submit(ask) for _ in range(2)]:
            asked.result()
    assert len(silent_ledger.found) == 2


@pytest.mark.parametrize("kind", ["sqlite", "postgresql+psycopg2", "postgresql+psycopg"])
def test_a_page_is_cut_when_its_time_is_over(request, tmp_path, kind, caplog):
    """A statement that takes longer than a page may is ended from outside, with each driver; the next page works."""
    if kind == "sqlite":
        url = sa.make_url(f"sqlite:///{tmp_path / 'ledger.db'}")
        slow = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    else:
        pytest.importorskip(kind.partition("+")[2])  # Airflow's constraints for 3.2 have one driver only
        url = request.getfixturevalue("new_database")().set(drivername=kind)
        slow = "SELECT pg_sleep(60)"
    engine = Database(sa.create_engine(url)).engine
    Database(engine).open()
    reading = read_only(engine)
    now = [0.0]
    reader = LedgerReader(lambda: reading, monotonic=lambda: now[0])
    with pytest.raises(TransientError, match="log of the API server"), reader.connection(0.2) as connection:
        connection.execute(sa.text(slow))
    assert "cannot read the ledger" in caplog.text
    now[0] = 6.0
    with reader.connection() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM crm_runs")).scalar() == 0
    reading.dispose()


def test_a_cut_at_the_very_end_of_a_page_does_not_reach_the_next_page(new_database, monkeypatch):
    """The time may be over while a page gives its connection back: nobody gets that connection again."""

    class LateTimer(threading.Timer):
        """A timer that goes off at the last moment."""

        def __init__(self, interval, function, args=()):
            super().__init__(60, function, args)

        def cancel(self):
            self.function(*self.args)
            super().cancel()

    engine = Database(sa.create_engine(new_database())).engine
    Database(engine).open()
    reading = read_only(engine)
    reader = LedgerReader(lambda: reading)
    monkeypatch.setattr("airflow_provider_crm.queries.database.threading.Timer", LateTimer)
    for _ in range(3):
        with reader.connection() as connection:
            assert connection.execute(sa.text("SELECT count(*) FROM crm_runs")).scalar() == 0
    reading.dispose()


def test_postgresql_itself_knows_the_limit(new_database):
    """The server gets the limit, for this transaction only, so that it ends statements without a waiting request."""
    engine = Database(sa.create_engine(new_database())).engine
    Database(engine).open()
    reading = read_only(engine)
    with LedgerReader(lambda: reading).connection(7.0) as connection:
        assert connection.execute(sa.text("SHOW statement_timeout")).scalar() == "7s"
    with reading.connect() as connection:
        assert connection.execute(sa.text("SHOW statement_timeout")).scalar() == "0"
    reading.dispose()
