"""The budget over real HTTP, against the sandbox.

The long ones are in real time: a window is used to its last call only where nothing else keeps the machine busy.
"""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest
import sqlalchemy as sa

from airflow_provider_crm.budget.shared_budget import Budget
from airflow_provider_crm.budget.store import BudgetStore
from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.exceptions import RateLimitedError
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials


@pytest.fixture
def sandbox(crm_sandbox):
    """Return a sandbox with one opportunity of each vendor."""
    crm_sandbox.raze.add_opportunity("opp_1")
    crm_sandbox.close.add_opportunity("oppo_1")
    return crm_sandbox


def account(sandbox, vendor):
    """Return the sandbox's account."""
    return Account(VENDORS[vendor], sandbox.url, Credentials(getattr(sandbox, vendor).api_key))


def read_for(seconds, sandbox, vendor, budgets, *, threads=6):
    """Let sessions with these budgets read as fast as they may; return the calls by window of the vendor's clock."""
    end = time.monotonic() + seconds
    record_id = {"close": "oppo_1", "raze": "opp_1"}[vendor]

    def work(session):
        while time.monotonic() < end:
            session.read(record_id)

    sessions = [Session(account(sandbox, vendor), budget=budget) for budget in budgets]
    workers = [threading.Thread(target=work, args=(session,)) for session in sessions for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for session in sessions:
        session.close()
    return [call for call in sandbox.audit.calls if call.status in (200, 429)]


def by_window(calls, window):
    """Return the accepted calls of the windows that were seen from beginning to end."""
    counts = Counter(call.at.timestamp() // window for call in calls if call.status == 200)
    return [count for _, count in sorted(counts.items())][1:-1]


@pytest.mark.long
@pytest.mark.parametrize("spelling", ["comma", "semicolon", "x-rate-limit", "ratelimit-reset"])
def test_close_is_used_and_never_refuses(sandbox, spelling):
    """20 calls per second, in every spelling: each second is used to the last call, and there is no 429."""
    sandbox.set(close_limit=20, close_rate_limit_header=spelling)
    calls = read_for(3.2, sandbox, "close", [Budget()])
    assert [call.status for call in calls if call.status != 200] == []
    assert set(by_window(calls, 1)) == {20}


@pytest.mark.long
def test_raze_is_used_and_never_refuses(sandbox):
    """A window of whole epoch seconds, here of two seconds instead of an hour."""
    sandbox.set(raze_limit=50, raze_window=2.0)
    calls = read_for(9, sandbox, "raze", [Budget()])
    windows = by_window(calls, 2)
    assert [call.status for call in calls if call.status != 200] == []
    # The vendor names whole seconds on both clocks, so that the first windows find out where they begin.
    assert (windows[-1], sum(windows) >= 0.9 * 50 * len(windows)) == (50, True)


@pytest.mark.long
def test_half_of_the_budget(sandbox):
    """With half of the budget no second sees more than half of the limit."""
    sandbox.set(close_limit=40)
    calls = read_for(3.2, sandbox, "close", [Budget(0.5)])
    assert set(by_window(calls, 1)) == {20}


@pytest.mark.long
def test_sessions_on_one_store(sandbox, tmp_path):
    """Three sessions that share a store use the budget together, and there is no 429."""
    sandbox.set(close_limit=40)
    engine = Database(sa.create_engine(f"sqlite:///{tmp_path}/ledger.db")).engine
    store = BudgetStore(Database(engine, clock=Clock()))
    calls = read_for(4.2, sandbox, "close", [Budget(1.0, store)] * 3, threads=3)
    engine.dispose()
    windows = by_window(calls, 1)
    assert [call.status for call in calls if call.status != 200] == []
    assert sum(windows) >= 0.97 * 40 * len(windows)


def test_a_long_wait_is_the_callers(sandbox):
    """A window that is used up for longer than `defer_after` ends the call at once, with the wait, and no 429."""
    sandbox.set(raze_limit=3, raze_window=3600.0)
    slept = []
    clock = Clock(sleep=slept.append)
    with Session(account(sandbox, "raze"), retry=RetryRules(defer_after=0.0), clock=clock) as session:
        for _ in range(3):
            session.read("opp_1")
        with pytest.raises(
            RateLimitedError, match=r"^Raze's rate limit is used up; the next call is allowed in"
        ) as used_up:
            session.read("opp_1")
    assert (0 < used_up.value.retry_after <= 3600, used_up.value.code) == (True, "BUDGET_USED_UP")
    assert [call.status for call in sandbox.audit.calls] == [200] * 3
    assert slept == []


def test_groups_have_budgets_of_their_own(sandbox):
    """Close limits reading and writing apart: a used-up one does not hold up the other."""
    sandbox.set(close_limit=2, close_window=3600.0)
    with Session(account(sandbox, "close"), retry=RetryRules(defer_after=0.0)) as session:
        for _ in range(2):
            session.read("oppo_1")
        with pytest.raises(RateLimitedError):
            session.read("oppo_1")
        assert session.catalogue(("deal_value",))
    assert {call.status for call in sandbox.audit.calls} == {200}
