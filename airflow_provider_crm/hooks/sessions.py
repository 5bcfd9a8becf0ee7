"""Open sessions for tasks, and name the types that operators and runs need for them."""

from __future__ import annotations

from airflow_provider_crm.budget.shared_budget import Budget
from airflow_provider_crm.budget.store import BudgetStore
from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.database.database import Database

__all__ = ["Account", "Budget", "Database", "Session", "budget_of", "open_session"]


def open_session(account: Account, *, defer_after: float, budget: Budget) -> Session:
    """Return a session for one run.

    Args:
        account: The account to write to.
        defer_after: Seconds; a longer wait ends a call, so that the task can free its worker slot.
        budget: The part of the vendor's rate limit that the run may use.
    """
    return Session(account, retry=RetryRules(defer_after=defer_after), budget=budget)


def budget_of(share: float, daily_share: float, database: Database | None) -> Budget:
    """Return the part of the vendor's rate limits that a run may use.

    Args:
        share: That part, from above 0 to 1.
        daily_share: The part of a daily limit, from above 0 to 1.
        database: The ledger's, through which all workers share the limits; None to share them with no other run.
    """
    return Budget(share, None if database is None else BudgetStore(database), daily_share)
