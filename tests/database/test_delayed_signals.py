"""A signal that ends a task leaves no lock on the ledger behind."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import signal
import sys

import pytest

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.delayed_signals import delayed_signals
from airflow_provider_crm.ledger.claims import DesiredRow
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.report.combined import combined


class Ended(BaseException):
    """The error that the handler raises."""


@pytest.fixture
def ending():
    """Let SIGALRM raise."""

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
        with delayed_signals():
            os.kill(os.getpid(), signal.SIGALRM)
            done.append(1)

    with pytest.raises(Ended):
        work()
    assert done == [1]
    with pytest.raises(Ended):
        os.kill(os.getpid(), signal.SIGALRM)


@contextlib.contextmanager
def handled(handlers):
    """Handle some signals with these handlers."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_handler_sees_the_frame_that_it_interrupts():
    """A handler that looks at its frame finds one, as Python hands it one whenever it runs code."""
    names = []
    with handled({signal.SIGALRM: lambda _, frame: names.append(frame.f_code.co_name)}):
        with delayed_signals():
            os.kill(os.getpid(), signal.SIGALRM)
            assert names == []
        assert len(names) == 1


def test_a_handler_that_raises_loses_no_other_signal():
    """Of two signals that come within the block, both are handled, in the order in which they came."""
    seen = []

    def end(number, _):
        seen.append(number)
        raise Ended

    def work():
        with delayed_signals():
            os.kill(os.getpid(), signal.SIGALRM)
            os.kill(os.getpid(), signal.SIGTERM)

    with handled({signal.SIGALRM: end, signal.SIGTERM: end}):
        with pytest.raises(Ended):
            work()
        assert seen == [signal.SIGALRM, signal.SIGTERM]


def test_a_signal_right_at_the_end_of_the_block_leaves_every_handler_at_work():
    """Whichever of its last steps a signal raises in, no later signal waits for a block that is over."""
    seen = []

    def end(number, _):
        seen.append(number)
        raise Ended

    def work(step):
        def trace(frame, event, _):
            nonlocal step
            if event == "line" and frame.f_code is code:
                step -= 1
                if step == 0:
                    signal.raise_signal(signal.SIGTERM)
            return trace

        code = delayed_signals.__wrapped__.__code__
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            with delayed_signals():
                pass
        finally:
            sys.settrace(before)

    for step in range(1, 40):
        seen.clear()
        with handled({signal.SIGTERM: end, signal.SIGALRM: end}):
            with contextlib.suppress(Ended):
                work(step)
            handled_before = list(seen)
            with pytest.raises(Ended):
                signal.raise_signal(signal.SIGALRM)
            assert seen == [*handled_before, signal.SIGALRM]
        if not handled_before:
            break
        assert handled_before == [signal.SIGTERM]
    assert step > 10


def test_a_ledger_can_be_written_after_a_signal(ending, engine):
    """Whenever a timeout comes between and within claims, the report can be stored at once afterwards."""
    chance = random.Random(1)
    desired_rows = [
        DesiredRow(f"oppo_{number}", {"value": "1"}, dt.datetime(2026, 3, 1, tzinfo=dt.UTC)) for number in range(20)
    ]

    def claim_until_the_end(ledger):
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.001, 0.03))
        while True:
            ledger.claim(desired_rows)

    for number in range(20):
        ledger = Ledger(
            Database(engine), combine=combined, account="close:h:o", run_key=f"d/t/{number}", lease=90, clock=Clock()
        )
        ledger.open(None)
        with pytest.raises(Ended):
            claim_until_the_end(ledger)
        ledger.close({"rows": 0})
