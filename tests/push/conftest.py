"""Pushes to a vendor whose rows share calls, over real HTTP, with and without a ledger."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading

import pytest
import sqlalchemy as sa

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.push.run import Push
from airflow_provider_crm.report.combined import combined
from airflow_provider_crm.values.opportunity import Update
from airflow_provider_crm.vendors.credentials import Credentials

from .batch_vendor import BatchClose, Crm

NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)


@pytest.fixture
def crm():
    """A server with 1,000 opportunities."""
    with Crm() as server:
        yield server


class Time:
    """Time that passes only by waiting, so that no test waits.

    Attributes:
        seconds: What time it is.
        before_sleep: Called before each wait.
    """

    def __init__(self):
        self.seconds = 0.0
        self.before_sleep = lambda: None
        self._lock = threading.Lock()

    def clock(self):
        """The clock with this time."""
        return Clock(monotonic=lambda: self.seconds, now=lambda: NOW, sleep=self._sleep, jitter=lambda: 0.0)

    def _sleep(self, seconds):
        self.before_sleep()
        with self._lock:
            self.seconds += seconds


@pytest.fixture
def time():
    """The time of the test."""
    return Time()


@pytest.fixture
def push(crm, time):
    """Make a push to the server; waiting passes no real time, unless it has another clock."""
    with contextlib.ExitStack() as stack:

        def push(vendor=None, *, ledger=None, inspect=None, fields=("note",), attempts=3, clock=None, **rules):
            account = Account(vendor or BatchClose(), crm.url, Credentials("key"), timeout=10.0)
            retry = RetryRules(attempts=attempts)
            session = stack.enter_context(Session(account, retry=retry, clock=clock or time.clock()))
            made = Push(session, session.catalogue(fields), PushRules(**rules), ledger, inspect)
            crm.calls.clear()
            return made

        yield push


@pytest.fixture
def ledger(engine, time):
    """Make the ledger of a run."""
    Database(engine).open()

    def make(run_key="run", *, lease=10_000.0):
        return Ledger(
            Database(engine),
            combine=combined,
            account="close:test:orga",
            run_key=run_key,
            lease=lease,
            clock=time.clock(),
        )

    return make


@pytest.fixture(params=["ledger", "no ledger"])
def any_ledger(request):
    """A ledger, and none."""
    return request.getfixturevalue("ledger")() if request.param == "ledger" else None


@pytest.fixture
def claimed(engine):
    """Return the records that are claimed."""

    def claimed():
        from airflow_provider_crm.database.schema import field_states

        query = sa.select(field_states.c.record_id).where(field_states.c.claim_token.is_not(None))
        with engine.connect() as connection:
            return set(connection.execute(query).scalars())

    return claimed


@pytest.fixture
def notes():
    """Make rows that each write a note to a record of their own."""

    def notes(count=1_000, text="new"):
        return [Update(row, f"oppo_{row}", {"note": f"{text} {row}"}, NOW) for row in range(count)]

    return notes
