"""The budget that workers share, in both kinds of database."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_crm.budget.call_answer import CallAnswer
from airflow_provider_crm.budget.lease import LeasingPacer
from airflow_provider_crm.budget.pace import Pace
from airflow_provider_crm.budget.pacer import Reservation
from airflow_provider_crm.budget.shared_budget import Budget, LeaseRequest
from airflow_provider_crm.budget.store import BudgetStore, SharedPace
from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import budgets
from airflow_provider_crm.exceptions import TransientError
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials
from airflow_provider_crm.vendors.limits import Limits

BEGIN = Pace.begin(1.0, 0.5, None)


@pytest.fixture
def engine(any_database):
    """Return an empty database of each kind."""
    engine = Database(sa.create_engine(any_database)).engine
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine):
    """Return a store in that database."""
    return BudgetStore(Database(engine, clock=Clock()))


def leased(store, worker, *, in_flight=0, wants=64, name="key", **request):
    """Return how many calls a worker gets."""
    lease = store.lease(name, LeaseRequest(worker, BEGIN, in_flight=in_flight, wants=wants, **request))
    return len(lease.moments)


@pytest.fixture
def known(store):
    """Return the store after a first answer: 100 calls in windows of 900 seconds, of which it was one."""
    now = Clock().monotonic()
    answer = CallAnswer(now - 0.1, now, 1, [Limits(limit=100, remaining=99, reset=899.5)], refused=False)
    store.lease("key", LeaseRequest("first", BEGIN, (answer,), wants=0))
    return store


def test_batches_get_smaller_as_the_window_is_used_up(known):
    """One of several workers gets half of its part of what is free, so that none is left with the last calls."""
    got = {"one": [leased(known, "one")], "two": [leased(known, "two")]}
    while sum(map(sum, got.values())) < 99:
        for worker, batches in got.items():
            batches.append(leased(known, worker, in_flight=sum(batches)))
    first, last = got["one"][0], got["two"][-1]
    assert 10 <= first <= 50
    assert last <= 1
    assert leased(known, "one", in_flight=sum(got["one"])) == 0


def test_threads_never_get_more_than_the_limit(known):
    """Eight workers that request calls at once get the limit together, not one call more."""
    got, lock = [], threading.Lock()

    def work(worker):
        mine = 0
        while calls := leased(known, worker, in_flight=mine):
            mine += calls
        with lock:
            got.append(mine)

    threads = [threading.Thread(target=work, args=[str(number)]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(got) == 99


def test_what_is_given_back_can_be_taken_again(known):
    """A worker that ends gives back what it did not use."""
    first = leased(known, "one", wants=40)
    leased(known, "one", wants=0)
    mine = 0
    while calls := leased(known, "two", in_flight=mine):
        mine += calls
    assert (first > 0, mine) == (True, 99)


def test_two_names_are_two_budgets(known):
    """Keys and endpoint groups have nothing to do with each other."""
    mine = 0
    while calls := leased(known, "one", in_flight=mine):
        mine += calls
    lease = known.lease("other", LeaseRequest("one", BEGIN))
    assert lease.unbound_until > Clock().monotonic()


def test_the_store_is_asked_rarely_while_nothing_bounds_the_calls(store):
    """For a second at first, and for longer each time, any number of calls may leave."""
    begun = Clock().monotonic()
    times = [store.lease("key", LeaseRequest("one", BEGIN)).unbound_until - begun for _ in range(4)]
    assert times == [pytest.approx(seconds, abs=0.9) for seconds in (1, 2, 4, 5)]


def test_a_closed_worker_leaves_nothing_behind(store):
    """A pacer that is closed gives its lease back, and reports its last answers."""
    pacer = LeasingPacer(Clock(), store, "key")
    for remaining in (99, 98):
        while not isinstance(reservation := pacer.acquire(), Reservation):
            pass
        pacer.record_answer(reservation, (Limits(limit=100, remaining=remaining, reset=900.5),))
    pacer.close()
    pace = store.lease("key", LeaseRequest("other", BEGIN, wants=0)).pace
    (limit,) = (limit for _, limit in pace.limits)
    assert (pace.traffic.in_flight, limit.remaining) == (0, 98)


def test_the_name_of_a_budget_holds_no_secret(engine, store, crm_sandbox):
    """The store shows a digest of the key."""
    crm_sandbox.raze.add_opportunity("opp_1")
    account = Account(VENDORS["raze"], crm_sandbox.url, Credentials(crm_sandbox.raze.api_key))
    with Session(account, budget=Budget(1.0, store)) as session:
        session.read("opp_1")
    with engine.connect() as connection:
        names = list(connection.execute(sa.select(budgets.c.name)).scalars())
    assert {name.split(":")[:2] == ["raze", "127.0.0.1"] for name in names} == {True}
    assert not any(crm_sandbox.raze.api_key in name for name in names)


def test_a_database_that_is_away_is_an_error_that_passes(tmp_path):
    """A store that cannot be used stops the call, as a ledger that cannot be used does."""
    away = BudgetStore(Database(sa.create_engine(f"sqlite:///{tmp_path}/no/such/folder.db")))
    pacer = LeasingPacer(Clock(), away, "key")
    for _ in range(2):
        with pytest.raises(TransientError) as failed:
            pacer.acquire()
        assert failed.value.code == "LEDGER"


def test_a_store_that_fails_at_the_end_fails_no_run(tmp_path, crm_sandbox, caplog):
    """Calls that cannot be given back are reported, and are free again when its window ends: the calls have landed."""
    crm_sandbox.raze.add_opportunity("opp_1")
    engine = Database(sa.create_engine(f"sqlite:///{tmp_path}/ledger.db")).engine
    account = Account(VENDORS["raze"], crm_sandbox.url, Credentials(crm_sandbox.raze.api_key))
    with Session(account, budget=Budget(1.0, BudgetStore(Database(engine, clock=Clock())))) as session:
        for _ in range(2):
            session.read("opp_1")
        with engine.begin() as connection:
            budgets.drop(connection)
    engine.dispose()
    assert "free again only when their window ends" in caplog.text


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    limit=st.integers(1, 500),
    steps=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.sampled_from([0.5, 0.9, 1.0])), max_size=40
    ),
)
def test_never_more_than_the_share_is_granted(limit, steps):
    """In any order of requests, what workers have leased stays within the share, and within the limit."""
    shown = [Limits(limit=limit, remaining=limit - 1, reset=60.0)]
    answers = (CallAnswer(0.0, 0.1, 1, shown, refused=False),)
    shared = SharedPace(BEGIN, {}, 0.0).heard(LeaseRequest("first", BEGIN, answers, wants=0), answers, 0.1)
    held = dict.fromkeys("abc", 0)
    for worker, wants, share in steps:
        request = LeaseRequest(worker, Pace.begin(share, 0.5, None), in_flight=held[worker], wants=wants)
        shared, moments, _ = shared.heard(request, (), 1.0).granted(request, 1.0)
        held[worker] += len(moments)
        assert not moments or sum(held.values()) + 1 <= max(share * limit, 1)


def test_a_worker_that_is_not_heard_of_has_died(store):
    """A minute later the calls that it held count as sent: they are not free again before the window has ended."""
    clock = [1000.0]
    answer = CallAnswer(999.9, 1000.0, 1, [Limits(limit=100, remaining=99, reset=899.5)], refused=False)
    shared = SharedPace(BEGIN, {}, 0.0).heard(LeaseRequest("dead", BEGIN, (answer,), wants=30), (answer,), clock[0])
    shared, moments, _ = shared.granted(LeaseRequest("dead", BEGIN, wants=30), clock[0])
    later = shared.heard(LeaseRequest("other", BEGIN), (), clock[0] + 61.0)
    assert (len(moments), list(later.holders), later.pace.free(clock[0] + 61.0)) == (30, ["other"], 69)
