"""What a row costs when it shares a call, counted in calls of functions; and how many calls are on their way."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import sys
import threading

import pytest
import requests
import sqlalchemy as sa
from requests.adapters import BaseAdapter

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.push.rules import LARGEST_CONCURRENCY, PushRules
from airflow_provider_crm.push.run import Push
from airflow_provider_crm.report.combined import combined
from airflow_provider_crm.values.opportunity import Update
from airflow_provider_crm.vendors.credentials import Credentials
from tests.fake.by_hand import answer_of, catalogue_of
from tests.fake.vendor import BATCHLY, Batchly

PACKAGE = "airflow_provider_crm"
ROWS = 600
ROUNDS = (1, 16, 16, 32, LARGEST_CONCURRENCY)
"""Calls at once: the first row, the first threads, the same with full calls to compare with, then twice as many."""
SECONDS, TOO_LONG = 0.05, 30.0


class OneByOne(Batchly):
    """Batchly without batches."""

    def write_calls(self, keys):
        """Leave out how rows share a call."""
        return tuple(dataclasses.replace(one, batch=None) for one in super().write_calls(keys))


class SmallBatches(Batchly):
    """Batchly with ten rows in a call."""

    def write_calls(self, keys):
        """Change how many rows share a call."""
        return tuple(
            dataclasses.replace(one, batch=dataclasses.replace(one.batch, largest=10))
            for one in super().write_calls(keys)
        )


class Echo(BaseAdapter):
    """In place of a server: it shows what was sent, as Batchly would, and counts its calls."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def send(self, request, **_):
        """Answer a call."""
        self.calls += 1
        body = json.loads(request.body)
        if "inputs" in body:
            return answer_of({"status": "COMPLETE", "results": body["inputs"]})
        return answer_of({"id": request.url.rpartition("/")[2], **body})

    def close(self):
        """There is nothing to close."""


class Crowded(Echo):
    """The same; each call waits until as many others are on their way as its round has calls."""

    def __init__(self, passed):
        super().__init__()
        self.rounds = [threading.Barrier(size, action=passed, timeout=TOO_LONG) for size in ROUNDS]
        self.left = [number for number, size in enumerate(ROUNDS) for _ in range(size)]
        self.lock = threading.Lock()

    def send(self, request, **arguments):
        """Wait for the others."""
        with self.lock:
            number = self.left.pop(0)
        try:
            self.rounds[number].wait()
        except threading.BrokenBarrierError as err:  # as if the connection was lost
            raise requests.ConnectionError from err
        return super().send(request, **arguments)


def updates(count):
    """Rows of three fields."""
    as_of = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    fields = [
        {"name": f"n {row}", "notes": f"deal {row}", "contact_email": f"a{row}@b.example"} for row in range(count)
    ]
    return [Update(row, str(70_000 + row), values, as_of) for row, values in enumerate(fields)]


def session_with(vendor, server, clock=None):
    """Make a session whose calls all go to that server."""
    session = Session(Account(vendor, "http://127.0.0.1:1", Credentials("key")), clock=clock)
    session.http.mount("http://", server)
    return session


class CallCount:
    """Counts calls of the package's functions, in all threads that begin meanwhile."""

    def __init__(self):
        self.count = 0

    def __call__(self, frame, event, _):
        """Take an event of `sys.setprofile`."""
        if event == "call" and frame.f_globals.get("__name__", "").startswith(PACKAGE):
            self.count += 1

    def __enter__(self):
        threading.setprofile(self)
        sys.setprofile(self)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)
        threading.setprofile(None)


@pytest.fixture
def work(tmp_path):
    """Write rows with a new ledger, and return the calls of functions and of the server for each row."""

    def work(vendor):
        server = Echo()
        engine = sa.create_engine(f"sqlite:///{tmp_path}/{type(vendor).__name__}.db")
        names = {"account": "batchly:work", "run_key": "work"}
        ledger = Ledger(Database(engine), combine=combined, lease=90.0, clock=Clock(), **names)
        ledger.open(None)
        with session_with(vendor, server) as session, CallCount() as functions:
            push = Push(session, catalogue_of(vendor), PushRules(timezone="UTC"), ledger)
            words = {outcome.word.value for outcome in push.run(updates(ROWS))}
        engine.dispose()
        assert words == {"updated"}
        return functions.count / ROWS, server.calls

    return work


def test_a_row_that_shares_a_call_takes_a_fifth_of_the_work(work):
    """Counted are calls of the package's functions, generators and comprehensions, from the first row to the last.

    The ledger, the comparison of answers and the signs of a limit are part of both; the vendor's adapter, as it is no
    part of the package, and what the libraries do are part of neither.
    """
    alone, calls_alone = work(OneByOne())
    together, calls = work(BATCHLY)
    assert (calls_alone, calls) == (ROWS, 1 + ROWS // 100)
    assert together / alone <= 0.2


def test_as_many_calls_are_on_their_way_as_there_may_be():
    """While rows wait, every round has as many calls at once as the number of threads that it was set to."""
    time = [0.0]

    def passed():
        time[0] += SECONDS

    server = Crowded(passed)
    clock = Clock(monotonic=lambda: time[0])
    rows = 1 + 10 * sum(ROUNDS[1:])
    with session_with(SmallBatches(), server, clock) as session:
        push = Push(session, catalogue_of(BATCHLY), PushRules(timezone="UTC"))
        words = [outcome.word.value for outcome in push.run(updates(rows))]
    assert words == ["updated"] * rows
    assert server.calls == sum(ROUNDS)
