"""A limit of a day beside one of seconds, on a virtual clock: both are kept, and the day's share to the call."""

from __future__ import annotations

from collections import Counter

import pytest

from airflow_provider_crm.budget.store import BudgetStore
from airflow_provider_crm.database.database import Database

from .limiters import DAY, HUBSPOT, MILLISECONDS, WHOLE_SECONDS, Announcement, LimitedVendor, LimiterRule
from .proving_ground import OTHER_PROGRAM, ProvingGround

BURST = (LimiterRule("sliding", 100, 10.0, name="burst"), HUBSPOT)
LIMIT, HALF = 5_000, 2_500
HOUR = 3_600.0
NOON = DAY / 2


def days_of(arrivals, *, phase=0.0, worker=None):
    """Return the accepted calls of each day, of one worker or of all but other programs."""
    own = [one for one in arrivals if one.accepted and one.worker != OTHER_PROGRAM]
    return Counter(int((one.at + phase) // DAY) for one in own if worker in (None, one.worker))


def refused(arrivals):
    """Return the number of our calls that were refused."""
    return sum(not one.accepted for one in arrivals if one.worker != OTHER_PROGRAM)


@pytest.fixture
def store_of(tmp_path):
    """Return the store of workers in a file, on a proving ground's clock."""
    made = []

    def store(ground):
        database = Database.at(f"sqlite:///{tmp_path / 'ledger.db'}")
        database.clock = ground.clock()
        made.append(database)
        return BudgetStore(database)

    yield store
    for database in made:
        database.close()


@pytest.mark.parametrize(
    "announced", [WHOLE_SECONDS, MILLISECONDS, Announcement("epoch", "seconds")], ids=["seconds", "ms", "epoch"]
)
@pytest.mark.parametrize(
    "burst", ["sliding", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("aligned", "first_call", "bucket"))]
)
def test_the_share_of_a_day_is_used_to_the_call(burst, announced):
    """From noon to the noon after the next: half of each day, as fast as the burst allows, and no refusal."""
    shown = HUBSPOT if burst == "sliding" else announced
    vendor = LimitedVendor(
        (LimiterRule(burst, 100, 10.0, name="burst"), shown), (LimiterRule.day(LIMIT, phase=NOON), announced)
    )
    ground = ProvingGround(vendor)
    ground.worker()
    arrivals = ground.run(2 * DAY)
    assert days_of(arrivals, phase=NOON) == {0: HALF, 1: HALF, 2: HALF}
    assert refused(arrivals) == 0
    first_day = [one.at for one in arrivals if one.at < NOON]
    assert first_day[-1] <= 1.15 * HALF / 10
    next_day = [one.at for one in arrivals if NOON <= one.at < NOON + DAY]
    assert next_day[0] - NOON <= 2.0


@pytest.mark.parametrize(("daily_share", "calls"), [(1.0, LIMIT), (0.2, LIMIT // 5), (0.0003, 1)])
def test_other_shares(daily_share, calls):
    """The whole day, a fifth, and so little that it is one call: at least one a day is allowed."""
    ground = ProvingGround(LimitedVendor(BURST, (LimiterRule.day(LIMIT), WHOLE_SECONDS)))
    ground.worker(daily_share=daily_share)
    arrivals = ground.run(1.5 * DAY)
    assert days_of(arrivals) == {0: calls, 1: calls}
    assert refused(arrivals) == 0


@pytest.mark.long
@pytest.mark.parametrize("workers", [2, 4])
def test_workers_on_one_store_share_the_day(store_of, workers):
    """Together they use half of the day, to the call; the store knows the day when the workers of the evening begin."""
    ground = ProvingGround(LimitedVendor(BURST, (LimiterRule.day(LIMIT), WHOLE_SECONDS)))
    store = store_of(ground)
    for number in range(workers):
        ground.worker(store=store, begins=number * 7.0)
    ground.worker(store=store, begins=20 * HOUR)
    arrivals = ground.run(1.25 * DAY)
    assert days_of(arrivals) == {0: HALF, 1: HALF}
    assert days_of(arrivals, worker=workers)[0] == 0
    assert refused(arrivals) <= 0.005 * HALF


def test_the_smaller_share_stops_first(store_of):
    """Of two workers with shares of their own, the one with less stops, and the other goes on to its share."""
    ground = ProvingGround(LimitedVendor(BURST, (LimiterRule.day(LIMIT), WHOLE_SECONDS)))
    store = store_of(ground)
    ground.worker(store=store, daily_share=0.2)
    ground.worker(store=store, daily_share=0.5, begins=HOUR)
    arrivals = ground.run(0.9 * DAY)
    assert days_of(arrivals, worker=0) == {0: LIMIT // 5}
    assert days_of(arrivals, worker=1) == {0: HALF - LIMIT // 5}


@pytest.mark.parametrize("announced", [Announcement("none", "none"), HUBSPOT], ids=["no end", "length"])
def test_a_day_without_an_end(announced):
    """The last 24 hours count: no 24 hours have more than half, and the calls of yesterday come back as they lapse."""
    ground = ProvingGround(LimitedVendor(BURST, (LimiterRule.day(LIMIT, rolling=True), announced)))
    ground.worker()
    arrivals = ground.run(2.2 * DAY)
    times = [one.at for one in arrivals]
    assert max(after - first for first, after in zip(times, times[HALF:], strict=False)) >= DAY
    assert min(after - first for first, after in zip(times, times[HALF:], strict=False)) >= DAY
    assert len(times) >= 0.95 * 3 * HALF
    assert refused(arrivals) == 0


@pytest.mark.parametrize(("rate", "part"), [(0.05, 1.0), (0.1, 0.6)])
def test_another_program_that_uses_much_of_the_day(rate, part):
    """Until noon it takes 2,100 or 4,300 calls: then the share fits, or the rest is used in part, as it may go on."""
    ground = ProvingGround(LimitedVendor(BURST, (LimiterRule.day(LIMIT), WHOLE_SECONDS)))
    ground.worker(begins=NOON)
    ground.other_program(rate, ends=NOON)
    arrivals = ground.run(0.999 * DAY)
    others = [one for one in arrivals if one.worker == OTHER_PROGRAM]
    own = days_of(arrivals)[0]
    assert all(one.accepted for one in others)
    assert own >= part * min(HALF, LIMIT - len(others))
    assert refused(arrivals) <= 0.005 * own
