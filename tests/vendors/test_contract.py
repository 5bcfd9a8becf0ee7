"""Claims about every vendor: its line in `VENDORS` subjects a third one to all of them."""

from __future__ import annotations

import contextlib
import inspect
import json
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote

import jsonschema
import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st

import airflow_provider_crm
from airflow_provider_crm.exceptions import (
    AuthenticationError,
    ConfigurationError,
    CrmError,
    IgnoredError,
    InvalidValueError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.provider_info import get_provider_info
from airflow_provider_crm.values.opportunity import CANONICAL_FIELDS, Field, Update
from airflow_provider_crm.vendors import API_VERSION, VENDORS
from airflow_provider_crm.vendors.calls import Call
from airflow_provider_crm.vendors.comparison import is_written
from airflow_provider_crm.vendors.credentials import COMMON_EXTRA, Credentials
from airflow_provider_crm.vendors.encoding import calls_of, check_echo, writes_of
from airflow_provider_crm.vendors.protocol import Vendor

PACKAGE = Path(airflow_provider_crm.__file__).parent
every_vendor = pytest.mark.parametrize("vendor", VENDORS)
RECORD = {"close": "oppo_1", "raze": "opp_1"}
SHOWN = {
    "close": [
        "deal_value", "value", "value_period", "confidence", "note", "notes", "contact_id", "user_id", "stage",
        "responsible_user_id", "status_id", "date_won", "custom.cf_health", "custom.cf_score", "custom.cf_products",
        "custom.cf_products.add", "custom.cf_products.remove", "custom.cf_renewal_date", "custom.cf_last_seen",
        "custom.cf_tier", "custom.cf_owner", "custom.cf_restricted", "custom.cf_region",
    ],
    "raze": ["deal_value", "deal_currency", "stage", "status", "notes", "name", "email", "company"],
}  # fmt: skip
NOT_SHOWN = {
    "close": {"deal_currency"},  # never sent
    "raze": {"phone", "position", "responsible_user_id"},  # left out of the documented answer
}
VALUES = {
    "deal_value": "77.5", "value": 77, "value_period": "annual", "confidence": 77, "user_id": "user_grace",
    "responsible_user_id": "user_grace", "status_id": "stat_sales_lost", "status": "lost", "custom.cf_tier": "Gold",
    "custom.cf_owner": "user_grace", "custom.cf_products.remove": "Support",
    "date_won": "2026-01-31", "custom.cf_score": 7.5, "custom.cf_products": ["Core"], "custom.cf_products.add": "Core",
    "custom.cf_renewal_date": "2026-01-31", "custom.cf_last_seen": "2026-01-31T12:00:00Z", "deal_currency": "EUR",
    "email": "new@example.com",
}  # fmt: skip
STAGES = {"close": "Sales/Proposal", "raze": "proposal"}
IDS = [
    "../users/1",
    "a/b?x=1#y",
    "é",
    "a\nb",
    "%2e%2e",
    "..%2f..%2fme",
    "/",
    "a b+c&d=e",
    "a;b",
    "\\",
    "…",
    "oppo_1/stage",
]

KEYS = [
    "success", "data", "error", "errors", "field-errors", "code", "message", "details", "fields", "id", "type",
    "has_more", "organizations", "pipelines", "statuses", "opportunities", "pagination", "page", "total_pages",
    "accepts_multiple_values",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)


def response_of(status, body):
    """Return an answer made by hand, for tests that make many."""
    response = requests.Response()
    response.status_code = status
    response._content = body
    return response


# The object


@every_vendor
def test_protocol(vendor):
    """A vendor has every attribute and method of the protocol, with the same parameters, and its own name."""
    made = VENDORS[vendor]
    methods = {name: one for name, one in vars(Vendor).items() if inspect.isfunction(one) and not name.startswith("_")}
    assert [name for name in Vendor.__annotations__ if not hasattr(made, name)] == []
    for name, method in methods.items():
        wanted = list(inspect.signature(method).parameters)[1:]
        assert list(inspect.signature(getattr(made, name)).parameters) == wanted
    assert (made.name, made.origin.startswith("https://"), bool(made.display_name)) == (vendor, True, True)
    assert made.api_version == API_VERSION


@every_vendor
def test_provider_form(vendor):
    """The connection form shows the vendor's fields and no other, with secrets as passwords, and its hook exists."""
    types = {one["connection-type"]: one for one in get_provider_info()["connection-types"]}
    form, extra = types[vendor], {**COMMON_EXTRA, **VENDORS[vendor].extra}
    assert {name for name, one in form["conn-fields"].items() if one["schema"].get("format") == "password"} == {
        name for name, one in extra.items() if one.secret
    }
    assert form["conn-fields"].keys() == extra.keys()
    for one in form["conn-fields"].values():
        jsonschema.Draft202012Validator.check_schema(one["schema"])
    module, _, name = form["hook-class-name"].rpartition(".")
    hook = getattr(import_module(module), name)
    assert (issubclass(hook, CrmHook), hook.conn_type) == (True, vendor)


@every_vendor
def test_sandbox_has_the_vendor(vendor, crm_sandbox):
    """There is a sandbox of the vendor in a file of its own, and a connection that leads to it."""
    assert (PACKAGE / "sandbox" / vendor / "api.py").is_file()
    assert hasattr(crm_sandbox, vendor)
    assert json.loads(crm_sandbox.connection_uris()[f"{vendor}_default"])["conn_type"] == vendor


@every_vendor
def test_credentials(vendor):
    """Without a key the vendor says what is missing; with one it signs, and what signs shows nothing."""
    made = VENDORS[vendor]
    missing, good = made.authentication(Credentials()), made.authentication(Credentials("5ecret"))
    assert (bool(missing.problems), missing.headers, missing.grant) == (True, {}, None)
    assert (good.problems, good.grant) == ((), None)
    assert good.headers.keys() in ({"Authorization"}, {"X-API-Key"})
    assert "5ecret" not in repr(good)


@every_vendor
def test_probe(vendor):
    """The connection test writes nothing, and stays within the vendor's API."""
    probe = VENDORS[vendor].probe()
    assert (probe.method, probe.body, probe.writes) == ("GET", None, {})
    assert probe.path.startswith(("/api/v1/", "/external/v1/"))


@every_vendor
@pytest.mark.parametrize("body", [{}, [], "text", None, {"status": "ok"}, {"success": True}, {"data": []}])
def test_probe_of_another_service(vendor, answer, body):
    """A 200 with JSON of another service is no connection."""
    foreign = body if not (vendor == "raze" and body == {"success": True}) else {"success": "yes"}
    with pytest.raises(CrmError):
        VENDORS[vendor].check_probe(answer(200, json=foreign))


# Fields


@every_vendor
def test_canonical_fields(vendor, connect):
    """Every canonical field is translated; one that cannot be written is refused with the reason."""
    catalogue = connect(vendor).session.catalogue(CANONICAL_FIELDS)
    missing = [name for name in CANONICAL_FIELDS if name not in catalogue.fields]
    assert set(missing) <= {"date_won"}
    assert all("server stamps" in catalogue.unknown_field(name, vendor) for name in missing)


@every_vendor
def test_one_row_serves_every_vendor(vendor, connect, sandbox):
    """The same canonical row lands in each CRM."""
    currency = {"close": "USD"}.get(vendor, "EUR")
    row = {"deal_value": "1234.56", "deal_currency": currency, "notes": "same", "stage": STAGES[vendor]}
    record = connect(vendor).update_opportunity(RECORD[vendor], row)
    stored = getattr(sandbox, vendor).opportunity(RECORD[vendor])
    shown = stored.get("value_formatted") or f"{stored['deal_currency']} {stored['deal_value']}"
    assert shown in {"$1,234.56", "EUR 1234.56"}
    assert record["id"] == RECORD[vendor]


@every_vendor
def test_unknown_field(vendor, connect):
    """The error for an unknown field names it, and the fields that may be written."""
    catalogue = connect(vendor).session.catalogue(("deal_value",))
    text = catalogue.unknown_field("dealvalue", VENDORS[vendor].display_name)
    assert "'dealvalue'" in text
    assert all(name in text for name in catalogue.fields)


@every_vendor
def test_catalogue_names(vendor, connect):
    """The catalogue's keys are the names of its fields, and every field has a target."""
    catalogue = connect(vendor).session.catalogue(("custom.cf_health",))
    assert all(isinstance(one, Field) and one.name == name and one.target for name, one in catalogue.fields.items())
    assert {stage.type for stage in catalogue.stages} == {"won", "lost", "active"}


def calls_that_write(vendor, row, catalogue):
    """Return the calls that write a row."""
    return calls_of(row.record_id, writes_of(row, VENDORS[vendor], catalogue))


@every_vendor
def test_calls_never_create(vendor, connect):
    """No update becomes a POST or a DELETE, and an update of nothing becomes no call."""
    catalogue = connect(vendor).session.catalogue(("notes", "stage"))
    row = Update(0, "x", {"notes": "new", "stage": STAGES[vendor]})
    calls = calls_that_write(vendor, row, catalogue)
    assert {call.method for call in calls} <= {"PUT", "PATCH"}
    assert {name for call in calls for name in call.fields} == {"notes", "stage"}
    assert calls_that_write(vendor, Update(0, "x", {}), catalogue) == ()


# Ids


@every_vendor
@pytest.mark.parametrize("record_id", IDS)
def test_no_id_reaches_another_endpoint(vendor, connect, sandbox, record_id):
    """Any id is one segment of the path on the wire, and names no other resource."""
    hook = connect(vendor)
    for call in (
        hook.get_opportunity,
        lambda one: hook.update_opportunity(one, {"notes": "new", "stage": STAGES[vendor]}),
    ):
        with pytest.raises(RejectedError):
            call(record_id)
    base = {"close": "/api/v1/opportunity/", "raze": "/external/v1/opportunities/"}[vendor]
    paths = [call.path for call in sandbox.audit.calls if not call.path.startswith("/api/v1/me/")]
    segments = {path.removeprefix(base).removesuffix("/") for path in paths}
    assert ({unquote(segment) for segment in segments}, any("/" in segment for segment in segments)) == (
        {record_id},
        False,
    )
    assert (len(paths), [call.query for call in sandbox.audit.calls if call.path in paths]) == (2, [{}, {}])
    assert sandbox.audit.writes == []


@every_vendor
@pytest.mark.parametrize("record_id", IDS)
def test_a_strange_id_that_exists(vendor, connect, sandbox, record_id):
    """An id arrives as it is: a record of that very id is found, both calls of a row reach it."""
    getattr(sandbox, vendor).add_opportunity(record_id)
    record = connect(vendor).update_opportunity(record_id, {"notes": "new", "stage": STAGES[vendor]})
    assert record["id"] == record_id
    assert {write.record_id for write in sandbox.audit.writes} == {record_id}


@every_vendor
@pytest.mark.parametrize("record_id", [".", "..", "...", "", " ", "\t", "\ud800"])
def test_an_id_that_is_none(vendor, connect, sandbox, record_id):
    """Dots that URL libraries resolve, and nothing at all, are refused before anything is sent for them."""
    hook = connect(vendor)
    for call in (hook.get_opportunity, lambda one: hook.update_opportunity(one, {"notes": "new"})):
        with pytest.raises(InvalidValueError):
            call(record_id)
    assert [call.path for call in sandbox.audit.calls if not call.path.startswith("/api/v1/me/")] == []


# Echo


@every_vendor
def test_every_field_is_shown_or_known_not_to_be(vendor, connect):
    """The list below is complete: of each writable field it is known whether the answer shows it."""
    catalogue = connect(vendor).session.catalogue(("custom.x",))
    assert catalogue.fields.keys() == {*SHOWN[vendor], *NOT_SHOWN[vendor]}


@pytest.mark.parametrize(("vendor", "name"), [(vendor, name) for vendor in VENDORS for name in SHOWN[vendor]])
def test_a_value_that_is_silently_dropped_is_noticed(vendor, name, connect, sandbox):
    """For every field that the answer shows: a 2xx without the value is `IgnoredError`, naming the field."""
    getattr(sandbox, vendor).add_opportunity("x", **{"close": {"custom.cf_products": ["Support"]}}.get(vendor, {}))
    hook = connect(vendor)
    target = hook.session.catalogue((name,)).fields[name].target
    row = {name: STAGES[vendor] if name == "stage" else VALUES.get(name, "new")}
    sandbox.set(ignored_ids=frozenset({"x"}))
    with pytest.raises(IgnoredError, match=target) as ignored:
        hook.update_opportunity("x", row)
    assert (ignored.value.code, ignored.value.vendor, ignored.value.record_id) == ("NOT_WRITTEN", vendor, "x")
    sandbox.reset_switches()
    assert hook.update_opportunity("x", row)["id"] == "x"


@every_vendor
def test_an_echo_of_another_record_is_noticed(vendor, connect, sandbox):
    """A 2xx with the record of another id confirms nothing."""
    hook = connect(vendor)
    catalogue = hook.session.catalogue(("notes",))
    call = calls_that_write(vendor, Update(0, "x", {"notes": "old"}), catalogue)[0]
    with pytest.raises(IgnoredError) as ignored:
        check_echo(call, hook.get_opportunity(RECORD[vendor]), "x", VENDORS[vendor], catalogue)
    assert ignored.value.field_errors.keys() == {"id"}


@every_vendor
def test_an_absent_field_is_never_taken_for_an_applied_one(vendor, connect):
    """A record that was read and lacks a key does not show that it was written."""
    catalogue = connect(vendor).session.catalogue(("notes",))
    call = calls_that_write(vendor, Update(0, "x", {"notes": "new"}), catalogue)[0]
    assert is_written(call, {"id": "x"}, VENDORS[vendor], catalogue) is False


# Errors


OWN_ERROR = {"close": {"error": "No."}, "raze": {"success": False, "error": {"code": "X", "message": "No."}}}
# fmt: off
FOREIGN = [
    b"", b"<html>", b"{", b"[]", b"null", b'"text"', b"\xff", b"[" * 100_000, b"{}", b'{"message": "Not found"}',
    b'{"detail": "Not Found"}', b'{"error": {"code": 404, "message": "No.", "status": "NOT_FOUND"}}',
    b'{"status": 404, "error": "Not Found", "path": "/api"}', b'{"success": false, "message": "Route not found"}',
    b'{"success": false, "errors": [{"code": 1015}], "messages": [], "result": null}',
]
# fmt: on


@every_vendor
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RejectedError),
        (401, AuthenticationError),
        (402, ConfigurationError),
        (403, AuthenticationError),
        (404, RejectedError),
        (405, ConfigurationError),
        (408, TransientError),
        (409, TransientError),
        (410, RejectedError),
        (415, ConfigurationError),
        (421, TransientError),
        (422, RejectedError),
        (423, TransientError),
        (425, TransientError),
        (429, RateLimitedError),
        (500, TransientError),
        (502, TransientError),
        (503, TransientError),
        (504, TransientError),
        (599, TransientError),
    ],
)
def test_every_status_of_the_vendor_has_a_consequence(vendor, answer, status, kind):
    """In the vendor's own shape a status says whether to stop, to wait, or to give up this row."""
    error = VENDORS[vendor].error(answer(status, json=OWN_ERROR[vendor]))
    assert (type(error), error.vendor, error.status, bool(error.code)) == (kind, vendor, status, True)
    assert str(error).startswith(f"{VENDORS[vendor].display_name} answered {status}")


@every_vendor
@pytest.mark.parametrize("body", FOREIGN)
def test_what_is_not_the_vendors_is_no_verdict(vendor, answer, body):
    """With any status an answer in another shape is temporary: it refuses neither a row nor the key."""
    for status in (400, 401, 402, 403, 404, 405, 407, 409, 410, 413, 415, 421, 422, 423, 426, 431, 451, 499):
        error = VENDORS[vendor].error(answer(status, body=body))
        assert (type(error), error.vendor, error.status, error.code) == (
            TransientError, vendor, status, "FOREIGN_ANSWER",
        )  # fmt: skip
        assert f"answered {status} with" in str(error)
        assert f"no answer of {VENDORS[vendor].display_name}" in str(error)


@every_vendor
@pytest.mark.parametrize("body", FOREIGN)
@pytest.mark.parametrize(("status", "kind"), [(429, RateLimitedError), (500, TransientError), (503, TransientError)])
def test_a_status_that_passes_needs_no_shape(vendor, answer, status, kind, body):
    """429 and 5xx mean the same from any sender."""
    error = VENDORS[vendor].error(answer(status, body=body))
    assert (type(error), error.vendor, error.code) == (kind, vendor, f"HTTP_{status}")
    assert str(error).startswith(f"{VENDORS[vendor].display_name} answered {status} with ")


@every_vendor
def test_a_foreign_answer_names_its_sender(vendor, answer):
    """The page's title, a gateway's message and the `Server` header help to find who has answered."""
    page = b"<!DOCTYPE html><html><head><title>Zscaler: access\n denied</title>"
    headers = {"Content-Type": "text/html; charset=utf-8", "Server": "nginx/1.2"}
    error = VENDORS[vendor].error(answer(403, headers=headers, body=page))
    assert 'a body of text/html that says "Zscaler: access denied" from server nginx/1.2' in str(error)
    assert 'that says "Not found"' in str(VENDORS[vendor].error(answer(404, json={"message": "Not found"})))
    assert "with an empty body" in str(VENDORS[vendor].error(answer(407, body=b"")))


@every_vendor
def test_errors_carry_what_the_vendor_said(vendor, connect):
    """A rejected row has the vendor's message for each field, with status, code and record."""
    fields = {"close": {"custom.cf_tier": "Platinum"}, "raze": {"email": "nobody"}}[vendor]
    with pytest.raises(RejectedError) as refused:
        connect(vendor).update_opportunity(RECORD[vendor], fields)
    error = refused.value
    assert (error.status, error.vendor, error.record_id) == (400, vendor, RECORD[vendor])
    assert (error.field_errors.keys(), bool(error.code)) == (fields.keys(), True)
    assert all(text in str(error) for text in error.field_errors.values())


@every_vendor
def test_a_5xx_is_tried_again(vendor, connect, sandbox):
    """Two 5xx in a row and a row still lands."""
    sandbox.script(faults=["http_500", "http_502"], method="PUT")
    assert connect(vendor).update_opportunity(RECORD[vendor], {"notes": "new"})["id"] == RECORD[vendor]
    assert (sandbox.audit.count(vendor, "PUT"), len(sandbox.audit.writes)) == (3, 1)


@every_vendor
def test_a_401_stops(vendor, connect, sandbox):
    """A refused key is not tried twice."""
    hook = connect(vendor, password="wrong")
    with pytest.raises(AuthenticationError):
        hook.update_opportunity(RECORD[vendor], {"notes": "new"})
    assert len(sandbox.audit.calls) == 1


@every_vendor
@settings(deadline=None, derandomize=True, max_examples=300)
@given(status=st.sampled_from([200, 201, 204, 400, 403, 404, 429, 500, 503]), body=JSON)
@example(status=200, body={"success": False})
def test_no_body_breaks_a_vendor(vendor, status, body):
    """Reading any JSON yields a record, a page, a catalogue or a `CrmError`: nothing else."""
    made = VENDORS[vendor]
    response = response_of(status, json.dumps(body).encode())
    for read in (made.read, made.check_probe):
        with contextlib.suppress(CrmError):
            assert isinstance(read(response), (dict, str))
    assert isinstance(made.error(response), CrmError)
    page = made.parse_page(body, None)
    assert all(isinstance(record, dict) for record in page.records)
    assert page.cursor is None or isinstance(page.cursor, str)
    assert made.catalogue([body, body]).fields.keys() >= {"deal_value", "stage"}


@every_vendor
def test_a_long_text_of_the_vendor_is_shortened(vendor, answer):
    """A page of text in an error does not flood the log."""
    body = {"error": {"message": "x" * 10_000, "code": "y" * 10_000}, "errors": ["z" * 10_000]}
    assert len(str(VENDORS[vendor].error(answer(400, json=body)))) < 1_000


def test_call_is_a_value():
    """A call is described, not made: two of the same description are equal."""
    assert Call("GET", "/x") == Call("GET", "/x")


@every_vendor
@given(st.text(max_size=40))
@example("6F1C1F5E-9F0B-4A55-8A0E-1F2D3C4B5A69")
@settings(max_examples=50, deadline=None)
def test_an_id_has_one_spelling(vendor, text):
    """The canonical spelling of an id is its own, and an id that is written as the documents do stays as it is."""
    canonical_id = VENDORS[vendor].canonical_id
    assert canonical_id(canonical_id(text)) == canonical_id(text)
    assert canonical_id(RECORD[vendor]) == RECORD[vendor]
