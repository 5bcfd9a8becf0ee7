"""The values of a budget, and the pacer that threads share."""

from __future__ import annotations

import threading
import time as real_time

import pytest
import requests

from airflow_provider_crm.budget.pacer import Pacer, Reservation
from airflow_provider_crm.budget.stated import StatedLimit, check_share
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.vendors.limits import Limits


class Time:
    """Time that passes when a test says so."""

    def __init__(self):
        self.seconds = 0.0

    def clock(self):
        """Return a clock with this time."""
        return Clock(monotonic=lambda: self.seconds)


@pytest.fixture
def time():
    """Return the time of the test."""
    return Time()


@pytest.fixture
def pacer(time):
    """Return a pacer that has made 5 of 10 calls of a window that ends after 8.123 s."""
    pacer = Pacer(time.clock())
    for remaining in (9, 8, 7, 6, 5):
        call(pacer, time, remaining)
    return pacer


def call(pacer, time, remaining):
    """Make a call of a millisecond as soon as the pacer allows it."""
    while not isinstance(got := pacer.acquire(), Reservation):
        time.seconds += max(got, 0.001)
    time.seconds += 0.001
    pacer.record_answer(got, (Limits(limit=10, remaining=remaining, reset=round(8.123 - time.seconds, 3)),))


@pytest.mark.parametrize(
    ("text", "calls", "seconds"), [("40/1s", 40, 1), (" 600/1m ", 600, 60), ("1000/1h", 1000, 3600), ("240/8s", 240, 8)]
)
def test_a_stated_limit(text, calls, seconds):
    """Calls per seconds, minutes or hours."""
    assert StatedLimit.parse(text) == StatedLimit(calls, seconds)


@pytest.mark.parametrize(
    "text", ["40", "40/s", "0/1s", "40/0s", "40/1d", "-1/1s", "4e1/1s", "٤/1s", 40, None, ["40/1s"]]
)
def test_a_stated_limit_that_is_none(text):
    """Anything else is an error that says what to write."""
    with pytest.raises(ConfigurationError, match="write calls per time, such as '40/1s', '600/1m' or '1000/1h'"):
        StatedLimit.parse(text)


@pytest.mark.parametrize("share", [0, -0.1, 1.01, 90, "much", None, True, float("nan")])
def test_a_share_that_is_none(share):
    """A share is a number above 0 and at most 1; the error names the argument."""
    with pytest.raises(ConfigurationError, match=r"^budget_share is .*; write the part of the vendor's limit"):
        check_share("budget_share", share)


def test_calls_in_flight_count(pacer):
    """No more reservations are given than the answers say remain, before any of those calls is answered.

    The last of them waits: its answer is to show of which kind the limit is.
    """
    given = [pacer.acquire() for _ in range(6)]
    assert [isinstance(one, Reservation) for one in given] == [True] * 4 + [False] * 2


def test_a_used_up_window_is_waited_for_to_its_end(pacer, time):
    """With nothing in flight, the wait lasts until the window is surely over; then there are calls again."""
    for remaining in (4, 3, 2, 1, 0):
        call(pacer, time, remaining)
    assert time.seconds + pacer.acquire() == pytest.approx(8.123, abs=0.01)
    time.seconds = 8.133
    assert isinstance(pacer.acquire(), Reservation)


def test_a_cancelled_reservation_comes_back(pacer):
    """A call that was not sent after all costs nothing."""
    for _ in range(4):
        reservation = pacer.acquire()
    assert isinstance(pacer.acquire(), float)
    pacer.cancel(reservation)
    assert isinstance(pacer.acquire(), Reservation)


def test_a_429_of_a_known_limit_pauses_all_threads(time):
    """After a refusal no thread gets a reservation until the vendor's wait is over.

    Where others have used all of the limit, they may do so again: a call asks within the next window, as long again.
    """
    pacer = Pacer(time.clock())
    pacer.record_answer(pacer.acquire(), (Limits(wait=3.0, limit=100, remaining=0, reset=3.0),), refused=True)
    assert pacer.acquire() == 3.0
    time.seconds = 2.9
    assert pacer.acquire() == pytest.approx(0.1)
    time.seconds = 3.001
    while not isinstance(got := pacer.acquire(), Reservation):
        time.seconds += max(got, 0.001)
    assert time.seconds < 6.0


@pytest.mark.parametrize("shown", [Limits(wait=3.0), Limits(wait=3.0, limit=100, remaining=50, reset=3.0)])
def test_three_429s_without_a_known_reason_pause_all_threads(time, shown):
    """No answer names a limit that is used up: each of two refused calls waits alone, from the third on all of them.

    Once the vendor's wait is over, one call asks whether it has opened again, and the others wait for its answer.
    """
    pacer = Pacer(time.clock())
    refused = [pacer.acquire() for _ in range(3)]
    assert [pacer.record_answer(one, (shown,), refused=True) for one in refused[:2]] == [3.0, 3.0]
    pacer.cancel(pacer.acquire())
    assert pacer.record_answer(refused[2], (shown,), refused=True) == 0
    assert pacer.acquire() == 3.0
    time.seconds = 2.9
    assert pacer.acquire() == pytest.approx(0.1)
    time.seconds = 3.001
    assert [isinstance(pacer.acquire(), Reservation) for _ in range(3)] == [True, False, False]


def test_a_shorter_pause_never_ends_a_longer_one(time):
    """While all calls wait, a refusal that names a shorter wait changes nothing, and one that names a longer one does.

    The first three refusals show that there is a limit.
    """
    pacer = Pacer(time.clock())
    reservations = [pacer.acquire() for _ in range(5)]
    for reservation, wait in zip(reservations, (10.0, 10.0, 10.0, 1.0, 12.0), strict=True):
        time.seconds += 0.5
        pacer.record_answer(reservation, (Limits(wait=wait),), refused=True)
        if wait == 1.0:
            assert pacer.acquire() == pytest.approx(9.5)
    assert pacer.acquire() == 12.0


def test_an_isolated_refusal_is_waited_out_by_its_call_only(time):
    """Of two hundred calls every tenth is refused without a wait: each of them waits, and no other call ever does."""
    pacer = Pacer(time.clock())
    for number in range(200):
        time.seconds += 0.01
        own_wait = pacer.record_answer(pacer.acquire(), (), refused=number % 10 == 5)
        assert 0 < own_wait <= 1.0 if number % 10 == 5 else own_wait == 0


def test_refusals_one_after_another_pause_all_calls(time):
    """The third of them in a row is of a limit; calls that were sent before the first, and accepted, change nothing."""
    pacer = Pacer(time.clock())
    early = pacer.acquire()
    time.seconds += 0.01
    refused = [pacer.acquire() for _ in range(3)]
    waits = [pacer.record_answer(refused[0], (), refused=True), pacer.record_answer(early, ())]
    waits += [pacer.record_answer(reservation, (), refused=True) for reservation in refused[1:]]
    assert [wait > 0 for wait in waits] == [True, False, True, False]
    assert 0 < pacer.acquire() <= 1.0


def test_a_stated_hour_is_a_start(time):
    """Without any header, a stated limit of an hour gives its share of calls, then the wait for the rest of it."""
    pacer = Pacer(time.clock(), share=0.5, stated=StatedLimit(10, 3600))
    for _ in range(5):
        pacer.record_answer(pacer.acquire(), (Limits(),))
    assert pacer.acquire() == 3600.0


def test_a_stated_rate_spaces_calls(time):
    """Without any header, a stated limit per second spaces calls evenly, a little below it."""
    pacer = Pacer(time.clock(), stated=StatedLimit(40, 1))
    for _ in range(41):
        while not isinstance(got := pacer.acquire(), Reservation):
            time.seconds += max(got, 0.001)
        pacer.record_answer(got, (Limits(),))
    # A call that wakes late may catch up, so the first two leave at once.
    assert 1.0 < time.seconds + 0.03 < 1.1


def test_answers_count_more_than_what_was_stated(time):
    """The first answer with a header replaces what the connection says."""
    pacer = Pacer(time.clock(), stated=StatedLimit(1, 3600))
    pacer.record_answer(pacer.acquire(), (Limits(limit=10, remaining=9, reset=1.5),))
    assert isinstance(pacer.acquire(), Reservation)


@pytest.mark.long
def test_a_reservation_costs_microseconds():
    """A reservation and its answer cost less than two thirds of the CPU to prepare a call, with 8 threads.

    Of several measurements the best counts: what else the machine does only adds to them.
    """
    prepared = min(_cpu_of_a_prepared_call() for _ in range(5))
    assert min(_cpu_of_a_reservation() for _ in range(5)) < prepared * 2 / 3


def _cpu_of_a_reservation():
    pacer = Pacer(Clock())
    pacer.record_answer(pacer.acquire(), (Limits(limit=10_000_000, remaining=9_999_999, reset=1000.5),))
    limits = (Limits(limit=10_000_000, remaining=9_000_000, reset=900.5),)

    def work():
        for _ in range(500):
            pacer.record_answer(pacer.acquire(), limits)

    threads = [threading.Thread(target=work) for _ in range(8)]
    started = real_time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (real_time.process_time() - started) / 4_000


def _cpu_of_a_prepared_call():
    session, calls = requests.Session(), 500
    started = real_time.process_time()
    for number in range(calls):
        body = {"value": number, "note": "expected"}
        session.prepare_request(requests.Request("PUT", f"https://crm.example/opportunity/oppo_{number}/", json=body))
    return (real_time.process_time() - started) / calls
