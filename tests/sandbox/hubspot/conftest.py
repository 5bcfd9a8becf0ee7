"""A HubSpot account with three deals, and a client with the token of its private app."""

from __future__ import annotations

import pytest

from tests.sandbox.conftest import Client, plain_session

IDS = ("1001", "1002", "1003")


@pytest.fixture
def account(sandbox):
    """Return the account, with three deals."""
    for number, record_id in enumerate(IDS, 1):
        sandbox.hubspot.add_opportunity(record_id, amount=f"{number}00.00", warehouse_deal_key=f"key-{number}")
    return sandbox.hubspot


@pytest.fixture
def hubspot(sandbox, account):
    """Return a client of HubSpot at the root of the sandbox."""
    with plain_session() as session:
        session.headers["Authorization"] = f"Bearer {account.access_token}"
        yield Client(sandbox.url, session)
