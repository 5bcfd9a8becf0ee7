"""HubSpot: the account, its properties, pipelines and owners, and how they drift."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_crm.sandbox.hubspot.owners import DealOwner
from airflow_provider_crm.sandbox.hubspot.properties import DealOption, DealProperty

PROPERTIES = "/crm/properties/2026-03/deals"


def listed(hubspot, path=PROPERTIES):
    """Return the results of a call by name or id."""
    return {one.get("name", one.get("id")): one for one in hubspot.get(path).json()["results"]}


@pytest.mark.parametrize(("month", "offset"), [(1, "-05:00"), (7, "-04:00")])
def test_the_account(hubspot, sandbox, month, offset):
    """It has an id, a zone with its offset at the moment, and currencies."""
    sandbox.clock.set(datetime(2026, month, 1, tzinfo=UTC))
    for version in ("v3", "2026-03", "2026-09"):
        assert hubspot.get(f"/account-info/{version}/details").json() == {
            "portalId": 12345678,
            "accountType": "STANDARD",
            "timeZone": "US/Eastern",
            "companyCurrency": "USD",
            "additionalCurrencies": ["EUR", "BRL"],
            "utcOffset": offset,
            "utcOffsetMilliseconds": int(offset[:3]) * 3_600_000,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "na1",
        }


def test_a_zone_of_half_an_hour(hubspot, account):
    """Offsets may have minutes."""
    account.time_zone = "Asia/Kolkata"
    assert hubspot.get("/account-info/v3/details").json()["utcOffset"] == "+05:30"


@pytest.mark.parametrize("path", [PROPERTIES, "/crm/v3/properties/deals", "/crm/v3/properties/0-3"])
def test_properties(hubspot, path):
    """Every type is there; what cannot be written says so; archived ones are left out."""
    found = listed(hubspot, path)
    assert {one["type"] for one in found.values()} == {
        *("string", "number", "date", "datetime", "enumeration", "bool", "phone_number", "json", "object_coordinates")
    }
    fixed = {name for name, one in found.items() if one["modificationMetadata"]["readOnlyValue"]}
    assert {name for name, one in found.items() if one["calculated"]} < fixed
    assert {"hs_object_id", "createdate", "hs_is_closed", "deal_rank"} < fixed
    assert "amount" not in fixed
    assert [name for name, one in found.items() if one["hasUniqueValue"]] == ["warehouse_deal_key"]
    assert {name for name, one in found.items() if one["externalOptions"]} == {
        *("dealstage", "hubspot_owner_id", "pipeline")
    }
    assert "legacy_code" not in found
    assert list(listed(hubspot, f"{path}?archived=true")) == ["legacy_code"]


def test_options(hubspot):
    """Options have labels beside their values; a checkbox takes several."""
    found = listed(hubspot)
    tiers = [(one["value"], one["label"], one["hidden"]) for one in found["customer_tier"]["options"]]
    assert tiers[0] == ("tier_1", "Gold", False)
    assert tiers[3] == ("tier_0", "Trial", True)
    assert (found["customer_tier"]["fieldType"], found["products"]["fieldType"]) == ("select", "checkbox")


def test_one_property(hubspot):
    """One property can be read by its name."""
    assert hubspot.get(f"{PROPERTIES}/amount").json()["label"] == "Amount"
    assert hubspot.get(f"{PROPERTIES}/nope").status_code == 404


@pytest.mark.parametrize("path", ["/crm/v3/pipelines/deals", "/crm/pipelines/2026-03/deals", "/crm/v3/pipelines/0-3"])
def test_pipelines(hubspot, path):
    """Their stages say by texts whether they are closed, and how likely a win is."""
    found = listed(hubspot, path)
    stages = {
        stage["id"]: (stage["label"], stage["metadata"]["isClosed"], stage["metadata"]["probability"])
        for one in found.values()
        for stage in one["stages"]
    }
    assert list(found) == ["default", "871204"]
    assert stages["closedwon"] == stages["1303"] == ("Closed Won", "true", "1.0")
    assert stages["closedlost"] == ("Closed Lost", "true", "0.0")
    assert stages["appointmentscheduled"] == ("Appointment Scheduled", "false", "0.2")
    assert hubspot.get(f"{path}/871204").json() == found["871204"] | {"displayOrder": 0}
    assert hubspot.get(f"{path}/x").status_code == 404


def test_owners_in_pages(hubspot, account):
    """Owners come in pages; those who have left only to those who ask."""
    account.owners["504"] = DealOwner(id="504", email="joan@sandbox.example", first_name="Joan", last_name="Clarke")
    first = hubspot.get("/crm/v3/owners/?limit=2").json()
    second = hubspot.get(f"/crm/owners/2026-03?limit=2&after={first['paging']['next']['after']}").json()
    assert [one["id"] for one in first["results"] + second["results"]] == ["501", "502", "504"]
    assert "paging" not in second
    assert list(listed(hubspot, "/crm/v3/owners?archived=true")) == ["503"]
    assert list(listed(hubspot, "/crm/v3/owners?email=grace@sandbox.example")) == ["502"]
    assert [hubspot.get(f"/crm/v3/owners/{one}").status_code for one in ("501", "503", "9")] == [200, 404, 404]


def test_an_account_of_one_currency(hubspot, account):
    """It has no property for the currency, and takes none."""
    assert [one["value"] for one in listed(hubspot)["deal_currency_code"]["options"]] == ["USD", "EUR", "BRL"]
    account.additional_currencies = ()
    assert "deal_currency_code" not in listed(hubspot)
    refused = hubspot.patch("/crm/v3/objects/deals/1001", {"properties": {"deal_currency_code": "USD"}})
    assert refused.json()["errors"][0]["code"] == "PROPERTY_DOESNT_EXIST"
    assert "deal_currency_code" not in account.opportunity("1001")["properties"]


def test_definitions_drift(hubspot, account):
    """Python adds, changes, archives and deletes properties while the server runs."""
    account.add_property(DealProperty(name="region", label="Region", type="enumeration"))
    account.change_property("region", label="Area", options=(DealOption(value="north", label="North"),))
    one = "/crm/v3/objects/deals/1001"
    assert listed(hubspot)["region"]["label"] == "Area"
    assert hubspot.patch(one, {"properties": {"region": "north"}}).status_code == 200
    account.change_property("region", archived=True)
    assert ("region" in listed(hubspot), "region" in account.opportunity("1001")["properties"]) == (False, False)
    assert hubspot.patch(one, {"properties": {"region": "north"}}).status_code == 400
    account.change_property("region", archived=False)
    assert account.opportunity("1001")["properties"]["region"] == "north"
    account.remove_property("region")
    assert hubspot.patch(one, {"properties": {"region": "north"}}).status_code == 400
