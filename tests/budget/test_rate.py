"""A limit that no header names, found from refusals: the rule by itself, and workers that share what they found."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_crm.budget.rate import DiscoveredRate
from airflow_provider_crm.budget.store import BudgetStore
from airflow_provider_crm.database.database import Database

from .simulation import CloseServer, Simulation


@pytest.fixture
def discovered():
    """Return a limit of 20 calls per second, found by two refusals, and open again since second 2.4."""
    return between_refusals().accept(2.4)


def between_refusals(*, calls=20, refused_at=1.4, opens_at=2.4):
    """Return what is known at a second refusal: the vendor opened at second 1.3, and has accepted calls since then."""
    discovered = DiscoveredRate().record_refusal(0.3, 0.3, 1.0).accept(1.3, calls)
    return discovered.record_refusal(refused_at, refused_at, opens_at - refused_at)


def simulation_of_workers(engine, server, *, seed=0, number=4):
    """Return a simulation of workers that share a store."""
    simulation = Simulation(server, seed=seed, latency=(0.02, 0.06), slow=0.002)
    store = BudgetStore(Database(engine, clock=simulation.clock()))
    for one in range(number):
        simulation.worker(store=store, begins=0.05 * one)
    return simulation, store


# The rule


@pytest.mark.parametrize(
    ("refused_at", "opens_at", "seconds"),
    [(1.4, 2.4, 1.0), (2.2, 2.4, 1.0), (1.4, 6.4, 1.0), (3.5, 6.4, 5.0), (3.5, 4.3, 3.0)],
)
def test_two_refusals_show_a_rate(refused_at, opens_at, seconds):
    """The rate is a little below what was accepted from one opening to the next, over the time in between.

    That time is the shortest usual length of a window that ends between the refusal and the opening, if there is one.
    """
    closed = between_refusals(refused_at=refused_at, opens_at=opens_at)
    assert closed.rate is None
    assert closed.wait(refused_at) == pytest.approx(opens_at - refused_at)
    discovered = closed.accept(opens_at)
    assert 0.95 * 20 / seconds < discovered.rate < 20 / seconds
    assert not discovered.is_closed


def test_calls_that_are_reported_late_count_for_the_time_before_the_refusal():
    """Other workers report what was accepted only after the refusal: the rate is the one of all of them."""
    late = between_refusals(calls=3).accept(1.3, 8).accept(1.35, 9)
    assert late.is_closed
    assert 0.95 * 20 < late.accept(2.4).rate < 20


@pytest.mark.parametrize("wait", [0.0, None])
def test_a_vendor_that_stays_closed_lowers_the_rate_once(discovered, wait):
    """Refusals before anything was accepted again are of the same closed window: they say nothing new of the rate."""
    once = discovered.rate
    discovered = discovered.accept(2.5, 40).record_refusal(4.4, 4.4, wait)
    for _ in range(8):
        asked_at = max(discovered.opens_at, discovered.refused_at + 1)
        discovered = discovered.record_refusal(asked_at, asked_at, wait)
        assert discovered.rate == once
    discovered = discovered.accept(discovered.opens_at + 0.1)
    assert 0.75 * once <= discovered.rate < once


def test_moments_that_were_given_away_are_not_given_twice(discovered):
    """A refusal with a short wait does not begin before the calls that other workers hold already."""
    while discovered.next_at < 4.0:
        discovered = discovered.record_send(2.5)
    given_until = discovered.next_at
    discovered = discovered.record_refusal(2.5, 2.6, 0.05)
    assert discovered.next_at == given_until
    assert 2.7 + discovered.wait(2.7) == pytest.approx(given_until)


def test_a_run_of_ten_minutes_later_starts_over():
    """Capacity that one run left unused until the next came is no part of the rate that a refusal shows."""
    discovered = DiscoveredRate().accept(0.0, 20).record_refusal(0.3, 0.3, 1.0)
    for begin in (600.0, 601.1):
        for call in range(20):
            discovered = discovered.record_send(begin + call / 200)
        discovered = discovered.accept(begin, 20).record_refusal(begin + 0.1, begin + 0.1, 1.0)
    assert 0.95 * 20 < discovered.rate < 20


def test_a_long_window_is_not_spaced():
    """An hour is used at once: neither its refusals nor calls that are reported late make a rate of it."""
    hour = DiscoveredRate()
    for begin in (0.0, 3600.0, 7200.0):
        hour = hour.accept(begin, 1000)
        hour = hour.record_refusal(begin + 60, begin + 60, 3540.0)
        hour = hour.accept(begin + 59, 8)
    assert hour.gap(1.0) == 0.0


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    limit=st.integers(5, 300),
    share=st.floats(0.05, 0.85),
    wait=st.none() | st.floats(0.05, 30),
    accepted=st.integers(1, 300),
    waits=st.lists(st.floats(0.01, 20), max_size=8),
)
def test_a_found_rate_only_falls_by_refusals(limit, share, wait, accepted, waits):
    """A refusal never makes a rate faster, and a small share never grows by itself, for all answers of a vendor."""
    discovered = DiscoveredRate.stated(limit / 10)
    now = 0.0
    for one in waits:
        discovered = discovered.accept(now, accepted)
        before = discovered.rate
        now += one
        discovered = discovered.record_refusal(now, now, wait)
        assert discovered.rate == before
        now = discovered.opens_at
        discovered = discovered.accept(now)
        assert 0 < discovered.rate <= before
        before = discovered.rate
        for _ in range(20):
            now += discovered.wait(now)
            discovered = discovered.record_send(now, share=share)
        assert discovered.rate == before


# Workers on one store


def test_workers_share_what_one_of_them_found(engine):
    """With one store the refusals of one worker hold for all: a new one begins at the rate that was found."""
    simulation = Simulation(CloseServer(50, 1, phase=0.37, close_rate_limit_header="absent"))
    store = BudgetStore(Database(engine, clock=simulation.clock()))
    for _ in range(3):
        simulation.worker(store=store)
    simulation.run(120)
    before = sum(simulation.arrivals.refused.values())
    simulation.worker(store=store, begins=120.0)
    simulation.run(150)
    assert sum(simulation.arrivals.refused.values()) - before <= 16


@pytest.mark.long
@pytest.mark.parametrize(("limit", "window", "phase", "seed"), [(20, 1, 0.37, 0), (240, 8, 0.6, 4)])
def test_workers_without_a_header_on_one_store(engine, limit, window, phase, seed):
    """Four workers that share a store use 93 % of a limit that no header names, in five minutes; 2 % is refused."""
    server = CloseServer(limit, window, phase=phase * window, close_rate_limit_header="absent")
    simulation, _ = simulation_of_workers(engine, server, seed=seed)
    used, refused = simulation.run(300).used(server, 300)
    assert (used >= 0.93, refused <= 0.02) == (True, True)


@pytest.mark.parametrize(("limit", "window"), [(20, 1), (240, 8)])
def test_workers_find_a_limit_within_a_minute(engine, limit, window):
    """The first rate is near enough to the limit that 85 % of it are used from the start."""
    server = CloseServer(limit, window, phase=0.37, close_rate_limit_header="absent")
    simulation, _ = simulation_of_workers(engine, server)
    used, _ = simulation.run(60).used(server, 60)
    assert used >= 0.85


def test_refusals_that_do_not_say_how_long_to_wait(engine):
    """Without `Retry-After` a closed window is tried again and again: that is no reason to go ever slower."""
    switches = {"close_rate_limit_header": "absent", "close_retry_after": "absent"}
    server = CloseServer(240, 8, phase=0.37, **switches)
    simulation, _ = simulation_of_workers(engine, server)
    used, _ = simulation.run(120).used(server, 120)
    assert used >= 0.92
