"""A run that is ended in its midst: claims of rows that were not sent are given back, and what landed is on record."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import signal
import sys
import threading
import time
from dataclasses import replace

import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_provider_crm.budget.shared_budget import Budget
from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.schema import changes, field_states
from airflow_provider_crm.ledger.claims import Verdict
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.push.run import Push
from airflow_provider_crm.values.opportunity import OutcomeWord, Update
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials

from .conftest import DAY, desired

ROWS = 300
SHORTEST_PAUSE = 0.05
"""Seconds that a run lets pass at least for a claim in its way; calls that wait for the first answers wait for less."""


class Run:
    """One try of a run that writes a note to each of some records of Close, four at a time, in real time."""

    def __init__(self, sandbox, ledger, *, clock=None, budget=None, day=0, **rules):
        self.seen = []
        account = Account(
            VENDORS["close"], sandbox.url, Credentials(sandbox.close.api_key), timeout=20.0, **(budget or {})
        )
        self.session = Session(account, retry=RetryRules(first_wait=0.01), clock=clock, budget=Budget())
        rules = {"concurrency": 4, **rules}
        self.push = Push(self.session, self.session.catalogue(("note",)), PushRules(**rules), ledger)
        as_of = DAY + dt.timedelta(days=day)
        rows = (Update(row, f"oppo_{row}", {"note": f"day {day}"}, as_of) for row in range(ROWS))
        self.outcomes = self.push.run(rows)

    def go(self, count=None):
        """Read outcomes, so many or all."""
        for outcome in self.outcomes:
            self.seen.append(outcome)
            if len(self.seen) == count:
                return

    def end(self):
        """Read no more."""
        self.outcomes.close()
        self.session.close()


@pytest.fixture
def crm(crm_sandbox):
    """A Close that takes a moment for each answer."""
    for row in range(ROWS):
        crm_sandbox.close.add_opportunity(f"oppo_{row}", note="old")
    crm_sandbox.set(fault_rates={"slow": 1.0}, slow_seconds=0.03, fault_methods={"PUT"})
    return crm_sandbox


def claimed(engine):
    """The records that are claimed."""
    query = sa.select(field_states.c.record_id).where(field_states.c.claim_token.is_not(None))
    with engine.connect() as connection:
        return set(connection.execute(query).scalars())


def acknowledged(engine):
    """The records of which the ledger says that the CRM acknowledged a value."""
    query = sa.select(field_states.c.record_id).where(field_states.c.known, field_states.c.value.is_not(None))
    with engine.connect() as connection:
        return set(connection.execute(query).scalars())


def check(run, engine, sandbox):
    """Nothing is claimed; what landed is on record once, and was either yielded or is left in `unreported`."""
    landed = [write.record_id for write in sandbox.audit.writes]
    assert 0 < len(landed) < ROWS
    assert claimed(engine) == set()
    assert acknowledged(engine) == set(landed)
    outcomes = [*run.seen, *run.push.unreported]
    assert sorted(one.record_id for one in outcomes if one.word is OutcomeWord.UPDATED) == sorted(landed)
    with engine.connect() as connection:
        updated = connection.execute(sa.select(changes.c.record_id).where(changes.c.outcome == "updated")).scalars()
        assert sorted(updated) == sorted(landed)


def test_who_reads_no_more_outcomes_leaves_no_claims(crm, ledger, engine):
    """A consumer that breaks ends the run in order, and the next one waits for nothing and writes what is left."""
    run = Run(crm, ledger("one"))
    run.go(20)
    run.end()
    check(run, engine, crm)
    landed = len(crm.audit.writes)
    slept = []
    crm.reset_switches()
    following = Run(crm, ledger("two"), clock=Clock(sleep=slept.append), day=1, concurrency=64)
    following.go()
    following.end()
    assert {one.word for one in following.seen} == {OutcomeWord.UPDATED}
    assert len(crm.audit.writes) == landed + ROWS
    assert [seconds for seconds in slept if seconds >= SHORTEST_PAUSE] == []


@contextlib.contextmanager
def interrupt(seconds, number, raised, *, after=None):
    """Have a signal raise an exception in this thread after some real seconds, or after an event.

    Python drops what is raised in the callback of a weak reference, and says so: the signal is sent again then.
    """

    def handle(_number, _frame):
        raise raised

    def send_again(unraisable):
        if unraisable.exc_value is raised:
            threading.Timer(0.002, os.kill, (os.getpid(), number)).start()
        else:
            report(unraisable)

    before, report = signal.signal(number, handle), sys.unraisablehook
    sys.unraisablehook = send_again

    def send():
        if after is not None:
            after.wait(60)
        os.kill(os.getpid(), number)

    timer = threading.Timer(seconds, send)
    timer.start()
    try:
        yield
    finally:
        timer.join()
        sys.unraisablehook = report
        signal.signal(number, before)


@pytest.mark.parametrize(
    ("number", "raised"),
    [(signal.SIGALRM, AirflowTaskTimeout), (signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)],
    ids=["execution_timeout", "SIGTERM", "SIGINT"],
)
def test_a_signal_leaves_no_claims(crm, ledger, engine, number, raised):
    """Wherever the main thread is when the signal raises there: nothing stays claimed, nothing that landed is lost."""
    run = Run(crm, ledger())
    run.go(8)
    with pytest.raises(raised), interrupt(0.2, number, raised()):
        run.go()
    run.end()
    check(run, engine, crm)


def test_each_try_gets_further(crm, ledger, engine):
    """Two tries that are ended in a row write different rows: the second does not wait for claims of the first."""
    for number in (1, 2):
        run = Run(crm, ledger("run"))
        run.go(8)
        with pytest.raises(AirflowTaskTimeout), interrupt(0.2, signal.SIGALRM, AirflowTaskTimeout()):
            run.go()
        run.end()
        written = [write.record_id for write in crm.audit.writes]
        assert len(written) == len(set(written)) >= 8 * number
        assert claimed(engine) == set()


def test_rows_that_wait_for_the_budget_were_not_sent(crm, ledger, engine):
    """A thread that waits for its turn has sent nothing: its claim is given back, and it sends nothing afterwards."""
    over, waiting = threading.Event(), threading.Event()

    def sleep(_seconds):
        waiting.set()
        over.wait(20)

    def read():
        return time.monotonic() + (100.0 if over.is_set() else 0.0)  # the window is over, too

    crm.set(close_limit=10, close_window=50.0, fault_rates={})
    run = Run(crm, ledger(), clock=Clock(sleep=sleep, monotonic=read), concurrency=8)
    with pytest.raises(SystemExit), interrupt(0.0, signal.SIGTERM, SystemExit(), after=waiting):
        run.go()
    assert waiting.is_set()
    landed = len(crm.audit.writes)
    assert claimed(engine) == set()
    over.set()
    for thread in threading.enumerate():
        if thread.name.startswith("crm-push"):
            thread.join(20)
    run.session.close()
    assert len(crm.audit.writes) == landed == len(acknowledged(engine)) < 20


def test_a_row_without_an_answer_keeps_its_claim(crm, ledger, engine):
    """A sent row may land until its lease is over: its outcome is unknown, and no other run may write it until then."""
    crm.set(fault_rates={})
    run = Run(crm, ledger(), concurrency=1)
    run.go(3)
    crm.set(fault_rates={"slow": 1.0}, slow_seconds=10.0)
    with pytest.raises(AirflowTaskTimeout), interrupt(0.2, signal.SIGALRM, AirflowTaskTimeout()):
        run.go()
    run.end()
    assert len(claimed(engine)) == 1
    [unanswered] = [one for one in run.push.unreported if one.word is OutcomeWord.UNKNOWN]
    assert claimed(engine) == {unanswered.record_id}
    assert unanswered.code == "ENDED"
    crm.reset_switches()


def test_a_claim_over_a_dead_one_leaves_its_doubt_behind(ledger):
    """A killed worker may have written: who takes its claim over and gives it back must not make the value known."""
    first = desired("oppo_1", note=1)
    first_run = ledger("first")
    (claim,) = first_run.claim([first])
    assert claim.verdict is Verdict.SEND
    first_run.release(["oppo_1"])
    ledger("killed", lease=-1.0).claim([replace(first, as_of=DAY + dt.timedelta(days=1))])
    later = replace(first, as_of=DAY + dt.timedelta(days=2))
    taker = ledger("taker")
    assert taker.claim([later])[0].doubtful == {"note"}
    taker.release(["oppo_1"])
    (claim,) = ledger("last").claim([later])
    assert (claim.verdict, claim.doubtful, claim.before) == (Verdict.SEND, {"note"}, {})
