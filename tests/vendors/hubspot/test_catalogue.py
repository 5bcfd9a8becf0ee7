"""Claims about what HubSpot's portals offer: properties, hints, and the connection test."""

from __future__ import annotations

import pytest

from airflow_provider_crm.exceptions import CrmError
from airflow_provider_crm.testing.handmade import HandmadeAnswer
from airflow_provider_crm.values.opportunity import Kind
from tests.vendors.hubspot.by_hand import HUBSPOT, answer_of, definition, portal, recorded


@pytest.mark.parametrize(
    ("kind", "shape", "wanted"),
    [
        ("string", "text", (Kind.TEXT, False, False)),
        ("string", "textarea", (Kind.TEXT, False, False)),
        ("number", "number", (Kind.NUMBER, False, False)),
        ("date", "date", (Kind.DATE, False, False)),
        ("datetime", "date", (Kind.DATETIME, False, False)),
        ("bool", "booleancheckbox", (Kind.BOOLEAN, False, False)),
        ("enumeration", "booleancheckbox", (Kind.BOOLEAN, False, False)),
        ("enumeration", "select", (Kind.TEXT, False, False)),
        ("enumeration", "radio", (Kind.TEXT, False, False)),
        ("enumeration", "checkbox", (Kind.TEXT, True, False)),
        ("phone_number", "phonenumber", (Kind.TEXT, False, True)),
        ("string", "phonenumber", (Kind.TEXT, False, True)),
        ("something_new", "something_new", (Kind.TEXT, False, False)),
    ],
)
def test_a_property_is_a_field_of_its_kind(kind, shape, wanted):
    """Type and form of a property decide which values it takes; phone numbers are personal."""
    field = portal(definition("x", kind, shape)).fields["x"]
    assert (field.kind, field.multiple, field.personal) == wanted


@pytest.mark.parametrize(
    ("sensitivity", "personal"), [("non_sensitive", False), ("sensitive", True), ("highly_sensitive", True)]
)
def test_sensitive_data_is_personal(sensitivity, personal):
    """What the portal marks as sensitive data appears in no log."""
    assert portal(definition("x", dataSensitivity=sensitivity)).fields["x"].personal is personal


def test_what_cannot_be_written_has_a_hint():
    """Read-only and calculated properties are refused before a call, with the reason; archived ones are unknown."""
    catalogue = portal(
        definition("a", read_only=True),
        definition("b", calculated=True),
        definition("c", archived=True),
        definition("d"),
    )
    for name in ("a", "b"):
        assert name not in catalogue.fields
        assert catalogue.unknown_field(name, "HubSpot") == (
            f"HubSpot has no writable {name!r}: the property {name.title()} is calculated or read-only; leave it out"
        )
    assert catalogue.unknown_field("c", "HubSpot").startswith(
        "HubSpot has no writable field 'c'; write one of deal_value"
    )
    assert "d" in catalogue.fields


def test_the_recorded_properties():
    """Stage and pipeline, as recorded, are ids of text; stages with their pipelines are written by `stage`."""
    answers = [recorded("account"), recorded("properties"), recorded("pipelines")]
    fields = HUBSPOT.catalogue(answers, {}).fields
    assert (fields["dealstage"].kind, fields["pipeline"].kind) == (Kind.TEXT, Kind.TEXT)
    assert fields["stage"].keys == ("dealstage", "pipeline")
    assert not any(fields[name].clearable for name in ("stage", "dealstage", "pipeline"))


def test_the_property_of_notes():
    """`notes` is the description, or the text property that the connection names; else the message says why."""
    extra = definition("warehouse_notes"), definition("score", "number"), definition("fixed", read_only=True)
    assert portal(*extra).fields["notes"].target == "description"
    assert portal(*extra, settings={"notes_property": "warehouse_notes"}).fields["notes"].target == "warehouse_notes"
    for wrong in ("nowhere", "score", "fixed", "stage"):
        catalogue = portal(*extra, settings={"notes_property": wrong})
        assert "notes" not in catalogue.fields
        assert f"extra.notes_property of the connection is {wrong!r}" in catalogue.unknown_field("notes", "HubSpot")


def test_which_calls_a_catalogue_takes():
    """Owners are read only if `responsible_user_id` is mapped; without fields the account is enough."""
    paths = ["/account-info/2026-03/details", "/crm/properties/2026-03/deals", "/crm/pipelines/2026-03/deals"]
    assert [call.path for call in HUBSPOT.catalogue_calls(())] == paths[:1]
    assert [call.path for call in HUBSPOT.catalogue_calls(("amount",))] == paths
    *others, owners = HUBSPOT.catalogue_calls(("amount", "responsible_user_id"))
    assert ([call.path for call in others], owners.path) == (paths, "/crm/owners/2026-03")
    following = owners.next_page({"paging": {"next": {"after": "x"}}})
    assert (following.path, following.params["after"], following.next_page({"results": []})) == (owners.path, "x", None)


def test_the_connection_test():
    """It names portal, time zone and currencies, as recorded; an answer without a portal is of another service."""
    assert HUBSPOT.check_probe(answer_of("account")) == (
        "Connected to HubSpot, portal 12345678 (time zone US/Eastern, currency USD)."
    )
    assert "(time zone not shown, currency not shown)" in HUBSPOT.check_probe(HandmadeAnswer(200, {"portalId": 7}))
    for body in ({}, {"portalId": "x"}, {"portalId": None}, [], b"<html>"):
        with pytest.raises(CrmError):
            HUBSPOT.check_probe(HandmadeAnswer(200, body))


def test_the_page_of_a_deal():
    """People of every region get there by one address, which names the portal and the deal; ids cannot leave it."""
    page = "https://app.hubspot.com/contacts/12345678/record/0-3/9"
    assert HUBSPOT.record_url("https://api.hubapi.com", "12345678", "9") == page
    assert HUBSPOT.record_url("https://api.hubapi.com", "my/portal", "a/b").endswith("/my%2Fportal/record/0-3/a%2Fb")
    assert HUBSPOT.record_url("http://127.0.0.1:8000", "12345678", "9") is None
