"""A limit whose windows slide is used up, and no call is sent that it refuses; on a clock that tests set."""

from __future__ import annotations

from collections import deque

import pytest

from airflow_provider_crm.budget.limit_state import Agreement, Seen, Traffic
from airflow_provider_crm.budget.pacer import Pacer, Reservation
from airflow_provider_crm.budget.sliding import SlidingWindow
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.vendors.limits import Limits

LIMIT, LENGTH = 20, 10.0
DAY = Limits(limit=1_000, remaining=900, reset=50_000.0, name="day", is_daily=True)
# Of a limit whose kind is not known yet so many calls leave one by one: their answers are to show it.
KEPT = 2


class Server:
    """A server that counts units in any stretch of ten seconds, and its clock."""

    def __init__(self):
        self.now = 0.0
        self.counted = deque()

    def used(self):
        """Return the units of the last ten seconds."""
        while self.counted and self.counted[0][0] <= self.now - LENGTH:
            self.counted.popleft()
        return sum(units for _, units in self.counted)

    def take(self, units=1):
        """Count a call, and return what its answer tells; None if it is refused."""
        if self.used() + units > LIMIT:
            return None
        self.counted.append((self.now, units))
        return Limits(limit=LIMIT, remaining=LIMIT - self.used(), length=LENGTH)


@pytest.fixture
def server():
    """Return a server that nobody has called."""
    return Server()


def call(pacer, server, units=1, *, day=False):
    """Make one call when the pacer allows it; returns whether it was accepted."""
    while not isinstance(reservation := pacer.acquire(units), Reservation):
        server.now += max(reservation, 0.001)  # as callers do: less than the precision of the clock never passes
    server.now += 0.0005
    told = server.take(units)
    server.now += 0.0005
    limits = (*([DAY] if day else []), told or Limits(wait=1.0))
    pacer.record_answer(reservation, limits, refused=told is None)
    return told is not None


def pacer_of(server, **rules):
    """Return a pacer on the clock of a server."""
    return Pacer(Clock(monotonic=lambda: server.now), **rules)


@pytest.mark.parametrize("day", [False, True], ids=["alone", "beside a day"])
def test_all_of_it_is_used_and_nothing_is_refused(server, day):
    """82 calls take four times ten seconds, as an ideal client needs, also with a limit of the day beside."""
    pacer = pacer_of(server)
    assert all(call(pacer, server, day=day) for _ in range(82))
    assert server.now == pytest.approx(4 * LENGTH, abs=0.1)


def test_calls_of_other_programs_are_left_to_them(server):
    """What was used by others is left to them, as they may use as much again; some windows later all is used again."""
    for _ in range(15):
        server.take()
    pacer = pacer_of(server)
    assert all(call(pacer, server) for _ in range(120))
    began = server.now
    assert all(call(pacer, server) for _ in range(2 * LIMIT))
    assert server.now - began == pytest.approx(2 * LENGTH, abs=0.5)


def test_a_share_leaves_the_rest(server):
    """Half of the limit is half of the calls."""
    pacer = pacer_of(server, share=0.5)
    assert all(call(pacer, server) for _ in range(41))
    assert server.now == pytest.approx(4 * LENGTH, abs=0.1)


def test_calls_that_cost_more_wait_for_as_much(server):
    """Units count, not calls; one that costs more than the limit goes when nothing else counts."""
    pacer = pacer_of(server)
    assert all(call(pacer, server, units) for units in (1, 12, 7, 12, 8))
    assert server.now == pytest.approx(LENGTH, abs=0.1)
    assert not call(pacer, server, LIMIT + 1)
    assert server.now == pytest.approx(2 * LENGTH, abs=0.2)


def test_a_call_that_was_not_sent_counts_no_longer(server):
    """Its unit is free for another one."""
    pacer = pacer_of(server)
    assert call(pacer, server)
    for _ in range(3 * LIMIT):
        pacer.cancel(pacer.acquire())
    assert all(call(pacer, server) for _ in range(LIMIT - 1 - KEPT))
    assert server.now < 0.1


def test_calls_on_their_way_count(server):
    """No more calls are out at once than the limit allows."""
    pacer = pacer_of(server)
    assert call(pacer, server)
    out = [pacer.acquire() for _ in range(LIMIT + 5)]
    assert sum(isinstance(one, Reservation) for one in out) == LIMIT - 1 - KEPT


def seen_at(now, *, used, cost=1):
    """Return an answer that came at once, of a limit whose length was named once by the seconds until there is more."""
    return Seen(now, now, LIMIT * 5, LIMIT * 5 - used, 1.0, LENGTH, 1.0, cost)


def test_units_of_another_program_are_not_taken_for_older_calls_of_ours():
    """Eighty calls do not explain why seven units more are used than the calls of the last ten seconds."""
    window = SlidingWindow(1.0)
    window, _ = window.observe(seen_at(0.0, used=80, cost=80), Traffic())
    window, _ = window.observe(seen_at(11.0, used=8), Traffic())
    assert (window.length, window.others) == (LENGTH, 7)


def test_a_length_that_older_calls_seemed_to_show_is_given_up():
    """Three calls explain three units, and the window seems longer; once they are gone earlier, it is as before."""
    window = SlidingWindow(1.0)
    window, _ = window.observe(seen_at(0.0, used=3, cost=3), Traffic())
    window, _ = window.observe(seen_at(11.0, used=4), Traffic())
    assert window.length == pytest.approx(11.0)
    window, agreement = window.observe(seen_at(20.5, used=1), Traffic())
    assert (window.length, agreement) == (LENGTH, Agreement.AGREES)
