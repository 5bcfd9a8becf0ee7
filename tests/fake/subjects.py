"""Batchly's variants, described to `VendorContract`: what each field is written as, by the vendor's documents."""

from __future__ import annotations

from airflow_provider_crm.testing import BatchSwitches, Example, Subject
from tests.fake import api, vendor
from tests.fake.hook import BatchlyFlatHook, BatchlyHook, BatchlyMuteHook


def shown(**properties):
    """Return the properties that a record holds."""
    return {"properties": properties}


PLAIN = {
    "deal_value": Example("1234.56", shown(amount="1234.56")),
    "deal_currency": Example("EUR", shown(currency="EUR")),
    "notes": Example("new", shown(description="new")),
    "responsible_user_id": Example("7", shown(owner_id="7")),
    "name": Example("Jane", shown(name="Jane")),
    "amount": Example("77.50", shown(amount="77.50")),
    "currency": Example("BRL", shown(currency="BRL")),
    "description": Example("newer", shown(description="newer")),
    "owner_id": Example("8", shown(owner_id="8")),
    "contact_email": Example("jane@example.com", shown(contact_email="jane@example.com"), is_personal=True),
    "c_score": Example("7.5", shown(c_score="7.5")),
    "c_renewal": Example("2026-03-01", shown(c_renewal="2026-03-01")),
    "c_seen_at": Example("2026-03-01T12:00:00-05:00", shown(c_seen_at="2026-03-01T17:00:00Z")),
    "c_active": Example("yes", shown(c_active="true")),
    "c_tier": Example("Gold", shown(c_tier="Gold")),
    "c_products": Example(["Core", "Support"], shown(c_products="Core;Support")),
    "c_segment": Example("north", shown(c_segment="north")),
}
STAGES = {
    "stage": Example("Renewals/Lost", shown(deal_stage="renewals_lost", pipeline_id="renewals")),
    "date_won": Example("2026-03-01", shown(close_date="2026-03-01T17:00:00Z")),
    "deal_stage": Example("sales_offer", shown(deal_stage="sales_offer")),
    "close_date": Example("2026-03-01T22:00:00-05:00", shown(close_date="2026-03-02T03:00:00Z")),
}
RECORD = {
    "amount": "100.00", "currency": "USD", "description": "old", "owner_id": "1", "name": "Acme", "c_score": "1",
    "contact_email": "john@example.com", "c_renewal": "2026-01-01", "c_seen_at": "2026-01-01T00:00:00Z",
    "c_active": "false", "c_tier": "Silver", "c_products": "Training", "c_segment": "south",
}  # fmt: skip


def won_on(account, record_id):
    """Return the day of `close_date`, an instant, in the zone of the account."""
    moment = account.opportunity(record_id)["properties"].get("close_date")
    return None if moment is None else account.date_for_people(record_id, "close_date")


def subject_of(one, hook, sandbox_api, *, has_stages=True):
    """Return a variant, described."""
    name = one.name
    return Subject(
        vendor=one,
        hook=hook,
        sandbox_api=sandbox_api,
        values=PLAIN | STAGES if has_stages else PLAIN,
        record=RECORD,
        refused={"notes": "x" * 70_000},
        stages={"won": "Sales/Won", "lost": "Sales/Lost", "active": "Sales/Offer"} if has_stages else {},
        won_on=won_on if has_stages else None,
        limit_switches=(f"{name}_limit", f"{name}_window"),
        batch_switches=BatchSwitches(
            poisoned=f"{name}_poisoned_ids", left_out=f"{name}_left_out_ids", shuffled=f"{name}_shuffled"
        ),
        spellings=("80001", "0080001", "00080001"),
    )


BATCHLY = subject_of(vendor.BATCHLY, BatchlyHook, api.BATCHLY)
BATCHLY_MUTE = subject_of(vendor.BATCHLY_MUTE, BatchlyMuteHook, api.BATCHLY_MUTE)
BATCHLY_FLAT = subject_of(vendor.BATCHLY_FLAT, BatchlyFlatHook, api.BATCHLY_FLAT, has_stages=False)
