"""Each statement of Close's page "Update an opportunity", as bytes on the wire. `tests/SEEDS.md` maps them."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import json
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import jsonschema
import pytest
import yaml

from airflow_provider_crm.exceptions import (
    AuthenticationError,
    ConfigurationError,
    IgnoredError,
    InvalidValueError,
    RejectedError,
    TransientError,
    UnknownFieldError,
)
from airflow_provider_crm.values.opportunity import Update
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.encoding import calls_of, check_echo, writes_of

CLOSE = VENDORS["close"]
PATH = "/api/v1/opportunity/oppo_1/"
WON = "stat_sales_won"


@lru_cache
def document():
    """Return the OpenAPI part of the document."""
    path = Path(__file__).parents[1] / "sandbox" / "close" / "openapi.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def validate(record, name="Opportunity"):
    """Validate a record against one schema of the document."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    jsonschema.validate(json.loads(json.dumps(record)), schema)


@pytest.fixture
def stored(sandbox):
    """Return the opportunity as Close has it now."""
    return lambda: sandbox.close.opportunity("oppo_1")


@pytest.fixture
def close_at(connect, sandbox):
    """Return a hook in a zone, at an instant."""

    def close_at(instant, timezone):
        sandbox.clock.set(dt.datetime.fromisoformat(instant))
        return connect("close", timezone=timezone)

    return close_at


def test_method_and_path(close, sent):
    """`PUT /opportunity/{id}/`, with its slash at the end, and one call per row."""
    close.update_opportunity("oppo_1", {"note": "new"})
    assert [(call.method, call.path, dict(call.query)) for call in sent()] == [("PUT", PATH, {})]


def test_server():
    """The server is https://api.close.com/api/v1, unless the connection names another origin."""
    call = CLOSE.read_call("oppo_1", ())
    assert CLOSE.origin + call.path == "https://api.close.com/api/v1/opportunity/oppo_1/"


def test_content_type_header(close, sent):
    """`Content-Type: application/json`."""
    close.update_opportunity("oppo_1", {"note": "new"})
    assert sent()[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize("record_id", ["oppo_abc", "42", "x y"])
def test_path_parameter_id(close, sandbox, record_id):
    """`id` is a required string in the path; it is opaque."""
    sandbox.close.add_opportunity(record_id)
    assert close.update_opportunity(record_id, {"note": "new"})["id"] == record_id


def test_id_is_required(close, sent):
    """Without an id nothing is sent."""
    with pytest.raises(InvalidValueError):
        close.update_opportunity(" ", {"note": "new"})
    assert sent() == []


def test_updates_and_never_creates(close, sandbox):
    """It updates an opportunity: an id that does not exist is refused, and nothing is created instead."""
    with pytest.raises(RejectedError):
        close.update_opportunity("oppo_2", {"note": "new"})
    assert (sandbox.close.records.ids(), sandbox.audit.count(method="POST")) == (["oppo_1"], 0)


def test_body_holds_only_what_the_row_has(close, sent, stored):
    """The request body is JSON of any form, and a PUT changes only what it holds: the body is just the row's fields."""
    close.update_opportunity("oppo_1", {"note": "new"})
    assert (sent()[0].body, stored()["note"], stored()["value"]) == ({"note": "new"}, "new", 50_000)


def test_basic_authentication(close, sandbox):
    """`Authorization`: Basic (security scheme `ApiKeyAuth`), the key as the user name with an empty password."""
    close.update_opportunity("oppo_1", {"note": "new"})
    expected = "Basic " + base64.b64encode(f"{sandbox.close.api_key}:".encode()).decode()
    assert {call.headers["authorization"] for call in sandbox.audit.calls} == {expected}


def test_bearer_authentication(connect, sandbox):
    """`Authorization`: Bearer (security scheme `OAuth2`), with an access token instead of a key."""
    token = sandbox.close.oauth.access_token
    connect("close", password="", extra={"access_token": token}).update_opportunity("oppo_1", {"note": "new"})
    assert {call.headers["authorization"] for call in sandbox.audit.calls} == {f"Bearer {token}"}


@pytest.mark.parametrize("given", ["stat_sales_proposal", "Sales/Proposal", " Sales/Proposal "])
def test_status_id(close, sent, stored, given):
    """`status_id` is sent in the same PUT, always as the id: a label is looked up, as Close takes none there."""
    close.update_opportunity("oppo_1", {"stage": given, "note": "new"})
    assert [call.body for call in sent()] == [{"status_id": "stat_sales_proposal", "note": "new"}]
    assert stored()["status_label"] == "Proposal"


@pytest.mark.parametrize("given", ["Won", "won", "Closed", "stat_none"])
def test_status_that_stands_for_none_or_several(close, sent, given):
    """A label of two pipelines, or of none, cannot become one `status_id`: refused with the choices, and not sent."""
    with pytest.raises(InvalidValueError, match=r"Renewals/Won \(stat_renewals_won\)"):
        close.update_opportunity("oppo_1", {"stage": given})
    assert sent() == []


@pytest.mark.parametrize("given", ["Proposal", " Proposal"])
def test_a_label_moves_no_deal_into_another_pipeline(close, sandbox, sent, given):
    """A label that only one of several pipelines has is refused with what to write: the deal may be in another one."""
    sandbox.close.add_opportunity("oppo_2", status_id="stat_renewals_active")
    with pytest.raises(InvalidValueError) as caught:
        close.update_opportunity("oppo_2", {"stage": given})
    assert str(caught.value) == (
        "stage 'Proposal' names no pipeline, and this organization has several; "
        "write Sales/Proposal (stat_sales_proposal)."
    )
    assert sent() == []
    assert sandbox.close.opportunity("oppo_2")["pipeline_name"] == "Renewals"


def test_a_label_is_enough_for_one_pipeline(connect, sandbox, sent):
    """Where the organization has one pipeline, a label names its stage; two pipelines of one name are still two."""
    renewals = sandbox.close.pipelines.pop("pipe_renewals")
    connect("close").update_opportunity("oppo_1", {"stage": "Proposal"})
    assert [call.body for call in sent()] == [{"status_id": "stat_sales_proposal"}]
    sandbox.close.pipelines["pipe_renewals"] = dataclasses.replace(renewals, name="Sales")
    close = connect("close")
    with pytest.raises(InvalidValueError, match="names no pipeline"):
        close.update_opportunity("oppo_1", {"stage": "Proposal"})
    with pytest.raises(InvalidValueError, match=r"stands for several stages; .* or Sales/Won \(stat_renewals_won\)"):
        close.update_opportunity("oppo_1", {"stage": "Sales/Won"})


def test_won_status_sets_date_won(close, stored):
    """A status of type `won` sets `date_won` to today if it is neither set on the record nor in the request."""
    record = close.update_opportunity("oppo_1", {"status_id": WON})
    assert (record["date_won"], stored()["date_won"], record["status_type"]) == ("2026-06-15", "2026-06-15", "won")


def test_won_status_keeps_the_date_on_the_record(close, sandbox, sent):
    """`date_won` is not touched if it is already set on the record: we send none of our own."""
    sandbox.close.add_opportunity("oppo_2", date_won="2026-01-31")
    assert close.update_opportunity("oppo_2", {"stage": WON})["date_won"] == "2026-01-31"
    assert sent()[0].body == {"status_id": WON}


def test_won_status_takes_the_date_in_the_request(close, sandbox, sent):
    """`date_won` in the request wins over the rule and over the record."""
    sandbox.close.add_opportunity("oppo_2", date_won="2026-01-31")
    record = close.update_opportunity("oppo_2", {"stage": WON, "date_won": dt.date(2026, 3, 1)})
    assert (sent()[0].body, record["date_won"]) == ({"status_id": WON, "date_won": "2026-03-01"}, "2026-03-01")


@pytest.mark.parametrize("status", ["stat_sales_active", "stat_sales_lost"])
def test_leaving_won_keeps_date_won(close, sandbox, sent, status):
    """Reverting from `won` to `active` or `lost` does not change `date_won`, and we do not clear it either."""
    sandbox.close.add_opportunity("oppo_2", status_id=WON, date_won="2026-01-31")
    assert close.update_opportunity("oppo_2", {"stage": status})["date_won"] == "2026-01-31"
    assert sent()[0].body == {"status_id": status}


@pytest.mark.parametrize(
    ("given", "date"),
    [
        (dt.date(2026, 3, 8), "2026-03-08"),
        ("2026-03-08", "2026-03-08"),
        (dt.datetime(2026, 3, 9, 3, 59, tzinfo=dt.UTC), "2026-03-08"),
        (dt.datetime(2026, 3, 9, 4, 0, tzinfo=dt.UTC), "2026-03-09"),
        (dt.datetime(2026, 3, 8, 23, 59), "2026-03-08"),  # noqa: DTZ001 - naive, read in the connection's zone
    ],
)
def test_date_won_is_a_date(connect, sent, given, date):
    """`date_won` (optional) goes out as `YYYY-MM-DD`: a moment is cut in the named zone, also when clocks change."""
    connect("close", timezone="America/New_York").update_opportunity("oppo_1", {"date_won": given})
    assert sent()[0].body == {"date_won": date}


def test_date_won_is_cleared_by_null(close, sandbox, sent):
    """`date_won` is a string or null: None sends null."""
    sandbox.close.add_opportunity("oppo_2", date_won="2026-01-31")
    assert close.update_opportunity("oppo_2", {"date_won": None})["date_won"] is None
    assert sent()[0].body == {"date_won": None}


@pytest.mark.parametrize(
    ("instant", "timezone", "offset", "today"),
    [
        ("2026-06-15T03:30:00Z", "America/New_York", "-4", "2026-06-14"),
        ("2026-12-15T04:30:00Z", "America/New_York", "-5", "2026-12-14"),
        ("2026-03-08T06:59:59Z", "America/New_York", "-5", "2026-03-08"),
        ("2026-03-08T07:00:00Z", "America/New_York", "-4", "2026-03-08"),
        ("2026-03-09T03:59:59Z", "America/New_York", "-4", "2026-03-08"),
        ("2026-11-01T05:59:59Z", "America/New_York", "-4", "2026-11-01"),
        ("2026-11-01T06:00:00Z", "America/New_York", "-5", "2026-11-01"),
        ("2026-06-15T23:30:00Z", "UTC", "0", "2026-06-15"),
        ("2026-06-15T18:15:00Z", "Asia/Kathmandu", "5.75", "2026-06-16"),
        ("2026-06-15T18:30:00Z", "Asia/Kolkata", "5.5", "2026-06-16"),
        ("2026-06-15T02:29:59Z", "America/St_Johns", "-2.5", "2026-06-14"),
        ("2026-06-15T11:15:00Z", "Pacific/Chatham", "12.75", "2026-06-16"),
        ("2026-06-15T10:00:00Z", "Pacific/Kiritimati", "14", "2026-06-16"),
        ("2026-06-15T10:59:59Z", "Pacific/Pago_Pago", "-11", "2026-06-14"),
    ],
)
def test_today_takes_x_tz_offset_into_account(  # noqa: PLR0917
    close_at, sandbox, instant, timezone, offset, today
):
    """Today takes `x-tz-offset` into account: the zone's offset at the moment of the call, in hours, east positive."""
    record = close_at(instant, timezone).update_opportunity("oppo_1", {"status_id": WON})
    headers = {call.headers["x-tz-offset"] for call in sandbox.audit.calls}
    assert (headers, record["date_won"]) == ({offset}, today)


def test_x_tz_offset_is_on_every_call(close, sandbox):
    """The header is sent with reads too, and by `get_conn()`: what Close takes when it is absent is not documented."""
    close.update_opportunity("oppo_1", {"note": "new"})
    close.get_opportunity("oppo_1")
    list(close.list_opportunities())
    close.get_conn().get(f"{sandbox.url}/api/v1/me/")
    assert [call.headers.get("x-tz-offset") for call in sandbox.audit.calls] == ["0"] * 5


def test_x_tz_offset_follows_the_clock(close_at, sandbox):
    """One session that lives through a clock change sends the new offset after it: nothing is computed ahead."""
    close = close_at("2026-03-08T06:00:00Z", "America/New_York")
    for _ in range(2):
        close.get_opportunity("oppo_1")
        sandbox.clock.advance(3600)
    assert [call.headers["x-tz-offset"] for call in sandbox.audit.calls] == ["-5", "-4"]


def test_x_tz_offset_of_a_task(connect, sandbox):
    """A zone that the caller names goes before the connection's."""
    connect("close", timezone="UTC").update_opportunity("oppo_1", {"note": "x"}, timezone="Asia/Kolkata")
    assert sandbox.audit.calls[-1].headers["x-tz-offset"] == "5.5"


CUSTOM = [
    ("cf_health", "green", "green", "green"),
    ("cf_region", "EMEA", "EMEA", "EMEA"),
    ("cf_score", Decimal("1.10"), Decimal("1.1"), 1.1),
    ("cf_score", 3, 3, 3),
    ("cf_renewal_date", dt.date(2026, 7, 1), "2026-07-01", "2026-07-01"),
    (
        "cf_last_seen",
        dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC),
        "2026-07-01T12:00:00+00:00",
        "2026-07-01T12:00:00.000000+00:00",
    ),
    ("cf_tier", "Gold", "Gold", "Gold"),
    ("cf_owner", "user_grace", "user_grace", "user_grace"),
    ("cf_owner", "Grace Hopper", "Grace Hopper", "user_grace"),
]


@pytest.mark.parametrize(("field", "given", "wire", "shown"), CUSTOM)
def test_custom_field(close, sent, field, given, wire, shown):  # noqa: PLR0917
    """`custom.FIELD_ID` sets one custom field, own or shared, of each type; the key is flat."""
    record = close.update_opportunity("oppo_1", {f"custom.{field}": given})
    assert (sent()[0].body, record[f"custom.{field}"]) == ({f"custom.{field}": wire}, shown)


def test_custom_field_of_many_values(close, sandbox, sent):
    """A field that accepts multiple values is set as a whole list."""
    sandbox.close.add_opportunity("oppo_2", **{"custom.cf_products": ["Support"]})
    record = close.update_opportunity("oppo_2", {"custom.cf_products": ["Core", "Insights"]})
    assert (
        sent()[0].body
        == {"custom.cf_products": ["Core", "Insights"]}
        == {"custom.cf_products": record["custom.cf_products"]}
    )


@pytest.mark.parametrize(("field", "before"), [("cf_health", "green"), ("cf_products", ["Core"])])
def test_custom_field_null_unsets(close, sandbox, sent, field, before):
    """You can unset a single field by `{"custom.FIELD_ID": null}`: the null is on the wire, and no other field is."""
    sandbox.close.add_opportunity("oppo_2", **{f"custom.{field}": before, "custom.cf_score": 5})
    record = close.update_opportunity("oppo_2", {f"custom.{field}": None})
    assert (sent()[0].body, f"custom.{field}" in record, record["custom.cf_score"]) == (
        {f"custom.{field}": None},
        False,
        5,
    )


def test_custom_field_add(close, sandbox, sent):
    """`.add` as part of the key adds a single value to a list of values."""
    sandbox.close.add_opportunity("oppo_2", **{"custom.cf_products": ["Core"]})
    record = close.update_opportunity("oppo_2", {"custom.cf_products.add": "Support"})
    assert (sent()[0].body, record["custom.cf_products"]) == (
        {"custom.cf_products.add": "Support"},
        ["Core", "Support"],
    )


def test_custom_field_remove(close, sandbox, sent):
    """`.remove` as part of the key removes a single value from a list of values."""
    sandbox.close.add_opportunity("oppo_2", **{"custom.cf_products": ["Core", "Support"]})
    record = close.update_opportunity("oppo_2", {"custom.cf_products.remove": "Core"})
    assert (sent()[0].body, record["custom.cf_products"]) == ({"custom.cf_products.remove": "Core"}, ["Support"])


@pytest.mark.parametrize("name", ["custom.cf_health.add", "custom.cf_none", "custom.cf_products.replace"])
def test_custom_field_that_does_not_exist(close, sent, name):
    """`.add` and `.remove` belong to fields that accept multiple values; any other key is an error before the PUT."""
    with pytest.raises(UnknownFieldError, match=r"custom\.cf_products\.add"):
        close.update_opportunity("oppo_1", {name: "x"})
    assert sent() == []


@pytest.mark.parametrize(
    ("given", "cents"),
    [
        ("1234.56", 123456),
        (1000, 100_000),
        (0.1, 10),
        (Decimal("-5.5"), -550),
        (0, 0),
        (None, None),
        (Decimal("0.005"), 0),
        (Decimal("0.015"), 2),
        ("9999999999999.99", 999_999_999_999_999),
    ],
)
def test_value_is_an_integer_of_cents(close, sent, given, cents):
    """`value` is an integer or null: an amount in major units becomes exact cents, never a float."""
    record = close.update_opportunity("oppo_1", {"deal_value": given})
    assert (sent()[0].body, type(sent()[0].body["value"]), record["value"]) == ({"value": cents}, type(cents), cents)


def test_value_in_the_vendors_own_name_is_cents_already(close, sent):
    """Close's own name `value` means what it means in the document: cents as they stand."""
    close.update_opportunity("oppo_1", {"value": 123456})
    assert sent()[0].body == {"value": 123456}


def test_value_currency_is_not_sent(close, sent):
    """`value_currency` belongs to the organization: a row in the same currency lands without it."""
    close.update_opportunity("oppo_1", {"deal_value": 10, "deal_currency": "usd"})
    assert sent()[0].body == {"value": 1000}


def test_value_in_another_currency(close, sent):
    """A row in another currency than the organization's would be misread, so it is invalid and not sent."""
    with pytest.raises(InvalidValueError, match=r"EUR.*USD"):
        close.update_opportunity("oppo_1", {"deal_value": 10, "deal_currency": "EUR"})
    assert sent() == []


def test_value_of_a_currency_without_two_decimals(close, sandbox, sent):
    """The meaning of an integer in such a currency is not documented: the run stops rather than write it 100 times."""
    sandbox.close.currency = "JPY"
    with pytest.raises(ConfigurationError, match="JPY"):
        close.update_opportunity("oppo_1", {"deal_value": 10})
    assert sent() == []


PLAIN = [
    ("value_period", "annual"),
    ("confidence", 75),
    ("note", "Upgraded"),
    ("note", None),
    ("contact_id", "cont_1"),
    ("contact_id", None),
    ("user_id", "user_grace"),
    ("status_id", "stat_sales_proposal"),
    ("date_won", "2026-03-01"),
    ("value", 5),
    ("value", None),
]


@pytest.mark.parametrize(("name", "value"), PLAIN)
def test_response_shows_each_field_as_typed(close, sent, name, value):
    """Each writable property of the schema takes its documented type and shows it again in the response."""
    record = close.update_opportunity("oppo_1", {name: value})
    assert (sent()[0].body, record[name]) == ({name: value}, value)


@pytest.mark.parametrize(
    ("name", "value"), [("value_period", "weekly"), ("confidence", 7.5), ("value", 1.5), ("confidence", None)]
)
def test_values_outside_the_schema(close, sent, name, value):
    """Values that the schema rules out (another `value_period`, a fraction, null for an integer) are refused unsent."""
    with pytest.raises(InvalidValueError):
        close.update_opportunity("oppo_1", {name: value})
    assert sent() == []


def test_200_is_the_opportunity(close):
    """200 answers an `Opportunity` by the schema, with all 19 required properties, and that is what the caller gets."""
    record = close.update_opportunity("oppo_1", {"note": "new"})
    validate(record)
    required = document()["components"]["schemas"]["Opportunity"]["required"]
    assert (len(required), [name for name in required if name not in record]) == (19, [])


@pytest.mark.parametrize("kind", ["won", "lost", "active"])
def test_status_types(close, kind):
    """`status_type` is won, lost or active, and shows which statuses win a deal."""
    schema = document()["components"]["schemas"]["OpportunityStatusType"]
    catalogue = close.session.catalogue(("stage",))
    assert kind in schema["enum"]
    assert {stage.id for stage in catalogue.stages if stage.type == kind} >= {
        f"stat_sales_{kind}",
        f"stat_renewals_{kind}",
    }


COMPONENTS = {
    "attachments": [{"content_type": None, "filename": None, "size": None, "url": "u", "thumbnail_url": None}],
    "comment_summary": {"comment_count": 1, "thread_id": "t"},
    "integration_links": [{"name": "n", "url": "u"}],
    "is_stalled": True,
    "lead_primary_email": {"email": "a@example.com", "is_unsubscribed": False, "type": "office"},
    "lead_primary_phone": [{"phone": "+1", "type": "office", "country": None, "tz_ids": ["America/New_York"]}],
    "stall_status": {
        "communication_issue": "no_issue",
        "next_action": {"action": "follow_up", "justification": "Silence."},
    },
}
SUGGESTIONS = {
    "change_status": {"status_id": "stat_sales_won"},
    "adjust_close_date": {"close_date": "2026-07-01"},
    "follow_up_email": {"contact_id": "cont_1", "message_draft": "m", "subject_draft": "s"},
    "follow_up_sms": {"contact_id": "cont_1", "message_draft": "m"},
    "follow_up_call": {"call_plan": "p", "contact_id": "cont_1"},
}


@pytest.mark.parametrize("action", [None, *SUGGESTIONS])
def test_response_components_pass_through(close, stored, answer, action):
    """Every component schema (attachments, contacts, stall status, suggested actions) is handed on as it came."""
    record = {**stored(), **COMPONENTS, "suggested_action": None}
    if action:
        record["suggested_action"] = {"action": action, "details": SUGGESTIONS[action], "justification": "j"}
        details = {"change_status": "ChangeStatus", "adjust_close_date": "AdjustCloseDate"}.get(action)
        details = details or f"FollowUp{action.rpartition('_')[2].title().replace('Sms', 'SMS')}"
        validate(SUGGESTIONS[action], f"Opportunity{details}ActionDetails")
    for name in COMPONENTS.keys() - {"is_stalled"}:
        assert name in document()["components"]["schemas"]["Opportunity"]["properties"]
    assert CLOSE.read(answer(200, json=record)) == record


@pytest.mark.parametrize("missing", ["value_currency", "suggested_action", "lead_name", "stall_status"])
def test_response_without_optional_properties(close, stored, answer, missing):
    """A property that the schema does not require may be absent; the update is still confirmed."""
    row, catalogue = Update(row=0, record_id="oppo_1", fields={"note": "old"}), close.session.catalogue(("note",))
    call = calls_of("oppo_1", writes_of(row, CLOSE, catalogue))[0]
    record = {name: value for name, value in stored().items() if name != missing}
    check_echo(call, CLOSE.read(answer(200, json=record)), "oppo_1", CLOSE, catalogue)


def test_response_that_shows_another_value(close, sandbox):
    """A 200 whose opportunity does not show what was sent is no success."""
    sandbox.set(ignored_fields=frozenset({"value"}))
    with pytest.raises(IgnoredError, match="value"):
        close.update_opportunity("oppo_1", {"value": 5, "note": "new"})


@pytest.mark.parametrize(
    ("body", "message", "fields"),
    [
        ({"errors": [], "field-errors": {"value": "No."}}, "Close answered 400 (value: No.).", {"value": "No."}),
        ({"errors": ["No.", "Never."], "field-errors": {}}, "Close answered 400: No.; Never.", {}),
        (
            {"field-errors": {"custom": {"cf_x": ["a", "b"]}}},
            "Close answered 400 (custom.cf_x: a; b).",
            {"custom.cf_x": "a; b"},
        ),
        ({"error": "Invalid JSON"}, "Close answered 400: Invalid JSON.", {}),
        ({"error": {"message": "Bad"}}, "Close answered 400: Bad.", {}),
    ],
)
def test_400_of_any_type(answer, body, message, fields):
    """400 has a body of any type: in each shape on record the row is rejected, with the vendor's reason."""
    error = CLOSE.error(answer(400, json=body))
    assert (type(error), str(error), error.field_errors, error.status, error.code) == (
        RejectedError,
        message,
        fields,
        400,
        "BAD_REQUEST",
    )


@pytest.mark.parametrize(
    "switches", [{}, {"close_flat_errors": True}, {"close_pydantic_errors": True}, {"close_nested_field_errors": True}]
)
def test_400_on_the_wire(close, sandbox, stored, switches):
    """400: the row is rejected with the vendor's reason in any of its shapes, and nothing of the row is written."""
    sandbox.set(**switches)
    with pytest.raises(RejectedError, match="cf_tier") as refused:
        close.update_opportunity("oppo_1", {"custom.cf_tier": "Platinum", "note": "new"})
    error = refused.value
    assert (error.vendor, error.status, error.code, error.record_id) == ("close", 400, "BAD_REQUEST", "oppo_1")
    assert stored()["note"] == "old"


@pytest.mark.parametrize("body", ["text", ["list"], None, 7, {}, {"error": None}, {"errors": "x"}, {"field-errors": 1}])
@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_type_that_is_on_no_record(answer, status, body):
    """A body of any type is allowed; only the shapes on record were ever seen, any other is taken for a gateway's."""
    error = CLOSE.error(answer(status, json=body))
    assert (type(error), error.status, error.code) == (TransientError, status, "FOREIGN_ANSWER")


@pytest.mark.parametrize("body", [{"error": "Unauthorized"}, {"errors": ["No."]}, {"field-errors": {"x": "y"}}])
def test_401_of_any_type(answer, body):
    """401 has a body of any type: in each shape on record the whole key is refused and the run stops."""
    error = CLOSE.error(answer(401, json=body))
    assert (type(error), error.status, error.code) == (AuthenticationError, 401, "HTTP_401")


def test_401_on_the_wire(connect, sent, stored):
    """401: a wrong key is reported with the vendor's word, and nothing is written."""
    with pytest.raises(AuthenticationError, match="Close answered 401: Unauthorized"):
        connect("close", password="api_wrong").update_opportunity("oppo_1", {"note": "new"})
    assert (sent(), stored()["note"]) == ([], "old")


@pytest.mark.parametrize("body", [{"error": "Empty query: does not exist."}, {"errors": ["Gone."], "field-errors": {}}])
def test_404_of_any_type(answer, body):
    """404 has a body of any type: in each shape on record this row is rejected and the others go on."""
    error = CLOSE.error(answer(404, json=body))
    assert (type(error), error.status, error.code) == (RejectedError, 404, "NOT_FOUND")


def test_404_on_the_wire(close):
    """404: the opportunity does not exist; the row is rejected with its id."""
    with pytest.raises(RejectedError, match="Close answered 404: Empty query") as refused:
        close.update_opportunity("oppo_none", {"note": "new"})
    assert (refused.value.status, refused.value.code, refused.value.record_id) == (404, "NOT_FOUND", "oppo_none")


@pytest.mark.parametrize("body", [[], "text", 5, None])
def test_200_that_is_no_object(answer, body):
    """A 200 is an `Opportunity` object; anything else is no answer, and never counts as written."""
    with pytest.raises(TransientError, match="without a record"):
        CLOSE.read(answer(200, json=body))
