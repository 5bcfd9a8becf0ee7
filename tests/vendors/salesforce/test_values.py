"""Claims about values for Salesforce, checked before anything is sent."""

from __future__ import annotations

from decimal import Decimal

import pytest

from airflow_provider_crm.exceptions import ConfigurationError, InvalidValueError
from airflow_provider_crm.push.rules import check_fields
from airflow_provider_crm.vendors.salesforce.ids import canonical_id, is_id


def sent(opportunities, name, raw):
    """Return what is written for a raw value of a field."""
    catalogue, vendor = opportunities.session.catalogue((name,)), opportunities.session.account.vendor
    field = catalogue.fields[name]
    return vendor.to_vendor_values(field, [raw], catalogue).get(field.target)


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        ("stage", "Proposal", "Proposal"),
        ("stage", "Proposal/Price Quote", "Proposal"),
        ("Tier__c", "Gold", "tier_1"),
        ("Tier__c", "tier_2", "tier_2"),
        ("Products__c", ("Core", "Core", "Support"), ("Core", "Support")),
        ("Health_Score__c", Decimal("7.555"), Decimal("7.56")),
        ("Health_Score__c", Decimal("-0.001"), Decimal(0)),
        ("Seats__c", Decimal("12.5"), Decimal(13)),
        ("deal_value", Decimal("1234.56"), Decimal("1234.56")),
        ("OwnerId", "005ak0000000002", "005ak0000000002AAA"),
        ("AccountId", "001AK0000000002AAA", "001ak0000000002AAA"),
        ("Name", "x" * 120, "x" * 120),
    ],
)
def test_values(opportunities, name, raw, expected):
    """Stages by label or API name, options by value or label, numbers of the field's scale, long ids."""
    assert sent(opportunities, name, raw) == [expected]


@pytest.mark.parametrize(
    ("name", "raw", "code", "text"),
    [
        ("stage", "Wonn", "STAGE", "it has Prospecting, Qualification, Proposal, Closed Won, Closed Lost"),
        ("stage", "Old Negotiation", "STAGE", "no active stage"),
        ("Tier__c", "Bronze", "CHOICE", "write one of tier_1 (Gold), tier_2 (Silver)"),
        ("Region__c", "West", "CHOICE", "write one of North, South"),
        ("Products__c", ("Core", "Nope"), "CHOICE", "write one of Core, Support, Training"),
        ("Name", "x" * 121, "TOO_LONG", "takes 120 characters, the row has 121"),
        ("Cost__c", Decimal(10) ** 10, "TOO_LARGE", "takes 10 digits"),
        ("OwnerId", "ada@sandbox.example", "ID", "takes an id of Salesforce"),
        ("AccountId", "001ak0000000002AAB", "ID", "takes an id of Salesforce"),
        ("deal_currency", "GBP", "CURRENCY", "has USD, EUR, JPY"),
    ],
)
def test_refused_values(opportunities, name, raw, code, text):
    """What the org does not take is refused with what to write instead, and costs no call."""
    with pytest.raises(InvalidValueError) as refused:
        sent(opportunities, name, raw)
    assert (refused.value.code, text in str(refused.value)) == (code, True)


def test_money_is_rounded_once(opportunities):
    """An amount with more places than its field is refused instead of being rounded a second time."""
    field = opportunities.org.fields["Cost__c"]
    opportunities.org.fields["Cost__c"] = type(field)(**{**vars(field), "scale": 0})
    with pytest.raises(InvalidValueError, match="takes 0 decimal places"):
        sent(opportunities, "Cost__c", Decimal("9.99"))


def test_free_picklists_take_other_values_if_allowed_by_name(connect):
    """The connection names them; a restricted one takes only what it lists, named or not."""
    session = connect("crm_salesforce", extra={"free_picklists": "Region__c, Tier__c"}).session
    catalogue, vendor = session.catalogue(("Region__c", "Tier__c")), session.account.vendor
    assert vendor.to_vendor_values(catalogue.fields["Region__c"], ["West"], catalogue) == {"Region__c": ["West"]}
    with pytest.raises(InvalidValueError):
        vendor.to_vendor_values(catalogue.fields["Tier__c"], ["West"], catalogue)


@pytest.mark.parametrize("values", ["label", "api_name"])
@pytest.mark.parametrize("name", ["Proposal", "Proposal/Price Quote"])
def test_stages_hold_labels_or_api_names(opportunities, values, name):
    """The picklist says which of the two is written; a row may name either."""
    opportunities.sandbox.set(salesforce_stage_values=values, salesforce_restricted_stages=True)
    (record_id,) = opportunities.add()
    assert opportunities.words([(record_id, {"stage": name})]) == ["updated"]
    expected = "Proposal" if values == "label" else "Proposal/Price Quote"
    assert opportunities.org.opportunity(record_id)["StageName"] == expected


@pytest.mark.parametrize(("shown", "code", "fits"), [(True, "USD", True), (True, "EUR", False), (False, "USD", False)])
def test_an_org_of_one_currency(opportunities, shown, code, fits):
    """The currency is only compared with the corporate one, and refused if the org does not show that."""
    opportunities.sandbox.set(salesforce_multi_currency=False, salesforce_shows_currency=shown)
    if fits:
        assert sent(opportunities, "deal_currency", code) is None
    else:
        with pytest.raises(InvalidValueError, match="has USD" if shown else "does not show its currency"):
            sent(opportunities, "deal_currency", code)


@pytest.mark.parametrize(
    ("name", "text"), [("Margin__c", "is a formula or a roll-up"), ("IsWon", "is read-only to the running user")]
)
def test_fields_that_cannot_be_written(opportunities, name, text):
    """They are an error before the first row, which says why."""
    catalogue = opportunities.session.catalogue((name,))
    with pytest.raises(ConfigurationError, match=text):
        check_fields({"column": name}, opportunities.session.account.vendor, catalogue)


def test_ids():
    """The last three characters say the case of the others; an id that contradicts them is none."""
    assert canonical_id("006ak00000OQ4Rx") == "006ak00000OQ4RxAAL" == canonical_id("006AK00000OQ4RXAAL")
    assert [is_id(one) for one in ("006ak00000OQ4Rx", "006ak00000oq4rxaal", "006ak00000OQ4RxBAL", "x", "")] == [
        True, True, False, False, False,
    ]  # fmt: skip
