"""A signal that ends a task leaves no lock on the ledger behind."""

from __future__ import annotations

import datetime as dt
import os
import random
import signal

import pytest

from airflow_provider_crm.budget import Clock
from airflow_provider_crm.held_signals import held_signals
from airflow_provider_crm.ledger import Ledger
from airflow_provider_crm.ledger_claims import Wish


class Ended(BaseException):
    """What the handler raises."""


@pytest.fixture
def ending():
    """SIGALRM raises."""

    def end(*_):
        raise Ended

    before = signal.signal(signal.SIGALRM, end)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_signal_waits_for_the_end_of_the_block(ending):
    """The block is done in whole, and the handler is the old one again."""
    done = []

    def work():
        with held_signals():
            os.kill(os.getpid(), signal.SIGALRM)
            done.append(1)

    with pytest.raises(Ended):
        work()
    assert done == [1]
    with pytest.raises(Ended):
        os.kill(os.getpid(), signal.SIGALRM)


def test_a_ledger_can_be_written_after_a_signal(ending, engine):
    """Whenever a timeout comes between and within claims, the report can be stored at once afterwards."""
    chance = random.Random(1)
    wishes = [Wish(f"oppo_{number}", {"value": "1"}, dt.datetime(2026, 3, 1, tzinfo=dt.UTC)) for number in range(20)]

    def claim_until_the_end(ledger):
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.001, 0.03))
        while True:
            ledger.claim(wishes)

    for number in range(20):
        ledger = Ledger(engine, account="close:h:o", run_key=f"d/t/{number}", lease=90, clock=Clock())
        ledger.open(None)
        with pytest.raises(Ended):
            claim_until_the_end(ledger)
        ledger.close({"rows": 0})
