"""The package's own vendors, described to `VendorContract`: how each field is stored, by the vendor's documents."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

from airflow_provider_crm.hooks.close import CloseHook
from airflow_provider_crm.hooks.raze import RazeHook
from airflow_provider_crm.sandbox.close.api import CLOSE as CLOSE_API
from airflow_provider_crm.sandbox.raze.api import RAZE as RAZE_API
from airflow_provider_crm.testing import Example, Subject
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
