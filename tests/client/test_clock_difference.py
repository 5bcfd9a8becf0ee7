"""Claims about the time on a server's clock, as its `Date` headers show it."""

from __future__ import annotations

import datetime as dt
import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_crm.client.clock_difference import ClockDifference
from airflow_provider_crm.exceptions import RateLimitedError

from .raw_server import RawServer, http
from .session_calls import NOW, PUT

EPOCH = NOW.timestamp()
LATENCIES = st.floats(0.001, 0.4)


class Server:
    """A server on a virtual clock, whose own clock is ours plus an offset, and runs faster by a rate."""

    def __init__(self, offset, *, rate=0.0, lateness=0.0):
        self.offset, self.rate, self.lateness = offset, rate, lateness

    def time(self, at):
        """Return the epoch seconds that the server's clock shows."""
        return EPOCH + at * (1 + self.rate) + self.offset

    def exchange(self, difference, sent_at, there, back):
        """Return the difference after a call with these latencies, and when its answer came."""
        date = dt.datetime.fromtimestamp(math.floor(self.time(sent_at + there) - self.lateness), dt.UTC)
        received_at = sent_at + there + back
        return difference.observe(date, sent_at=sent_at, received_at=received_at), received_at


def error(difference, server, at):
    """Return by how much the time that is known is behind the server's clock."""
    return server.time(at) - difference.server_time(at).timestamp()


def after_calls(server, difference, begin, seconds, latency, *, spacing):
    """Return the difference after calls for so long."""
    at = begin
    while at < begin + seconds:
        difference, _ = server.exchange(difference, at, latency / 2, latency / 2)
        at += spacing
    return difference, at


@settings(deadline=None, derandomize=True, max_examples=100)
@given(offset=st.floats(-1e6, 1e6), calls=st.lists(st.tuples(st.floats(0, 3), LATENCIES, LATENCIES), min_size=1))
def test_it_is_never_ahead_of_the_server(offset, calls):
    """The known time is the server's or behind it, by less than a second and the way back of the quickest answer."""
    server, difference, at, least = Server(offset), ClockDifference(), 0.0, math.inf
    for pause, there, back in calls:
        at += pause
        difference, received_at = server.exchange(difference, at, there, back)
        least = min(least, 1 + back)
        drift = 0.001 * received_at
        assert -2e-6 <= error(difference, server, received_at) <= least + drift


@settings(deadline=None, derandomize=True, max_examples=100)
@given(offset=st.floats(-1e6, 1e6), latency=st.floats(0.02, 0.4), threads=st.integers(2, 8))
def test_after_a_second_it_is_right_to_the_latency(offset, latency, threads):
    """With two calls or more on their way at a time, answers of just over a second show the clock to a latency."""
    server, spacing = Server(offset), latency / threads
    difference, at = after_calls(server, ClockDifference(), 0.0, 1 + latency, latency, spacing=spacing)
    assert -2e-6 <= error(difference, server, at) <= latency / 2 + spacing + 0.002
    assert difference.most - difference.least <= latency + 2 * spacing + 0.002


@pytest.mark.parametrize("step", [-3600.0, -2.5, -0.7, -0.2, 0.2, 0.7, 2.5, 3600.0])
def test_a_step_of_the_servers_clock(step):
    """Answers of the next second find a step out: it contradicts what is known."""
    server, latency = Server(0.3), 0.05
    difference, at = after_calls(server, ClockDifference(), 0.0, 1.2, latency, spacing=0.01)
    server.offset += step
    difference, at = after_calls(server, difference, at, 2.2, latency, spacing=0.01)
    assert -2e-6 <= error(difference, server, at) <= latency


@pytest.mark.parametrize("rate", [-0.0004, -0.00005, 0.00005, 0.0004])
def test_clocks_that_run_at_different_speeds(rate):
    """Over an hour with a second of calls each minute, the known time stays behind the server's by a latency or so."""
    server, difference = Server(0.3, rate=rate), ClockDifference()
    for minute in range(60):
        difference, at = after_calls(server, difference, 60.0 * minute, 1.2, 0.05, spacing=0.01)
        assert -2e-6 <= error(difference, server, at) <= 0.06


@pytest.mark.parametrize("lateness", [0.3, 0.9, 4.0])
def test_a_date_that_is_written_late(lateness):
    """A server that keeps its `Date` for a while makes the known time late by as much and a second, never early."""
    server, difference, at = Server(0.3, lateness=lateness), ClockDifference(), 0.0
    for _ in range(300):
        difference, at = server.exchange(difference, at, 0.02, 0.02)
        assert -2e-6 <= error(difference, server, at) <= lateness + 1.1


def test_answers_that_come_in_another_order():
    """The order in which threads note their answers makes no difference to the bounds."""
    server, ends = Server(0.3), set()
    exchanges = [(0.0, 0.3, 0.1), (0.1, 0.02, 0.01), (0.15, 0.4, 0.3)]
    for order in itertools.permutations(exchanges):
        difference = ClockDifference()
        for exchange in order:
            difference, _ = server.exchange(difference, *exchange)
        ends.add((round(difference.least, 2), round(difference.most, 2)))
    assert len(ends) == 1


@pytest.mark.parametrize(
    "date", [None, dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)]
)
def test_a_date_that_is_none(date):
    """Without a `Date` of our age nothing is known, or as much as before."""
    unknown, known = ClockDifference(), ClockDifference(EPOCH - 5, EPOCH - 4, 5.0)
    assert [one.observe(date, sent_at=1.0, received_at=2.0) for one in (unknown, known)] == [unknown, known]
    assert (unknown.server_time(2.0), known.server_time(5.0)) == (None, NOW)


@pytest.mark.parametrize(
    ("date", "wait"), [("Mon, 15 Jun 2026 12:10:00 GMT", 1200.0), ("Fri, 31 Dec 9999 23:59:59 GMT", 1800.0)]
)
def test_a_moment_is_compared_with_the_vendors_clock(connect, date, wait):
    """An epoch is the vendor's, whose clock a `Date` shows; where that is nonsense, our own clock counts."""
    reset = f"X-RateLimit-Reset: {int(EPOCH) + 1800}"
    answer = http(b"{}", reset, f"Date: {date}", status="429 Too Many Requests")
    with RawServer(answer) as server, pytest.raises(RateLimitedError) as refused:
        connect(server.url).write(PUT, "opp_1")
    assert refused.value.retry_after == wait


def test_a_second_that_both_clocks_know(connect, time):
    """After an answer just before a second of the server ends and one just after it, a reset is right."""

    def answer(second):
        return http(b'{"success": true, "data": {"id": "opp_1"}}', f"Date: Mon, 15 Jun 2026 12:00:{second:02} GMT")

    last = http(b"{}", f"X-RateLimit-Reset: {int(EPOCH) + 120}", "Date: Mon, 15 Jun 2026 12:00:31 GMT", status="429 No")
    with RawServer(answer(30), answer(31), last) as server:
        session = connect(server.url)
        session.read("opp_1")
        time.seconds += 0.01  # the server's second 31 begins in between
        session.read("opp_1")
        time.seconds += 0.9
        with pytest.raises(RateLimitedError) as refused:
            session.write(PUT, "opp_1")
    assert refused.value.retry_after == pytest.approx(88.1, abs=0.011)
