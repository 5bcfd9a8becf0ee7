"""The clock and the transactions of a budget that workers share, on the virtual clock."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest
import sqlalchemy as sa

from airflow_provider_crm.budget.lease import LeasingPacer
from airflow_provider_crm.budget.pace import Pace
from airflow_provider_crm.budget.pacer import Reservation
from airflow_provider_crm.budget.shared_budget import LeaseRequest
from airflow_provider_crm.budget.store import BudgetStore, SharedPace
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database

from .limiters import MILLISECONDS, LimitedVendor, LimiterRule
from .proving_ground import START, ProvingGround

BEGIN = Pace.begin(1.0, 0.5, None)


class CountingStore(BudgetStore):
    """A store that counts its transactions."""

    transactions = 0

    def lease(self, name, request):
        """Count one."""
        self.transactions += 1
        return super().lease(name, request)


@pytest.fixture
def database(tmp_path):
    """Return an empty SQLite file."""
    engine = Database(sa.create_engine(f"sqlite:///{tmp_path}/budget.db")).engine
    yield engine
    engine.dispose()


@pytest.mark.parametrize("seconds", [-200.0, -20.0, 20.0])
def test_a_machine_clock_that_is_set(database, seconds):
    """Two workers go on within a window of 5 s, of 50 calls, and at most one window of calls is refused."""
    vendor = LimitedVendor((LimiterRule("aligned", 50, 5, 1.8), MILLISECONDS))
    ground = ProvingGround(vendor)
    store = BudgetStore(Database(database, clock=ground.clock()))
    for number in range(2):
        ground.worker(threads=4, store=store, begins=0.1 * number)
    ground.step_clock(31.0, seconds)
    arrivals = ground.run(76.8)
    accepted = [one.at for one in arrivals if one.accepted]
    assert max(later - earlier for earlier, later in itertools.pairwise(accepted)) < 5.5
    assert sum(at > 36.8 for at in accepted) >= 0.99 * 8 * 50
    assert sum(not one.accepted for one in arrivals) <= (50 if seconds > 0 else 0)


def test_a_worker_that_asked_before_the_clock_was_set_back_still_dies():
    """A minute after the step it counts as dead: the shared time goes on, whatever the database's clock shows."""
    request = LeaseRequest("dead", BEGIN, in_flight=3)
    shared = SharedPace(BEGIN, {}, 0.0).heard(request, (), 10_000.0).by_clock(2_000.0)
    assert shared.ahead == 8_000.0
    later = shared.heard(LeaseRequest("other", BEGIN), (), 2_061.0 + shared.by_clock(2_061.0).ahead)
    assert list(later.holders) == ["other"]
    assert SharedPace.from_json(later.to_json()) == later


def test_what_nothing_bounds_costs_few_transactions(database):
    """A minute of 16 threads without any limit asks the store at most 15 times, and no thread waits."""
    now = [0.0]
    clock = Clock(monotonic=lambda: now[0], now=lambda: START + dt.timedelta(seconds=now[0]))
    store = CountingStore(Database(database, clock=clock))
    pacer = LeasingPacer(clock, store, "key")
    waits = []
    for _ in range(1200):  # a minute
        got = [pacer.acquire() for _ in range(16)]
        now[0] += 0.05
        waits += [pacer.record_answer(one, ()) for one in got if isinstance(one, Reservation)]
    assert (len(waits), set(waits)) == (16 * 1200, {0.0})
    assert store.transactions <= 15
