"""The budget over real HTTP, against the sandbox; what is used of limits there, `test_use_over_http.py` shows."""

from __future__ import annotations

import pytest

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
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
