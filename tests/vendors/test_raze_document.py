"""Each statement of Raze's page "Update Opportunity", as bytes on the wire. `tests/SEEDS.md` maps them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from airflow_provider_crm.exceptions import AuthenticationError, InvalidValueError, RejectedError, UnknownFieldError
from airflow_provider_crm.vendors import VENDORS

FIELDS = {
    "name": "John Doe",
    "email": "john@example.com",
    "phone": "+55 11 5555 0100",
    "company": "Acme Inc",
    "position": "CTO",
    "deal_value": Decimal("1234.56"),
    "deal_currency": "EUR",
    "notes": "Upgraded to enterprise package",
    "responsible_user_id": "usr_grace",
}
EXAMPLE = {"deal_value": 100000, "notes": "Upgraded to enterprise package"}


def test_method_and_path(raze, sent):
    """`PUT /external/v1/opportunities/:id`, with no slash at its end, and one call per row."""
    raze.update_opportunity("opp_1", {"notes": "new"})
    assert [(call.method, call.path, dict(call.query)) for call in sent()] == [
        ("PUT", "/external/v1/opportunities/opp_1", {})
    ]


def test_updates_an_existing_opportunity(raze, sandbox):
    """Updates an existing opportunity: none is created, whether the id exists or not."""
    raze.update_opportunity("opp_1", {"notes": "new"})
    with pytest.raises(RejectedError):
        raze.update_opportunity("opp_2", {"notes": "new"})
    assert (sandbox.raze.records.ids(), sandbox.audit.count(method="POST")) == (["opp_1"], 0)


def test_only_provided_fields_will_be_updated(raze, sandbox, sent):
    """Only provided fields will be updated: the body holds nothing else, and the record keeps everything else."""
    before = sandbox.raze.opportunity("opp_1")
    raze.update_opportunity("opp_1", {"notes": "new"})
    after = sandbox.raze.opportunity("opp_1")
    assert sent()[0].body == {"notes": "new"}
    assert {name for name in after if after[name] != before[name]} <= {"notes", "updated_at"}


def test_write_permission_is_enough(connect, sandbox):
    """Requires `opportunities:write` permission, and none besides: nothing is read in order to write."""
    raze = connect("raze", password=sandbox.raze.add_key(["opportunities:write"]))
    assert raze.update_opportunity("opp_1", {"notes": "new"})["notes"] == "new"


def test_missing_write_permission(connect, sandbox):
    """Without `opportunities:write` no row can land: the error says to stop, and names the permission."""
    raze = connect("raze", password=sandbox.raze.add_key(["opportunities:read"]))
    with pytest.raises(AuthenticationError, match=r"INSUFFICIENT_PERMISSIONS.*opportunities:write") as refused:
        raze.update_opportunity("opp_1", {"notes": "new"})
    assert (refused.value.status, sandbox.raze.opportunity("opp_1")["notes"]) == (403, "old")


@pytest.mark.parametrize("record_id", ["opp_abc123def456", "3f2b8c1e-0000-4000-8000-000000000001", "42"])
def test_path_parameter_id(raze, sandbox, record_id):
    """`id` (string, required) is the unique identifier: it is opaque in every form."""
    sandbox.raze.add_opportunity(record_id)
    assert raze.update_opportunity(record_id, {"notes": "new"})["id"] == record_id


def test_id_is_required(raze, sandbox):
    """Without an id nothing is sent."""
    with pytest.raises(InvalidValueError):
        raze.update_opportunity("", {"notes": "new"})
    assert sandbox.audit.calls == []


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_alone(raze, sandbox, sent, name):
    """All fields are optional: each of the nine can be sent alone, under its documented name, and is stored."""
    raze.update_opportunity("opp_1", {name: FIELDS[name]})
    assert (sent()[0].body, sandbox.raze.opportunity("opp_1")[name]) == ({name: FIELDS[name]}, FIELDS[name])


def test_all_nine_fields(raze, sandbox, sent):
    """The nine documented fields fit into one call."""
    raze.update_opportunity("opp_1", FIELDS)
    assert [call.body for call in sent()] == [FIELDS]
    assert {name: sandbox.raze.opportunity("opp_1")[name] for name in FIELDS} == FIELDS


def test_there_are_no_other_fields(raze, sandbox):
    """The table lists nine fields: anything else is an error that lists what there is, before any call."""
    with pytest.raises(UnknownFieldError, match=r"'linkedin_url'.*deal_value") as unknown:
        raze.update_opportunity("opp_1", {"linkedin_url": "x"})
    assert all(name in str(unknown.value) for name in FIELDS)
    assert sandbox.audit.calls == []


@pytest.mark.parametrize("name", sorted(FIELDS.keys() - {"deal_value", "deal_currency"}))
def test_string_fields(raze, sent, name):
    """The seven text fields are JSON strings, also where the row has a number; a float that is an id keeps no `.0`."""
    given = {"email": "7@example.com"}.get(name, 5511.0)
    raze.update_opportunity("opp_1", {name: given})
    assert sent()[0].body == {name: "5511" if given == 5511.0 else given}


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (100000, "100000.00"),
        ("1234.5", "1234.50"),
        (0.1, "0.10"),
        (Decimal("9999999999999.99"), "9999999999999.99"),
        (-1, "-1.00"),
        (Decimal("0.005"), "0.00"),
    ],
)
def test_deal_value_is_a_number_in_major_units(raze, sandbox, sent, value, stored):
    """`deal_value` is a JSON number in major units, exact to the cent (the example's 100000 is shown as 100000.00)."""
    raze.update_opportunity("opp_1", {"deal_value": value})
    assert type(sent()[0].body["deal_value"]) in (int, Decimal)
    assert sent()[0].body["deal_value"] == Decimal(stored) == sandbox.raze.opportunity("opp_1")["deal_value"]


@pytest.mark.parametrize(("given", "code"), [("BRL", "BRL"), ("eur", "EUR"), (" usd ", "USD")])
def test_deal_currency_is_a_currency_code(raze, sandbox, sent, given, code):
    """`deal_currency` is a currency code: three capital letters."""
    raze.update_opportunity("opp_1", {"deal_currency": given})
    assert (sent()[0].body, sandbox.raze.opportunity("opp_1")["deal_currency"]) == ({"deal_currency": code}, code)


@pytest.mark.parametrize("name", ["stage", "status"])
def test_stage_uses_its_own_endpoint(raze, sandbox, sent, name):
    """To update the status/stage, use the Update Stage endpoint: `PATCH .../stage` with `status`."""
    raze.update_opportunity("opp_1", {name: "qualified"})
    assert [(call.method, call.path, call.body) for call in sent()] == [
        ("PATCH", "/external/v1/opportunities/opp_1/stage", {"status": "qualified"})
    ]
    assert sandbox.raze.opportunity("opp_1")["status"] == "qualified"


def test_stage_is_never_in_the_put(raze, sent):
    """A row with a stage and other fields is a PUT without the stage, then the PATCH."""
    raze.update_opportunity("opp_1", {"stage": "won", "notes": "new"})
    assert [(call.method, call.body) for call in sent()] == [("PUT", {"notes": "new"}), ("PATCH", {"status": "won"})]


@pytest.mark.parametrize("status", ["new", "contacted", "qualified", "proposal", "negotiation", "won", "lost"])
def test_every_stage(raze, sandbox, status):
    """Update Stage takes seven values; the server stamps `won_at` and `lost_at` itself."""
    record = raze.update_stage("opp_1", status.title())
    stored = sandbox.raze.opportunity("opp_1")
    stamps = {"won": "won_at", "lost": "lost_at"}
    assert record["status"] == stored["status"] == status
    assert {name for name in stamps.values() if stored[name]} == {stamps[one] for one in stamps if one == status}


def test_unknown_stage_is_refused_by_the_vendor(raze):
    """A value that is no documented stage goes out as it stands, and Raze answers `INVALID_STATUS`."""
    with pytest.raises(RejectedError, match="INVALID_STATUS") as refused:
        raze.update_stage("opp_1", "Scheduled")
    assert (refused.value.status, refused.value.code, refused.value.record_id) == (400, "INVALID_STATUS", "opp_1")


def test_host():
    """The request goes to https://app.getraze.com unless the connection says otherwise."""
    assert VENDORS["raze"].origin == "https://app.getraze.com"


def test_content_type_header(raze, sent):
    """`Content-Type: application/json` on the PUT and on the PATCH."""
    raze.update_opportunity("opp_1", {"stage": "won", "notes": "new"})
    assert [call.headers["content-type"] for call in sent()] == ["application/json"] * 2


def test_api_key_header(raze, sandbox, sent):
    """`X-API-Key: YOUR_API_KEY` on every call; the key is nowhere else, as in a query that gets logged."""
    raze.update_opportunity("opp_1", {"stage": "won", "notes": "new"})
    assert [call.headers["x-api-key"] for call in sent()] == [sandbox.raze.api_key] * 2
    assert not any("authorization" in call.headers or call.query for call in sent())


def test_example_request(raze, sandbox, sent):
    """The request of the document's three examples, value by value."""
    sandbox.raze.add_opportunity("opp_abc123def456")
    raze.update_opportunity("opp_abc123def456", EXAMPLE)
    call = sent()[0]
    assert (call.method, call.path) == ("PUT", "/external/v1/opportunities/opp_abc123def456")
    assert (call.body, type(call.body["deal_value"])) == (EXAMPLE, int)


def test_example_response(connect, sandbox):
    """The documented response: `data` of the envelope, with exactly these keys and the values of the example."""
    stored = {"name": "John Doe", "email": "john@example.com", "company": "Acme Inc", "status": "qualified"}
    sandbox.raze.add_opportunity("opp_abc123def456", **stored)
    sandbox.clock.set(dt.datetime(2024, 1, 25, 10, tzinfo=dt.UTC))
    assert connect("raze").update_opportunity("opp_abc123def456", EXAMPLE) == {
        "id": "opp_abc123def456",
        **stored,
        "deal_value": 100000.00,
        "deal_currency": "BRL",
        "notes": "Upgraded to enterprise package",
        "updated_at": "2024-01-25T10:00:00Z",
    }


@pytest.mark.parametrize("name", ["phone", "position", "responsible_user_id"])
def test_response_leaves_out_what_it_leaves_out(raze, name):
    """The documented response shows no phone, position or responsible user: their absence is no failed write."""
    assert name not in raze.update_opportunity("opp_1", {name: "x"})


def test_success_false_is_a_failure_even_on_200(answer):
    """The envelope's `success` decides, not the status."""
    body = {"success": False, "error": {"code": "VALIDATION_ERROR", "message": "Invalid field values"}}
    with pytest.raises(RejectedError, match="VALIDATION_ERROR"):
        VENDORS["raze"].read(answer(200, json=body))


def test_400_validation_error(raze, sandbox):
    """400 `VALIDATION_ERROR`: invalid field values. The row is rejected, with the code and each field's message."""
    with pytest.raises(RejectedError, match="400 VALIDATION_ERROR: Invalid field values") as refused:
        raze.update_opportunity("opp_1", {"deal_value": Decimal(99999999999999), "notes": "new"})
    error = refused.value
    assert (error.vendor, error.status, error.code, error.record_id) == ("raze", 400, "VALIDATION_ERROR", "opp_1")
    assert error.field_errors == {"deal_value": "deal_value is too large"}
    assert sandbox.raze.opportunity("opp_1")["notes"] == "old"


def test_404_not_found(raze):
    """404 `NOT_FOUND`: opportunity not found. The row is rejected, and is not created instead."""
    with pytest.raises(RejectedError, match="404 NOT_FOUND: Opportunity not found") as refused:
        raze.update_opportunity("opp_none", {"notes": "new"})
    assert (refused.value.status, refused.value.code, refused.value.record_id) == (404, "NOT_FOUND", "opp_none")
