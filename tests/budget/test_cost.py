"""Calls that cost several units of the vendor's limit, on a virtual clock, against a vendor that counts units."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_crm.budget.call_answer import CallAnswer
from airflow_provider_crm.budget.pace import Pace
from airflow_provider_crm.budget.pacer import Pacer, Reservation
from airflow_provider_crm.budget.shared_budget import LeaseRequest
from airflow_provider_crm.budget.store import BudgetStore
from airflow_provider_crm.budget.usage import GroupUse
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.sandbox.close.limits import limit_headers, too_many
from airflow_provider_crm.sandbox.rate_limit import Counter, Rule
from airflow_provider_crm.vendors.limits import Limits

from .limiters import KINDS, MILLISECONDS, LimitedVendor, LimiterRule
from .proving_ground import ProvingGround
from .simulation import CloseServer, Simulation, answer_of

COSTS = range(1, 11)


class UnitServer(CloseServer):
    """Close if it counted units: a call is refused when fewer are left than it costs, unless all are."""

    def __init__(self, limit, window, **switches):
        super().__init__(limit, window, **switches)
        self._counter = Counter(Rule(limit=limit, window=float(window), kind=self.kind))

    def answer(self, now, cost=1):
        """Return the answer to a call that arrives now."""
        clock = self.at(now)
        left = self._counter.take(clock.timestamp(), min(cost, self.limit))
        if not left.allowed:
            shown = self._counter.look(clock.timestamp())
            headers = limit_headers(shown, clock, self._switches)
            refusal = too_many(shown, headers, group="opportunity", now=clock, switches=self._switches)
            return answer_of(429, refusal.headers | {"retry-after": str(math.ceil(left.reset))}, refusal.payload)
        return answer_of(200, limit_headers(left, clock, self._switches), {})


def mixed(seed, costs=COSTS):
    """Return costs in a random order without end."""
    numbers = random.Random(seed)
    return (numbers.choice(costs) for _ in itertools.count())


def simulated(server, seconds, *, engine=None, costs=COSTS, workers=1):
    """Return what arrives of workers whose calls have these costs in a random order, with a store in a database."""
    simulation = Simulation(server)
    store = None if engine is None else BudgetStore(Database(engine, clock=simulation.clock()))
    for number in range(workers):
        simulation.worker(store=store, costs=mixed(number, costs), begins=0.3 * number)
    return simulation.run(seconds)


def acquired(pacer, time, *, cost=1):
    """Return the reservation of a call, and the seconds that it waited."""
    began = time[0]
    while not isinstance(got := pacer.acquire(cost), Reservation):
        time[0] += max(got, 0.001)
    return got, time[0] - began


@pytest.fixture
def time():
    """Return the time of a test, which passes when the test says so."""
    return [0.0]


@pytest.fixture
def pacer(time):
    """Return a pacer that has learned a limit of 10 units per window, 5 of which are used; the window ends in 8 s."""
    pacer = Pacer(Clock(monotonic=lambda: time[0]))
    pacer.record_answer(pacer.acquire(5), (Limits(limit=10, remaining=5, reset=8.123),))
    return pacer


# One call


def test_what_is_left_goes_to_the_calls_that_fit(pacer, time):
    """A call that costs more than is left waits for the next window; cheaper ones use up this one."""
    assert pacer.acquire(6) == pytest.approx(8.123)
    for cost, remaining in ((2, 3), (3, 0)):
        pacer.record_answer(pacer.acquire(cost), (Limits(limit=10, remaining=remaining, reset=8.123),))
    assert isinstance(pacer.acquire(), float)
    time[0] = 8.2
    assert pacer.acquire(6).cost == 6


def test_a_call_that_waits_finds_room_in_the_next_window(pacer, time):
    """Calls that come first in the new window leave as much as the one that waits costs, until it has gone."""
    pacer.acquire(6)
    for remaining in (4, 3, 2, 1):
        pacer.record_answer(pacer.acquire(), (Limits(limit=10, remaining=remaining, reset=8.123),))
    time[0] = 8.124
    assert [isinstance(pacer.acquire(), Reservation) for _ in range(5)] == [True] * 4 + [False]
    assert pacer.acquire(6).cost == 6


def test_a_call_that_gave_up_holds_nothing_up(pacer, time):
    """Room is left for a call that waits only until its thread should have asked again."""
    pacer.acquire(6)
    time[0] = 8.3
    # The last of the limit leaves later: its answer is to show of which kind the limit is.
    assert [isinstance(pacer.acquire(), Reservation) for _ in range(10)] == [True] * 9 + [False]


@pytest.mark.parametrize("cost", [10, 11, 1000])
def test_a_call_that_needs_a_whole_window(pacer, time, cost):
    """A call that costs the whole limit, or more, goes when nothing of a window is used, and then nothing else does."""
    _, waited = acquired(pacer, time, cost=cost)
    assert 8.1 < waited < 8.2
    assert isinstance(pacer.acquire(), float)


def test_a_share_is_exceeded_only_by_a_call_that_costs_more(time):
    """With half of a limit of 10, calls of 2 use 4; a call of 7 can only be sent alone."""
    pacer = Pacer(Clock(monotonic=lambda: time[0]), share=0.5)
    pacer.record_answer(pacer.acquire(2), (Limits(limit=10, remaining=8, reset=8.123),))
    assert isinstance(pacer.acquire(2), Reservation)
    assert isinstance(pacer.acquire(2), float)
    time[0] = 20.0
    other = Pacer(Clock(monotonic=lambda: time[0]), share=0.5)
    other.record_answer(other.acquire(2), (Limits(limit=10, remaining=8, reset=8.123),))
    _, waited = acquired(other, time, cost=7)
    assert waited > 8.1


def test_a_cancelled_call_gives_back_its_cost(pacer):
    """All units of a call that was not sent are free again."""
    pacer.cancel(pacer.acquire(5))
    assert pacer.acquire(5).cost == 5


def test_an_answer_that_is_missing_costs_the_units_of_its_call(pacer, time):
    """A call without an answer counts as used, with its whole cost: of 10 units, 5 of them used, it leaves one of 5."""
    pacer.record_answer(pacer.acquire(4), None)
    assert pacer.acquire(2) == pytest.approx(8.123)
    # The last of the limit leaves later: its answer is to show of which kind the limit is.
    _, waited = acquired(pacer, time)
    assert waited < 8


def test_the_use_is_in_units_and_the_calls_are_calls(pacer, time):
    """A report has both; the part used compares units with what the vendor allows."""
    pacer.record_answer(pacer.acquire(3), (Limits(limit=10, remaining=2, reset=8.0),))
    use = pacer.use("x")
    assert (use.calls, use.cost, use.units, use.allowed, use.used) == (2, 8, 8, 10, 0.8)
    assert use.after(GroupUse("x", 4, 10, 8.0, 20)) == GroupUse("x", 6, 10, 8.123, 30, 12)
    assert GroupUse("x", 4, 10, 8.0, 20).after(GroupUse("x", 1, 10, 8.0, 20)).cost is None


# Calls of many costs


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(("limit", "window"), [(20, 1), (100, 1), (240, 8)])
def test_windows(limit, window, whole):
    """No window is overdrawn, 90 % are used at least, and no call waits for more than some windows.

    Where two calls can fill a window, each of eight threads may have three windows before a call leaves.
    """
    server = UnitServer(limit, window, phase=0.37, close_integer_reset=whole)
    arrivals = simulated(server, 40 * window)
    used, _ = arrivals.used(server, 40 * window)
    assert (used >= 0.9, arrivals.refused.total(), max(arrivals.accepted.values()) <= limit) == (True, 0, True)
    assert max(arrivals.longest_by_cost.values()) <= (24 if limit == 20 else 3) * window
    assert set(arrivals.by_cost) == set(COSTS)


@pytest.mark.long
@settings(deadline=None, derandomize=True, max_examples=20)
@given(
    limit=st.integers(10, 240),
    window=st.sampled_from([1, 8, 60]),
    phase=st.floats(0, 1),
    latency=st.floats(0.001, 0.1),
    costs=st.lists(st.integers(1, 10), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
def test_no_window_is_overdrawn(limit, window, phase, latency, costs, seed):  # noqa: PLR0917 - hypothesis names them
    """For any limit, window, phase, latency and costs no call is refused, and each cost gets its turn."""
    rule = LimiterRule("aligned", limit, window, phase * window)
    ground = ProvingGround(LimitedVendor((rule, MILLISECONDS)), seed=seed, latency=(latency, 3 * latency))
    ground.worker(costs=itertools.cycle(costs))
    arrivals = ground.run(window * 12 + 2)
    assert all(one.accepted for one in arrivals)
    assert {one.cost for one in arrivals} == set(costs)


@pytest.mark.parametrize("shared", [False, True])
def test_buckets(engine, shared):
    """A bucket is used as fast as it is filled, by one worker or by two on a store, and no call waits for long."""
    server = UnitServer(100, 1, kind="bucket", phase=0.37)
    arrivals = simulated(server, 60, engine=engine if shared else None, workers=2 if shared else 1)
    used, _ = arrivals.used(server, 60)
    assert (used >= 0.9, arrivals.refused.total()) == (True, 0)
    assert max(arrivals.longest_by_cost.values()) <= 12


def test_a_limit_that_no_answer_names():
    """Refusals alone show the limit: 90 % of it are used, and 1 % of the calls are refused at most."""
    server = UnitServer(240, 8, phase=0.37, close_rate_limit_header="absent")
    arrivals = simulated(server, 300)
    used, refused = arrivals.used(server, 300)
    assert (used >= 0.9, refused <= 0.01) == (True, True)
    most, least = max(arrivals.by_cost.values()), min(arrivals.by_cost[cost] for cost in COSTS)
    assert least > most / 2


@pytest.mark.parametrize("large", [60, 100])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_large_call_among_small_ones(kind, large):
    """While calls of one unit use up a limit of 100, one of 60 or 100 leaves within two windows, whatever the kind."""
    ground = ProvingGround(LimitedVendor((LimiterRule(kind, 100, 10.0, 3.7), MILLISECONDS)))
    ground.worker(costs=itertools.cycle([large, *[1] * 170]))
    arrivals = ground.run(120)
    assert max(one.waited for one in arrivals if one.cost == large) <= 2 * 10.0
    assert sum(one.cost == large for one in arrivals) >= 3
    assert all(one.accepted for one in arrivals)


# Calls that cost more than the limit


def test_more_than_the_whole_limit():
    """Among many cheap calls, those that cost more than the limit get through, and so do the others."""
    arrivals = simulated(UnitServer(100, 1, phase=0.37), 60, costs=[*COSTS] * 3 + [150])
    assert arrivals.by_cost[150] >= 5
    assert min(arrivals.by_cost[cost] for cost in COSTS) >= 10
    assert arrivals.refused.total() == 0


# The store


def test_a_lease_is_as_large_as_its_call(engine):
    """The store leases as many units as a call needs, or none; more than all of them while none is leased."""
    store = BudgetStore(Database(engine, clock=Clock()))
    begin, now = Pace.begin(1.0, 0.5, None), Clock().monotonic()
    answer = CallAnswer(now - 0.1, now, 1, [Limits(limit=21, remaining=20, reset=899.5)], refused=False)
    for name in ("key", "other"):
        store.lease(name, LeaseRequest("first", begin, (answer,), wants=0))

    def leased(cost, in_flight, name="key"):
        request = LeaseRequest("worker", begin, in_flight=in_flight, wants=cost, cost=cost)
        return len(store.lease(name, request).moments) * cost

    assert [leased(9, 0), leased(9, 9), leased(9, 18), leased(2, 18)] == [9, 9, 0, 2]
