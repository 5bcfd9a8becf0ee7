"""Keys of the warehouse: how they are cut into calls, compared, listed, and looked for in an index that lags behind."""

from __future__ import annotations

import contextlib
import json
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.exceptions import TransientError
from airflow_provider_crm.hooks.connection import crm_account
from airflow_provider_crm.hooks.sessions import Session
from airflow_provider_crm.push.record_keys import RecordFinder, _parts
from airflow_provider_crm.values.record_keys import TemporaryKeyTable, key_text
from airflow_provider_crm.vendors.calls import Call, RecordLookup, RecordPage
from airflow_provider_crm.vendors.hubspot import paths


@pytest.fixture
def session_with(crm_sandbox, monkeypatch):
    """Open a session with a vendor's sandbox; waiting moves the sandbox's clock, and nothing else."""
    clock = crm_sandbox.clock
    clock.set(clock.now())

    def sleep(seconds):
        clock.advance(math.ceil(seconds * 1e6) / 1e6)

    own = Clock(monotonic=lambda: clock.now().timestamp(), now=clock.now, sleep=sleep, jitter=lambda: 0.0)
    with contextlib.ExitStack() as stack:

        def session_with(vendor):
            monkeypatch.setenv("AIRFLOW_CONN_CRM", crm_sandbox.connection_uris(timezone="UTC")[f"{vendor}_default"])
            return stack.enter_context(Session(crm_account("crm", None), clock=own))

        yield session_with


@pytest.fixture
def session(session_with):
    """A session with HubSpot's sandbox."""
    return session_with("hubspot")


def finder(session, name):
    """Return what finds deals by a property."""
    catalogue = session.catalogue((name,))
    return RecordFinder(session, catalogue, catalogue.fields[name], 8)


def searches(sandbox):
    """Return the searched values, call by call."""
    calls = [call for call in sandbox.audit.calls if call.path.endswith("/search")]
    return [call.body["filterGroups"][0]["filters"][0]["values"] for call in calls]


def test_a_key_that_the_index_does_not_have_yet(crm_sandbox, session):
    """It is looked for once more, with the other missing ones and no others, when the lag has passed."""
    crm_sandbox.set(hubspot_search_lag=8.0)
    old = crm_sandbox.hubspot.add_opportunity(dealname="old")["id"]
    crm_sandbox.clock.advance(60)
    new = crm_sandbox.hubspot.add_opportunity(dealname="other")["id"]
    session.fetch(Call("PATCH", paths.DEAL.format(new), body='{"properties": {"dealname": "new"}}'))
    began = crm_sandbox.clock.now()
    by_name = finder(session, "dealname")
    assert by_name.find(["old", "new", "never"]) == {"old": [old], "new": [new], "never": []}
    assert searches(crm_sandbox) == [["old", "new", "never"], ["new", "never"]]
    assert (crm_sandbox.clock.now() - began).total_seconds() == pytest.approx(10, abs=1)
    assert by_name.find(["neither"]) == {"neither": []}
    assert len(searches(crm_sandbox)) == 3  # what the index lacked at the beginning, it has by now


def test_pages_of_a_search_are_read_to_the_end(crm_sandbox, session):
    """A name that more deals have than a page shows is found with all of them."""
    ids = {crm_sandbox.hubspot.add_opportunity(dealname="Acme")["id"] for _ in range(450)}
    assert set(finder(session, "dealname").find(["Acme"])["Acme"]) == ids


def test_a_search_that_does_not_end_is_an_error(session):
    """A page that leads to itself ends the lookup instead of repeating it for ever."""
    by_name = finder(session, "dealname")
    by_name._lookup = RecordLookup(1, lambda *_: Call("GET", paths.OWNERS), lambda _: RecordPage([], "7"))
    with pytest.raises(TransientError, match="does not end: page 2"):
        by_name.find(["x"])


@pytest.mark.parametrize("body", [{}, [], None, {"status": "ok"}, {"results": {}, "records": {}}])
@pytest.mark.parametrize(
    ("vendor", "name"),
    [
        ("hubspot", "warehouse_deal_key"),
        ("hubspot", "dealname"),
        ("crm_salesforce", "Warehouse_Key__c"),
        ("close", "custom.cf_health"),
        ("raze", "company"),
    ],
)
def test_an_answer_of_another_program_is_no_verdict(session_with, monkeypatch, vendor, name, body):
    """Whatever a proxy answers in JSON, no key counts as missing for it."""
    made = session_with(vendor)
    by_name = finder(made, name)
    monkeypatch.setattr(made, "fetch", lambda _: body)
    with pytest.raises(TransientError):
        by_name.find(["D-1"])


@pytest.mark.parametrize("vendor", ["close", "raze"])
def test_a_list_that_breaks_off_is_no_verdict(crm_sandbox, session_with, monkeypatch, vendor):
    """A page that is none of the list ends the lookup: the keys of the records behind it are not missing."""
    for number in range(350):
        getattr(crm_sandbox, vendor).add_opportunity(**{"note" if vendor == "close" else "notes": f"D-{number}"})
    made, pages = session_with(vendor), []
    by_note, fetch = finder(made, "notes"), made.fetch
    monkeypatch.setattr(made, "fetch", lambda call: {} if len(pages) == 2 else (pages.append(call), fetch(call))[1])
    with pytest.raises(TransientError, match="broke off: the answer for page 3"):
        by_note.find(["D-340"])


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), max_size=30), st.integers(1, 5))
def test_parts_have_all_values_in_order(values, largest):
    """No part has too many values, nor too long an address unless one value alone is too long."""
    lookup = RecordLookup(largest, lambda *_: Call("GET", "/"), lambda _: RecordPage([], None), largest_encoded=60)
    parts = list(_parts(values, lookup))
    assert [one for part in parts for one in part] == values
    assert all(1 <= len(part) <= largest for part in parts)
    assert all(len(part) == 1 or sum(map(len, part)) <= 60 for part in parts)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (" D-1 ", "D-1"),
        (7, "7"),
        (7.0, "7"),
        (Decimal("7.50"), "7.5"),
        (Decimal("1E+3"), "1000"),
        (12345678901234567890, "12345678901234567890"),
        ("007", "007"),
        ("", None),
        (None, None),
        (True, None),
        (float("nan"), None),
        (["D-1"], None),
    ],
)
def test_keys_as_text(value, text):
    """A number has one spelling, a text its own; what is neither is no key."""
    assert key_text(value) == text


def test_a_key_may_have_several_records():
    """The table keeps each pair once."""
    table = TemporaryKeyTable()
    table.add([("a", "1"), ("a", "2"), ("b", "3"), ("a", "1")])
    assert table.find(["a", "b", "c", json.dumps("a")]) == [("a", "1"), ("a", "2"), ("b", "3")]
    table.close()
