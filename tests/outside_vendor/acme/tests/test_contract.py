"""Acme keeps the contract of every vendor."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

from acme_crm.hook import AcmeHook
from acme_crm.sandbox import ACME
from acme_crm.vendor import VENDOR

from airflow_provider_crm.testing import BatchSwitches, Example, Subject, VendorContract

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox import SandboxAccount


def won_on(account: SandboxAccount, record_id: str) -> dt.date | None:
    """Return the date of the win as people see it."""
    text = account.opportunity(record_id)["won_on"]
    return None if text is None else dt.date.fromisoformat(text)


class TestAcme(VendorContract):
    """The claims that all vendors are held to, about Acme."""

    subject = Subject(
        vendor=VENDOR,
        hook=AcmeHook,
        sandbox_api=ACME,
        record={"amount": 1, "won_on": "2026-01-01", "notes": "old", "contact_email": "old@example.com"},
        values={
            "deal_value": Example("1234.56", {"amount": Decimal("1234.56")}),
            "deal_currency": Example("EUR", {"currency": "EUR"}),
            "stage": Example("Offer made", {"stage": "offer"}),
            "date_won": Example("2026-03-01", {"won_on": "2026-03-01"}),
            "notes": Example("new", {"notes": "new"}),
            "amount": Example(7, {"amount": 7}),
            "currency": Example("EUR", {"currency": "EUR"}),
            "won_on": Example("2026-03-01", {"won_on": "2026-03-01"}),
            "contact_email": Example("ada@example.com", {"contact_email": "ada@example.com"}, is_personal=True),
        },
        refused={"deal_value": -1},
        stages={"won": "Won", "lost": "Lost", "active": "Offer made"},
        won_on=won_on,
        limit_switches=("acme_limit", "acme_window"),
        batch_switches=BatchSwitches(poisoned="acme_poisoned", left_out="acme_left_out", shuffled="acme_reversed"),
    )
