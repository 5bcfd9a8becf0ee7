"""The budget that workers share, in both kinds of database."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_crm.budget.lease import Leases
from airflow_provider_crm.budget.pacer import Pacer, Reservation
from airflow_provider_crm.budget.shared_budget import Budget, LeaseRequest
from airflow_provider_crm.budget.store import BudgetStore, SharedWindow
from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import budgets
from airflow_provider_crm.exceptions import TransientError
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials
from airflow_provider_crm.vendors.limits import Limits

REQUEST = LeaseRequest(share=1.0, limit=100, counted=0, in_flight=0, number=None, ends_in=None, length=0.0)


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


def test_batches_get_smaller_as_the_window_is_used_up(store):
    """An eighth of what is free, so that no worker is left with the last calls; never more than the limit."""
    grants, number = [], None
    while (grant := store.acquire("key", replace(REQUEST, number=number))).calls:
        grants.append(grant.calls)
        number = grant.number
    assert (sum(grants), grants[0], grants[-1] <= 3) == (100, 12, True)
    assert len(grants) < 40


def test_threads_never_get_more_than_the_limit(store):
    """Eight threads that request calls at once get the limit together, not one call more."""
    got, lock = [], threading.Lock()

    def work():
        number = None
        while (grant := store.acquire("key", replace(REQUEST, number=number))).calls:
            number = grant.number
            with lock:
                got.append(grant.calls)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(got) == 100


def test_what_is_given_back_can_be_taken_again(store):
    """A worker that ends gives back what it did not use."""
    first = store.acquire("key", REQUEST)
    store.acquire("key", replace(REQUEST, number=first.number, returned=first.calls - 2, wants_calls=False))
    got, number = 2, first.number
    while (grant := store.acquire("key", replace(REQUEST, number=number))).calls:
        got += grant.calls
    assert got == 100


def test_a_window_that_is_over_gives_way_to_the_next(store):
    """The end that one worker reports holds for all; after it there are calls again, and a new number."""
    first = store.acquire("key", REQUEST)
    updated = store.acquire("key", replace(REQUEST, number=first.number, ends_in=30.0))
    assert 29 < updated.ends_at - Clock().monotonic() <= 30.1
    over = store.acquire("key", replace(REQUEST, number=first.number, ends_in=0.0, in_flight=7))
    assert (over.number, over.is_new, over.ends_at) == (first.number + 1, True, None)


def test_two_names_are_two_budgets(store):
    """Keys and endpoint groups have nothing to do with each other."""
    while store.acquire("one", replace(REQUEST, number=0)).calls:
        pass
    assert store.acquire("other", REQUEST).calls


def test_a_closed_worker_leaves_nothing_behind(engine, store):
    """A pacer that is closed gives its lease back."""
    pacer = Pacer(Clock(), leases=Leases(store, "key", 1.0))
    for remaining in (99, 98):
        while not isinstance(reservation := pacer.acquire(), Reservation):
            pass
        pacer.record_answer(reservation, (Limits(limit=100, remaining=remaining, reset=900.5),))
    pacer.close()
    with engine.connect() as connection:
        assert connection.execute(sa.select(budgets.c.granted)).scalar_one() == 2


def test_the_name_of_a_budget_holds_no_secret(engine, store, crm_sandbox):
    """The store shows a digest of the key."""
    crm_sandbox.raze.add_opportunity("opp_1")
    account = Account(VENDORS["raze"], crm_sandbox.url, Credentials(crm_sandbox.raze.api_key))
    with Session(account, budget=Budget(1.0, store)) as session:
        session.read("opp_1")
    with engine.connect() as connection:
        (name,) = connection.execute(sa.select(budgets.c.name)).scalars()
    assert name.startswith("raze:127.0.0.1:")
    assert crm_sandbox.raze.api_key not in name


def test_a_database_that_is_away_is_an_error_that_passes(tmp_path):
    """A store that cannot be used stops the call, as a ledger that cannot be used does."""
    away = BudgetStore(Database(sa.create_engine(f"sqlite:///{tmp_path}/no/such/folder.db")))
    pacer = Pacer(Clock(), leases=Leases(away, "key", 1.0))
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
        st.tuples(st.sampled_from(["lease", "return", "count"]), st.integers(0, 60), st.sampled_from([0.5, 0.9, 1.0])),
        max_size=60,
    ),
)
def test_never_more_than_the_share_is_granted(limit, steps):
    """In any order of requests and reports, the granted calls stay within the share, and within the limit."""
    window = SharedWindow(limit=limit, length=60.0, opened_at=0.0, ends_at=60.0)
    for kind, number, share in steps:
        request = replace(REQUEST, limit=limit, number=0, share=share)
        request = replace(request, returned=number) if kind == "return" else request
        request = replace(request, counted=min(number, limit)) if kind == "count" else request
        window = window.updated(request, 1.0)
        calls = window.batch(share) if kind == "lease" else 0
        assert calls == 0 or window.granted + calls <= share * limit
        window = replace(window, granted=window.granted + calls)
    assert window.granted <= limit


def test_external_calls_are_left_their_part():
    """Calls that the vendor counted beyond those granted are other programs': the next window leaves them room."""
    window = SharedWindow(limit=100, granted=70, counted=100, length=60.0, ends_at=60.0)
    after = window.updated(replace(REQUEST, number=0), 61.0)
    assert (after.number, after.external_calls, after.free(1.0)) == (1, 30, 70)
