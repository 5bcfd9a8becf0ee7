"""Raze: the ways in which its published server differs from its documents."""

from __future__ import annotations

import pytest

from airflow_provider_crm.sandbox.raze.switches import RAZE_SERVER_2025, RAZE_SERVER_2026

ONE = "/opportunities/opp_1"
UUID = "00000000-0000-4000-8000-0000000000ff"


def test_deal_value_is_silently_ignored(raze, sandbox):
    """With other fields, money is dropped under a 200."""
    sandbox.set(raze_ignores_deal_value=True)
    data = raze.put(ONE, {"deal_value": 5, "deal_currency": "USD", "notes": "x"}).json()["data"]
    assert (data["deal_value"], data["deal_currency"], data["notes"]) == (10.0, "BRL", "x")


def test_deal_value_alone_is_400(raze, sandbox):
    """Alone, money is "No fields to update"."""
    sandbox.set(raze_ignores_deal_value=True)
    answer = raze.put(ONE, {"deal_value": 5})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "No fields to update")


def test_money_can_be_a_string(raze, sandbox):
    """Money is shown as text with two decimals."""
    sandbox.set(raze_string_numbers=True)
    assert raze.put(ONE, {"deal_value": 5}).json()["data"]["deal_value"] == "5.00"


def test_times_can_be_postgres_text(raze, sandbox):
    """Times are shown as PostgreSQL writes them, without needless zeros."""
    sandbox.set(raze_postgres_timestamps=True)
    sandbox.raze.add_opportunity("opp_2", created_at="2024-01-25T10:00:00.12Z", won_at="2024-01-25T10:00:00Z")
    data = raze.get("/opportunities/opp_2").json()["data"]
    assert (data["created_at"], data["won_at"]) == ("2024-01-25 10:00:00.12+00", "2024-01-25 10:00:00+00")


def test_money_can_have_other_keys(raze, sandbox):
    """Money is shown as `value` and `currency`."""
    sandbox.set(raze_value_keys=True)
    data = raze.put(ONE, {"deal_value": 5}).json()["data"]
    assert (data["value"], data["currency"], "deal_value" in data) == (5.0, "BRL", False)


def test_id_that_is_no_uuid_can_be_500(raze, sandbox):
    """A malformed id crashes; a well-formed one that isn't there is 404."""
    sandbox.set(raze_uuid_ids=True)
    assert [raze.get(f"/opportunities/{one}").status_code for one in ("opp_1", UUID)] == [500, 404]


def test_new_ids_are_uuids_where_needed(raze, sandbox):
    """A record created under that switch can be read again."""
    sandbox.set(raze_uuid_ids=True)
    assert raze.get(f"/opportunities/{sandbox.raze.add_opportunity()['id']}").status_code == 200


def test_contact_can_be_shared(raze, sandbox):
    """Name, email, phone and company reach the other opportunities of the contact; money doesn't."""
    sandbox.set(raze_shared_contacts=True)
    for one in ("opp_a", "opp_b"):
        sandbox.raze.add_opportunity(one, contact_id="cnt_shared")
    raze.put("/opportunities/opp_a", {"name": "New", "deal_value": 5})
    other = sandbox.raze.opportunity("opp_b")
    assert (other["name"], other["deal_value"], sandbox.raze.opportunity("opp_1")["name"]) == ("New", None, "Jane Roe")


@pytest.mark.parametrize(("preset", "key"), [(RAZE_SERVER_2025, "deal_value"), (RAZE_SERVER_2026, "value")])
def test_presets_act_like_the_server(raze, sandbox, preset, key):
    """A preset sets all differences of one published server."""
    sandbox.set(**preset)
    sandbox.raze.add_opportunity(UUID, deal_value=7)
    data = raze.put(f"/opportunities/{UUID}", {"deal_value": 5, "notes": "x"}).json()["data"]
    assert (data[key], data["notes"]) == ("7.00", "x")
