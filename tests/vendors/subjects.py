"""The package's own vendors, described to `VendorContract`: how each field is stored, by the vendor's documents."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

from airflow_provider_crm.hooks.close import CloseHook
from airflow_provider_crm.hooks.hubspot import HubSpotHook
from airflow_provider_crm.hooks.raze import RazeHook
from airflow_provider_crm.hooks.salesforce import CrmSalesforceHook
from airflow_provider_crm.sandbox.close.api import CLOSE as CLOSE_API
from airflow_provider_crm.sandbox.hubspot.api import HUBSPOT as HUBSPOT_API
from airflow_provider_crm.sandbox.raze.api import RAZE as RAZE_API
from airflow_provider_crm.sandbox.salesforce.api import SALESFORCE as SALESFORCE_API
from airflow_provider_crm.testing import BatchSwitches, Example, Subject
from airflow_provider_crm.vendors import VENDORS

ZONE = "America/New_York"


def close_won_on(account, record_id):
    """Return `date_won`, which is a day to everybody."""
    day = account.opportunity(record_id)["date_won"]
    return None if day is None else dt.date.fromisoformat(day)


def raze_won_on(account, record_id):
    """Return the day of `won_at`, an instant, in the zone of the people."""
    moment = account.opportunity(record_id)["won_at"]
    return None if moment is None else dt.datetime.fromisoformat(moment).astimezone(ZoneInfo(ZONE)).date()


CLOSE = Subject(
    vendor=VENDORS["close"],
    hook=CloseHook,
    sandbox_api=CLOSE_API,
    values={
        "deal_value": Example("1234.56", {"value": 123_456}),
        "deal_currency": Example("USD", {"value_currency": "USD"}),
        "stage": Example("Sales/Proposal", {"status_id": "stat_sales_proposal", "status_label": "Proposal"}),
        "notes": Example("new", {"note": "new"}),
        "responsible_user_id": Example("user_grace", {"user_id": "user_grace", "user_name": "Grace Hopper"}),
        "date_won": Example("2026-03-01", {"date_won": "2026-03-01"}),
        "value": Example(7_700, {"value": 7_700, "value_formatted": "$77"}),
        "value_period": Example("annual", {"value_period": "annual"}),
        "status_id": Example("stat_renewals_lost", {"status_id": "stat_renewals_lost"}),
        "note": Example("newer", {"note": "newer"}),
        "user_id": Example("user_grace", {"user_id": "user_grace"}),
        "confidence": Example(77, {"confidence": 77}),
        "contact_id": Example("cont_2", {"contact_id": "cont_2"}),
        "custom.cf_health": Example("green", {"custom.cf_health": "green"}),
        "custom.cf_score": Example("7.5", {"custom.cf_score": Decimal("7.5")}),
        "custom.cf_products": Example(["Core"], {"custom.cf_products": ["Core"]}),
        "custom.cf_products.add": Example("Core", {"custom.cf_products": ["Support", "Core"]}),
        "custom.cf_products.remove": Example("Support", {"custom.cf_products": []}),
        "custom.cf_renewal_date": Example("2026-03-01", {"custom.cf_renewal_date": "2026-03-01"}),
        "custom.cf_last_seen": Example(
            "2026-03-01T12:00:00-05:00", {"custom.cf_last_seen": "2026-03-01T17:00:00.000000+00:00"}
        ),
        "custom.cf_tier": Example("Gold", {"custom.cf_tier": "Gold"}),
        "custom.cf_owner": Example("user_grace", {"custom.cf_owner": "user_grace"}),
        "custom.cf_restricted": Example("new", {"custom.cf_restricted": "new"}),
        "custom.cf_region": Example("north", {"custom.cf_region": "north"}),
    },
    record={
        "value": 100,
        "note": "old",
        "contact_id": "cont_1",
        "custom.cf_health": "red",
        "custom.cf_score": 1,
        "custom.cf_products": ["Support"],
        "custom.cf_renewal_date": "2026-01-01",
        "custom.cf_last_seen": "2026-01-01T00:00:00.000000+00:00",
        "custom.cf_tier": "Silver",
        "custom.cf_owner": "user_ada",
        "custom.cf_restricted": "old",
        "custom.cf_region": "south",
    },
    refused={"custom.cf_tier": "Platinum"},
    stages={"won": "Sales/Won", "lost": "Sales/Lost", "active": "Sales/Proposal"},
    won_on=close_won_on,
    timezone=ZONE,
    limit_switches=("close_limit", "close_window"),
)
RAZE = Subject(
    vendor=VENDORS["raze"],
    hook=RazeHook,
    sandbox_api=RAZE_API,
    values={
        "deal_value": Example("1234.56", {"deal_value": Decimal("1234.56")}),
        "deal_currency": Example("EUR", {"deal_currency": "EUR"}),
        "stage": Example("Proposal", {"status": "proposal"}),
        "notes": Example("new", {"notes": "new"}),
        "responsible_user_id": Example("usr_2", {"responsible_user_id": "usr_2"}, is_echoed=False),
        "name": Example("Jane Roe", {"name": "Jane Roe"}, is_personal=True),
        "email": Example("jane@example.com", {"email": "jane@example.com"}, is_personal=True),
        "phone": Example("+1 212 555 0100", {"phone": "+1 212 555 0100"}, is_echoed=False, is_personal=True),
        "company": Example("Acme", {"company": "Acme"}),
        "position": Example("CEO", {"position": "CEO"}, is_echoed=False),
        "status": Example("lost", {"status": "lost"}),
    },
    record={
        "deal_value": "10.00",
        "deal_currency": "USD",
        "notes": "old",
        "responsible_user_id": "usr_1",
        "name": "John Doe",
        "email": "john@example.com",
        "phone": "+1 212 555 0199",
        "company": "Old Corp",
        "position": "CTO",
    },
    refused={"email": "nobody"},
    stages={"won": "won", "lost": "lost", "active": "proposal"},
    won_on=raze_won_on,
    timezone=ZONE,
    limit_switches=("raze_limit", "raze_window"),
    spellings=("3f2b8c1e-0000-4000-8000-000000000001", "3F2B8C1E-0000-4000-8000-000000000001"),
)


def hubspot_shown(**properties):
    """Return the properties that a deal holds."""
    return {"properties": properties}


def hubspot_won_on(account, record_id):
    """Return the day of `closedate`, an instant, in the zone of the portal."""
    moment = account.opportunity(record_id)["properties"].get("closedate")
    return dt.datetime.fromisoformat(moment).astimezone(ZoneInfo(account.time_zone)).date() if moment else None


HUBSPOT = Subject(
    vendor=VENDORS["hubspot"],
    hook=HubSpotHook,
    sandbox_api=HUBSPOT_API,
    values={
        "deal_value": Example("1234.56", hubspot_shown(amount="1234.56")),
        "deal_currency": Example("EUR", hubspot_shown(deal_currency_code="EUR")),
        "stage": Example("Renewals/Closed Lost", hubspot_shown(dealstage="1304", pipeline="871204")),
        "date_won": Example("2026-03-01", hubspot_shown(closedate="2026-03-01T17:00:00Z")),
        "notes": Example("new", hubspot_shown(description="new")),
        "responsible_user_id": Example("Grace@sandbox.example", hubspot_shown(hubspot_owner_id="502")),
        "amount": Example("77.50", hubspot_shown(amount="77.50")),
        "dealstage": Example("contractsent", hubspot_shown(dealstage="contractsent")),
        "closedate": Example("2026-03-01T22:00:00-05:00", hubspot_shown(closedate="2026-03-02T03:00:00Z")),
        "description": Example("newer", hubspot_shown(description="newer")),
        "hubspot_owner_id": Example("502", hubspot_shown(hubspot_owner_id="502")),
        "deal_currency_code": Example("BRL", hubspot_shown(deal_currency_code="BRL")),
        "dealname": Example("Jane", hubspot_shown(dealname="Jane")),
        "dealtype": Example("Existing Business", hubspot_shown(dealtype="existingbusiness")),
        "hs_priority": Example("high", hubspot_shown(hs_priority="high")),
        "hs_next_step": Example("Call", hubspot_shown(hs_next_step="Call")),
        "warehouse_deal_key": Example("new key", hubspot_shown(warehouse_deal_key="new key"), is_unique=True),
        "health_score": Example("7.5", hubspot_shown(health_score="7.5")),
        "renewal_date": Example("2026-03-01", hubspot_shown(renewal_date="2026-03-01")),
        "last_seen_at": Example("2026-03-01T12:00:00.25-05:00", hubspot_shown(last_seen_at="2026-03-01T17:00:00.250Z")),
        "is_active": Example("yes", hubspot_shown(is_active="true")),
        "is_renewal": Example("yes", hubspot_shown(is_renewal="true")),
        "customer_tier": Example("Gold", hubspot_shown(customer_tier="tier_1")),
        "products": Example(["Core", "support"], hubspot_shown(products="core;support")),
        "segment": Example("north", hubspot_shown(segment="north")),
        "support_phone": Example("+1 212 555 0100", hubspot_shown(support_phone="+1 212 555 0100"), is_personal=True),
        "score_details": Example('{"a": 1}', hubspot_shown(score_details='{"a": 1}')),
    },
    record={
        "amount": "100.5", "deal_currency_code": "USD", "description": "old", "hubspot_owner_id": "501",
        "dealtype": "newbusiness", "hs_priority": "low", "hs_next_step": "Wait", "health_score": "1",
        "closedate": "2026-01-01T00:00:00Z", "renewal_date": "2026-01-01", "last_seen_at": "2026-01-01T00:00:00Z",
        "is_active": "false", "is_renewal": "false", "customer_tier": "tier_2", "products": "training",
        "segment": "south", "warehouse_deal_key": "old key",
        "support_phone": "+1 212 555 0199", "score_details": "{}",
    },
    refused={"notes": "x" * 70_000},
    stages={"won": "Sales Pipeline/Closed Won", "lost": "closedlost", "active": "Contract Sent"},
    won_on=hubspot_won_on,
    timezone=ZONE,
    limit_switches=("hubspot_limit", "hubspot_window"),
    batch_switches=BatchSwitches(
        poisoned="hubspot_poisoned_ids", left_out="hubspot_left_out_ids", shuffled="hubspot_shuffled"
    ),
    spellings=("80001", "0080001", "00080001"),
)  # fmt: skip


def salesforce_won_on(account, record_id):
    """Return `CloseDate`, which is a day to everybody."""
    return dt.date.fromisoformat(account.opportunity(record_id)["CloseDate"])


_NEW_OWNER = "005ak0000000002AAA"

SALESFORCE = Subject(
    vendor=VENDORS["crm_salesforce"],
    hook=CrmSalesforceHook,
    sandbox_api=SALESFORCE_API,
    values={
        "deal_value": Example("1234.56", {"Amount": Decimal("1234.56")}),
        "deal_currency": Example("EUR", {"CurrencyIsoCode": "EUR"}),
        "CurrencyIsoCode": Example("EUR", {"CurrencyIsoCode": "EUR"}),
        "stage": Example("Proposal/Price Quote", {"StageName": "Proposal"}),
        "date_won": Example("2026-03-01", {"CloseDate": "2026-03-01"}),
        "notes": Example("new", {"Description": "new"}),
        "responsible_user_id": Example("005ak0000000002", {"OwnerId": _NEW_OWNER}),
        "Amount": Example("77.50", {"Amount": Decimal("77.50")}),
        "StageName": Example("Closed Lost", {"StageName": "Closed Lost"}),
        "CloseDate": Example("2026-03-02", {"CloseDate": "2026-03-02"}),
        "Description": Example("newer", {"Description": "newer"}),
        "OwnerId": Example(_NEW_OWNER, {"OwnerId": _NEW_OWNER}),
        "AccountId": Example("001ak0000000002", {"AccountId": "001ak0000000002AAA"}),
        "CampaignId": Example("701ak0000000002AAA", {"CampaignId": "701ak0000000002AAA"}),
        "Name": Example("Jane", {"Name": "Jane"}),
        "Probability": Example(33, {"Probability": 33}),
        "Type": Example("New Customer", {"Type": "New Customer"}),
        "NextStep": Example("Call", {"NextStep": "Call"}),
        "LeadSource": Example("Web", {"LeadSource": "Web"}),
        "ForecastCategoryName": Example("Commit", {"ForecastCategoryName": "Commit"}),
        "Warehouse_Key__c": Example("new key", {"Warehouse_Key__c": "new key"}, is_unique=True),
        "Health_Score__c": Example("7.555", {"Health_Score__c": Decimal("7.56")}),
        "Seats__c": Example("12", {"Seats__c": 12}),
        "Priority_Rank__c": Example(7, {"Priority_Rank__c": 7}),
        "Discount__c": Example("12.5", {"Discount__c": Decimal("12.50")}),
        "Cost__c": Example("9.99", {"Cost__c": Decimal("9.99")}),
        "Tier__c": Example("Gold", {"Tier__c": "tier_1"}),
        "Region__c": Example("North", {"Region__c": "North"}),
        "Products__c": Example(["Training", "Core"], {"Products__c": "Core;Training"}),
        "Renewal_Date__c": Example("2026-03-01", {"Renewal_Date__c": "2026-03-01"}),
        "Last_Seen__c": Example("2026-03-01T12:00:00.25-05:00", {"Last_Seen__c": "2026-03-01T17:00:00.000+0000"}),
        "Is_Active__c": Example("yes", {"Is_Active__c": True}),
        "Support_Phone__c": Example("+1 212 555 0100", {"Support_Phone__c": "+1 212 555 0100"}, is_personal=True),
        "Support_Email__c": Example("jane@example.com", {"Support_Email__c": "jane@example.com"}, is_personal=True),
        "Website__c": Example("https://acme.example", {"Website__c": "https://acme.example"}),
        "Score_Details__c": Example('{"a": 1}', {"Score_Details__c": '{"a": 1}'}),
    },
    record={
        "Amount": 100, "Description": "old", "CloseDate": "2099-12-31", "AccountId": "001ak0000000001AAA",
        "CampaignId": "701ak0000000001AAA", "Type": "Existing Customer - Upgrade", "NextStep": "Wait",
        "LeadSource": "Phone Inquiry", "Warehouse_Key__c": "old key", "Health_Score__c": 1, "Seats__c": 1,
        "Priority_Rank__c": 1, "Discount__c": 1, "Cost__c": 1, "Tier__c": "tier_2", "Region__c": "South",
        "Products__c": "Support", "Renewal_Date__c": "2026-01-01", "Last_Seen__c": "2026-01-01T00:00:00.000+0000",
        "Support_Phone__c": "+1 212 555 0199", "Support_Email__c": "john@example.com",
        "Website__c": "https://old.example", "Score_Details__c": "{}",
    },
    refused={"Discount__c": "75"},
    stages={"won": "Closed Won", "lost": "Closed Lost", "active": "Proposal"},
    won_on=salesforce_won_on,
    timezone=ZONE,
    win_zone="UTC",
    batch_switches=BatchSwitches(poisoned="salesforce_poisoned_ids"),
    spellings=("006ak00000OQ4RxAAL", "006ak00000OQ4Rx", "006AK00000OQ4RXAAL", "006ak00000oq4rxaal"),
)  # fmt: skip
