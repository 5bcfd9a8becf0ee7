"""Batchly's hooks, found by their entry points, on the sandbox over HTTP."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from airflow_provider_crm.exceptions import AuthenticationError, IgnoredError, RejectedError
from airflow_provider_crm.vendors import VENDORS
from tests.fake.api import APIS

every_api = pytest.mark.parametrize("api", [api.name for api in APIS])


def test_batchly_is_installed_for_its_tests_only(batchly_installed):
    """The registry has the vendors of the distribution beside the package's own."""
    assert {"batchly", "batchly_mute", "batchly_flat"} < {*VENDORS}


def test_nothing_is_left_behind():
    """Other tests know nothing of Batchly."""
    assert not any(name.startswith("batchly") for name in VENDORS)


@every_api
def test_connection_test(sandbox, connect_fake, api):
    """The connection test names the account and its zone; a wrong token fails it."""
    ok, message = connect_fake(api).test_connection()
    assert (ok, "account 4711 (time zone America/New_York)" in message) == (True, True)
    ok, message = connect_fake(api, password="other").test_connection()
    assert (ok, "AUTHENTICATION" in message) == (False, True)


@every_api
def test_update(sandbox, connect_fake, api):
    """One record is written by its own call and read again, with an id of another spelling."""
    hook = connect_fake(api)
    hook.update_opportunity("0070001", {"deal_value": 12.5, "c_active": True, "c_products": ["Core", "Support"]})
    stored = sandbox.account(api).opportunity("70001")["properties"]
    assert (stored["amount"], stored["c_active"], stored["c_products"]) == ("12.50", "true", "Core;Support")
    assert Decimal(hook.get_opportunity("70001")["properties"]["amount"]) == Decimal("12.5")
    hook.update_opportunity("70001", {"deal_value": None})
    assert sandbox.account(api).opportunity("70001")["properties"]["amount"] is None


@pytest.mark.parametrize("api", ["batchly", "batchly_mute"])
def test_win(sandbox, connect_fake, api):
    """A stage brings its pipeline, and the date of the win is that day to people in the portal's zone."""
    hook = connect_fake(api)
    hook.update_opportunity("70001", {"stage": "Renewals/Won", "date_won": "2026-03-08"})
    account = sandbox.account(api)
    properties = account.opportunity("70001")["properties"]
    assert (properties["deal_stage"], properties["pipeline_id"]) == ("renewals_won", "renewals")
    assert account.date_for_people("70001", "close_date") == dt.date(2026, 3, 8)


@every_api
def test_refusals(sandbox, connect_fake, api):
    """A refusal of the vendor is the row's, a key without a scope stops everything, and a silent drop is noticed."""
    hook = connect_fake(api)
    with pytest.raises(RejectedError, match="NOT_FOUND"):
        hook.update_opportunity("9", {"deal_value": 1})
    sandbox.set(ignored_ids={"70002"})
    with pytest.raises(IgnoredError, match="amount"):
        hook.update_opportunity("70002", {"deal_value": 1})
    token = sandbox.account(api).add_key(["records.read"])
    with pytest.raises(AuthenticationError, match=r"records\.write"):
        connect_fake(api, password=token).update_opportunity("70001", {"deal_value": 1})


@every_api
def test_list(sandbox, connect_fake, api):
    """A list of 250 records yields each of them once."""
    for _ in range(245):
        sandbox.account(api).add_opportunity()
    records = list(connect_fake(api).list_opportunities())
    assert len({record["id"] for record in records}) == len(records) == 250


@every_api
def test_read_many(sandbox, connect_fake, api):
    """Many records are read in one call, which names the keys; a missing one is a refusal of its own."""
    session = connect_fake(api).session
    found = session.read_many(["70001", "70002", "9"], ("amount", "c_tier"))
    assert found["70001"]["properties"] == {"amount": "100.00", "c_tier": None}
    assert found["9"].status == 404
    assert sandbox.audit.count() == 1
