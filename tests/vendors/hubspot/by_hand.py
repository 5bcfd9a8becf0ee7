"""Recorded and handmade answers of HubSpot, and a portal's catalogue made of them."""

from __future__ import annotations

import json
from pathlib import Path

from airflow_provider_crm.testing.handmade import HandmadeAnswer
from airflow_provider_crm.vendors import VENDORS

HUBSPOT = VENDORS["hubspot"]
RECORDED = Path(__file__).parent / "recorded"


def recorded(name):
    """Return a recorded body."""
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))


def answer_of(name, status=200, **headers):
    """Return a recorded answer."""
    return HandmadeAnswer(status, recorded(name), headers)


def error_body(message="No.", **members):
    """Return the body of an error with the members that nearly all errors have."""
    return {"status": "error", "message": message, "correlationId": "aeb5f871-7f07-4993-9211-075dc63e7cbf", **members}


def definition(name, kind="string", shape="text", *, options=(), read_only=False, **members):
    """Return the definition of a property."""
    listed = [{"value": value, "label": label} for value, label in options]
    fixed = {"modificationMetadata": {"readOnlyValue": read_only}}
    return {
        "name": name,
        "label": name.title(),
        "type": kind,
        "fieldType": shape,
        "options": listed,
        **fixed,
        **members,
    }


def portal(*definitions, settings=None, owners=None, pipelines=None, **account):
    """Return the catalogue of a portal with these properties."""
    answers = [recorded("account") | account, {"results": list(definitions)}, pipelines or recorded("pipelines")]
    return HUBSPOT.catalogue(answers if owners is None else [*answers, owners], settings or {})


def written(name, value, catalogue):
    """Return what a field writes by key, in the vendor's form; the value has passed the rules of its kind."""
    field = catalogue.fields[name]
    return {key: values[0] for key, values in HUBSPOT.to_vendor_values(field, [value], catalogue).items()}


def wire(name, value, catalogue):
    """Return the texts that a field puts on the wire, by key."""
    (call,) = HUBSPOT.write_calls(("x",))
    return {key: call.spell(key, one) for key, one in written(name, value, catalogue).items()}


def record(**properties):
    """Return a deal with these properties."""
    return {"id": "1", "properties": properties}
