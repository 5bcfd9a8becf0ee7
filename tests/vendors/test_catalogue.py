"""What a catalogue says about names that the account does not have."""

from __future__ import annotations

import pytest

from airflow_provider_crm.values.opportunity import Field
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.catalogue import Catalogue

CLOSE, RAZE = VENDORS["close"], VENDORS["raze"]
ME = {"organizations": [{"id": "orga", "currency": "USD"}]}
SCHEMA = {
    "fields": [
        {"id": "cf_z", "name": "Zone", "type": "text"},
        {"id": "cf_a", "type": "text", "accepts_multiple_values": True},
    ]
}
OWN = (
    "deal_value, deal_currency, stage, notes, responsible_user_id, date_won, value, value_period, status_id, note, "
    "user_id, confidence, contact_id"
)
RAZE_OWN = "deal_value, deal_currency, stage, notes, responsible_user_id, name, email, phone, company, position, status"


@pytest.mark.parametrize(
    ("vendor", "answers", "name", "sentence"),
    [
        (
            CLOSE,
            [ME],
            "amount",
            f"Close has no writable field 'amount'; write one of {OWN}, or custom.<field id>",
        ),
        (
            CLOSE,
            [ME, SCHEMA],
            "amount",
            f"Close has no writable field 'amount'; write one of {OWN}, or custom.<field id>",
        ),
        (
            CLOSE,
            [ME, SCHEMA],
            "custom.cf_b",
            (
                "Close has no opportunity field 'custom.cf_b' in this organization; its custom fields: custom.cf_a, "
                "custom.cf_a.add, custom.cf_a.remove, custom.cf_z (Zone)"
            ),
        ),
        (
            CLOSE,
            [ME, {"fields": []}],
            "custom.cf_b",
            "Close has no opportunity field 'custom.cf_b' in this organization; its custom fields: none",
        ),
        (RAZE, [], "amount", f"Raze has no writable field 'amount'; write one of {RAZE_OWN}"),
        (
            RAZE,
            [],
            "won_at",
            "Raze has no writable 'won_at': its server stamps won_at when the stage becomes won; leave it out",
        ),
    ],
)
def test_an_unknown_field_is_named_with_what_there_is(vendor, answers, name, sentence):
    """The sentence lists the vendor's own fields, or the account's custom ones with their names for people."""
    assert vendor.catalogue(answers, {}).unknown_field(name, vendor.display_name) == sentence


def test_without_a_prefix_all_fields_are_listed():
    """Where custom fields have names like any other, all of them are named."""
    catalogue = Catalogue(fields={name: Field(name, name) for name in ("notes", "a.b")}, hints={"x": "Use notes"})
    assert catalogue.unknown_field("a.c", "Shop") == "Shop has no writable field 'a.c'; write one of notes, a.b"
    assert catalogue.unknown_field("x", "Shop") == "Use notes"
