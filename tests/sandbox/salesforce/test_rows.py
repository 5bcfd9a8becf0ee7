"""Salesforce: one opportunity at a time, its values, and what Salesforce itself changes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_crm.sandbox.salesforce.ids import long_id
from tests.sandbox.salesforce.conftest import DATA, IDS, LONG_IDS, ONE, refusal

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
OBJECT = f"{DATA}/sobjects/Opportunity"


def test_ids_of_both_lengths(salesforce):
    """Fifteen characters, eighteen, and eighteen in lower case lead to one record, which shows eighteen."""
    for text in (IDS[0], LONG_IDS[0], LONG_IDS[0].lower()):
        assert salesforce.get(f"{OBJECT}/{text}").json()["Id"] == LONG_IDS[0]
    assert [long_id(one) for one in (*IDS, "006ak00000OQ4RxBAL", "x")] == [*LONG_IDS, None, None]


def test_a_record(salesforce):
    """It shows all fields, or those that are named, and where it is."""
    record = salesforce.get(ONE).json()
    address = "/services/data/v62.0/sobjects/Opportunity/006ak00000OQ4RxAAL"
    assert record["attributes"] == {"type": "Opportunity", "url": address}
    assert (record["Amount"], record["IsWon"], record["Tier__c"]) == (100, False, None)
    named = salesforce.get(f"{ONE}?fields=Amount,stagename").json()
    assert {name for name in named if name != "attributes"} == {"Amount", "StageName"}
    assert refusal(salesforce.get(f"{ONE}?fields=Nope__c")) == (400, "INVALID_FIELD")


def test_an_update_has_no_echo(salesforce, account, sandbox):
    """A write is a 204 without a body, and moves the modification stamp."""
    sandbox.clock.set(NOW)
    answer = salesforce.patch(ONE, {"Amount": 5000.25, "NextStep": "Call"})
    assert (answer.status_code, answer.content) == (204, b"")
    record = account.opportunity(IDS[0])
    assert (str(record["Amount"]), record["SystemModstamp"]) == ("5000.25", "2026-05-04T12:00:00.000+0000")


@pytest.mark.parametrize(
    ("field", "sent", "stored"),
    [
        ("Amount", 1234.567, "1234.57"),
        ("Amount", "12.5", "12.50"),
        ("Probability", 33, "33"),
        ("Priority_Rank__c", 7, "7"),
        ("Name", " Ärger ", "Ärger"),
        ("Name", "x" * 120, "x" * 120),
        ("CloseDate", "2026-02-28", "2026-02-28"),
        ("Last_Seen__c", "2026-05-01T09:25:37.250+02:00", "2026-05-01T07:25:37.000+0000"),
        ("Is_Active__c", True, "True"),
        ("Is_Active__c", None, "False"),
        ("NextStep", "", "None"),
        ("Type", "Something else", "Something else"),
        ("Tier__c", "tier_1", "tier_1"),
        ("Products__c", "Training;Core;Core", "Core;Training"),
        ("OwnerId", "005ak0000000002", "005ak0000000002AAA"),
    ],
)
def test_values(salesforce, account, field, sent, stored):
    """Numbers are rounded to the scale, texts trimmed, picklists sorted, ids long; null and no text clear."""
    assert salesforce.patch(ONE, {field: sent}).status_code == 204
    assert str(account.opportunity(IDS[0])[field]) == stored


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"Nope__c": 1}, 400, "INVALID_FIELD"),
        ({"IsWon": True}, 400, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"Margin__c": 1}, 400, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"Name": "x" * 121}, 400, "STRING_TOO_LONG"),
        ({"Name": None}, 400, "REQUIRED_FIELD_MISSING"),
        ({"Name": 5}, 400, "JSON_PARSER_ERROR"),
        ({"Amount": "abc"}, 400, "JSON_PARSER_ERROR"),
        ({"Amount": 1e16}, 400, "NUMBER_OUTSIDE_VALID_RANGE"),
        ({"Priority_Rank__c": 1.5}, 400, "JSON_PARSER_ERROR"),
        ({"CloseDate": "2026-02-30"}, 400, "JSON_PARSER_ERROR"),
        ({"CloseDate": None}, 400, "REQUIRED_FIELD_MISSING"),
        ({"Last_Seen__c": "2026-05-01T09:25:37"}, 400, "JSON_PARSER_ERROR"),
        ({"Tier__c": "Gold"}, 400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"Tier__c": "tier_3"}, 400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"Products__c": "Core;Nope"}, 400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"Support_Email__c": "nobody"}, 400, "INVALID_EMAIL_ADDRESS"),
        ({"OwnerId": "005ak0000000009"}, 400, "INVALID_CROSS_REFERENCE_KEY"),
        ({"OwnerId": "001ak0000000001"}, 400, "FIELD_INTEGRITY_EXCEPTION"),
        ({"AccountId": "x"}, 400, "MALFORMED_ID"),
        ({"Discount__c": 61}, 400, "FIELD_CUSTOM_VALIDATION_EXCEPTION"),
        ({"Warehouse_Key__c": "KEY-2"}, 400, "DUPLICATE_VALUE"),
        ({"Id": LONG_IDS[0]}, 400, "INVALID_FIELD"),
    ],
)
def test_refused_values(salesforce, sandbox, fields, status, code):
    """A refused value is an error with its code, and nothing is written."""
    assert refusal(salesforce.patch(ONE, fields)) == (status, code)
    assert sandbox.audit.writes == []


def test_fields_out_of_reach(salesforce, account):
    """A hidden field is absent, as if it did not exist; a read-only one is shown and cannot be written."""
    account.hide_field("Amount")
    account.lock_field("NextStep")
    described = {one["name"]: one for one in salesforce.get(f"{OBJECT}/describe").json()["fields"]}
    assert ("Amount" in described, described["NextStep"]["updateable"]) == (False, False)
    assert refusal(salesforce.patch(ONE, {"Amount": 1})) == (400, "INVALID_FIELD")
    assert refusal(salesforce.patch(ONE, {"NextStep": "x"})) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")
    assert "Amount" not in salesforce.get(ONE).json()


def test_definitions(salesforce, sandbox):
    """Fields have types, sizes and picklists; the currency of a record is there in a multi-currency org only."""
    fields = {one["name"]: one for one in salesforce.get(f"{OBJECT}/describe").json()["fields"]}
    amount = fields["Amount"]
    assert (amount["type"], amount["precision"], amount["scale"], fields["Name"]["length"]) == ("currency", 18, 2, 120)
    assert [one["active"] for one in fields["Tier__c"]["picklistValues"]] == [True, True, False]
    assert (fields["Tier__c"]["restrictedPicklist"], fields["Type"]["restrictedPicklist"]) == (True, False)
    assert (fields["OwnerId"]["referenceTo"], "CurrencyIsoCode" in fields) == (["User"], True)
    sandbox.set(salesforce_multi_currency=False)
    names = [one["name"] for one in salesforce.get(f"{OBJECT}/describe").json()["fields"]]
    assert "CurrencyIsoCode" not in names


def test_amount_with_products(salesforce, account, sandbox):
    """Products hold the amount: a write of it succeeds, and changes nothing else than what it may."""
    record_id = account.add_opportunity(Amount=7, HasOpportunityLineItem=True)["Id"]
    assert salesforce.patch(f"{OBJECT}/{record_id}", {"Amount": 9, "NextStep": "Call"}).status_code == 204
    record = account.opportunity(record_id)
    assert (record["Amount"], record["NextStep"]) == (7, "Call")
    sandbox.set(salesforce_keeps_amount=False)
    salesforce.patch(f"{OBJECT}/{record_id}", {"Amount": 9})
    assert account.opportunity(record_id)["Amount"] == 9


@pytest.mark.parametrize(
    ("rule", "before", "sent", "after"),
    [
        ("future", "2026-06-30", {}, "2026-05-04"),
        ("future", "2026-06-30", {"CloseDate": "2026-06-30"}, "2026-05-04"),
        ("future", "2026-06-30", {"CloseDate": "2026-07-31"}, "2026-07-31"),
        ("future", "2026-04-30", {}, "2026-04-30"),
        ("always", "2026-04-30", {"CloseDate": "2026-04-29"}, "2026-05-04"),
        ("never", "2026-06-30", {}, "2026-06-30"),
    ],
)
def test_the_close_date_of_a_win(salesforce, account, sandbox, rule, before, sent, after):  # noqa: PLR0917
    """A win moves a future close date to today in UTC, unless the write changes the date."""
    sandbox.clock.set(NOW)
    sandbox.set(salesforce_close_date=rule)
    record_id = account.add_opportunity(CloseDate=before)["Id"]
    salesforce.patch(f"{OBJECT}/{record_id}", {"StageName": "Closed Won", **sent})
    assert account.opportunity(record_id)["CloseDate"] == after


def test_a_stage_sets_what_follows(salesforce, account):
    """A change of the stage sets probability and forecast, unless they are given."""
    salesforce.patch(ONE, {"StageName": "Closed Won"})
    record = account.opportunity(IDS[0])
    assert [record[one] for one in ("Probability", "ForecastCategoryName", "IsClosed", "IsWon")] == [
        100, "Closed", True, True,
    ]  # fmt: skip
    salesforce.patch(ONE, {"StageName": "Proposal", "Probability": 33})
    assert account.opportunity(IDS[0])["Probability"] == 33


@pytest.mark.parametrize("restricted", [False, True])
def test_stages_may_be_restricted(salesforce, account, sandbox, restricted):
    """An unknown stage is stored in silence, or refused where the picklist is restricted."""
    sandbox.set(salesforce_restricted_stages=restricted)
    assert salesforce.patch(ONE, {"StageName": "Wonn"}).status_code == (400 if restricted else 204)
    assert account.opportunity(IDS[0])["StageName"] == ("Prospecting" if restricted else "Wonn")


def test_flows(salesforce, account):
    """A flow sets a field when a write sets another one."""
    account.flows["StageName"] = {"Tier__c": "tier_2"}
    salesforce.patch(ONE, {"StageName": "Proposal", "Tier__c": "tier_1"})
    assert account.opportunity(IDS[0])["Tier__c"] == "tier_2"


def test_create_and_delete(salesforce, account):
    """A record is created with what it requires; a deleted one is gone for reads, and for writes."""
    assert refusal(salesforce.post(OBJECT, {"Name": "New"})) == (400, "REQUIRED_FIELD_MISSING")
    made = salesforce.post(OBJECT, {"Name": "New", "StageName": "Proposal", "CloseDate": "2026-09-30"})
    record_id = made.json()["id"]
    assert (made.status_code, account.opportunity(record_id)["Name"]) == (201, "New")
    address = f"{OBJECT}/{record_id}"
    assert salesforce("DELETE", address).status_code == 204
    assert refusal(salesforce.get(address)) == (404, "NOT_FOUND")
    assert refusal(salesforce.patch(address, {"Name": "x"})) == (404, "ENTITY_IS_DELETED")
    assert salesforce("DELETE", address).json() == [
        {"message": "entity is deleted", "errorCode": "ENTITY_IS_DELETED", "fields": []}
    ]


def test_upsert(salesforce, account):
    """A value of a field of external ids finds its record, makes one, or names several; updateOnly makes none."""
    found = salesforce.patch(f"{OBJECT}/Warehouse_Key__c/key-2", {"Amount": 9})
    assert (found.status_code, found.json()["id"], found.json()["created"]) == (200, LONG_IDS[1], False)
    row = {"Name": "New", "StageName": "Proposal", "CloseDate": "2026-09-30"}
    assert salesforce.patch(f"{OBJECT}/Warehouse_Key__c/key-9?updateOnly=true", row).status_code == 404
    assert salesforce.patch(f"{OBJECT}/Warehouse_Key__c/key-9", row).status_code == 201
    account.add_opportunity(Warehouse_Key__c="key-2")
    several = salesforce.patch(f"{OBJECT}/Warehouse_Key__c/key-2", {"Amount": 9})
    assert (several.status_code, len(several.json())) == (300, 2)
    assert refusal(salesforce.patch(f"{OBJECT}/Name/x", {"Amount": 9})) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "path", ["/services/data/v62.0/nope", "/services/data/62/limits", f"{OBJECT}/a/b/c", "/services/x"]
)
def test_other_addresses(salesforce, path):
    """There is nothing at other addresses."""
    assert refusal(salesforce.get(path)) == (404, "NOT_FOUND")
