"""Claims about the package's own vendors beyond the contract of every vendor, see `test_contract`."""

from __future__ import annotations

import contextlib
import json
from importlib import import_module
from pathlib import Path

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
    RateLimitedError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.provider_info import get_provider_info
from airflow_provider_crm.values.opportunity import CANONICAL_FIELDS, Update
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.calls import Call
from airflow_provider_crm.vendors.credentials import COMMON_EXTRA, Credentials
from airflow_provider_crm.vendors.encoding import calls_of, writes_of

PACKAGE = Path(airflow_provider_crm.__file__).parent
every_vendor = pytest.mark.parametrize("vendor", VENDORS)
RECORD = {"close": "oppo_1", "raze": "opp_1", "hubspot": "171591000001", "crm_salesforce": "006ak00000OQ4RxAAL"}
STAGES = {"close": "Sales/Proposal", "raze": "proposal", "hubspot": "Contract Sent", "crm_salesforce": "Proposal"}
AMOUNTS = {
    "close": "{value_formatted}",
    "raze": "{deal_currency} {deal_value}",
    "hubspot": "{properties[deal_currency_code]} {properties[amount]}",
    "crm_salesforce": "{CurrencyIsoCode} {Amount}",
}

KEYS = [
    "success", "data", "error", "errors", "field-errors", "code", "message", "details", "fields", "id", "type",
    "has_more", "organizations", "pipelines", "statuses", "opportunities", "pagination", "page", "total_pages",
    "accepts_multiple_values", "results", "properties", "paging", "next", "after", "portalId", "timeZone", "name",
    "options", "metadata", "context", "requiredGranularScopes",
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
    name = vendor.removeprefix("crm_")
    assert (PACKAGE / "sandbox" / name / "api.py").is_file()
    assert hasattr(crm_sandbox, name)
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
    assert probe.path.startswith(("/api/v1/", "/external/v1/", "/account-info/", "/services/data/"))


@every_vendor
def test_errors_carry_what_the_vendor_said(vendor, connect):
    """A rejected row has the vendor's message for exactly its fields, with status, code and record."""
    wrong = {"close": {"custom.cf_tier": "Platinum"}, "raze": {"email": "nobody"}, "hubspot": {"dealstage": "nowhere"}}
    wrong["crm_salesforce"] = {"Discount__c": "75"}
    fields = wrong[vendor]
    with pytest.raises(RejectedError) as refused:
        connect(vendor).update_opportunity(RECORD[vendor], fields)
    error = refused.value
    assert (error.status, error.vendor, error.record_id) == (400, vendor, RECORD[vendor])
    assert (error.field_errors.keys(), bool(error.code)) == (fields.keys(), True)
    assert all(text in str(error) for text in error.field_errors.values())


@every_vendor
@pytest.mark.parametrize("body", [{}, [], "text", None, {"status": "ok"}, {"success": True}, {"data": []}])
def test_probe_of_another_service(vendor, answer, body):
    """A 200 with JSON of another service is no connection."""
    foreign = body if not (vendor == "raze" and body == {"success": True}) else {"success": "yes"}
    with pytest.raises(CrmError):
        VENDORS[vendor].check_probe(answer(200, json=foreign))


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
    stored = getattr(sandbox, vendor.removeprefix("crm_")).opportunity(RECORD[vendor])
    assert AMOUNTS[vendor].format(**stored) in {"$1,234.56", "EUR 1234.56"}
    assert record[VENDORS[vendor].id_key] == RECORD[vendor]


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


OWN_ERROR = {
    "close": {"error": "No."},
    "raze": {"success": False, "error": {"code": "X", "message": "No."}},
    "hubspot": {"status": "error", "message": "No.", "correlationId": "aeb5f871-7f07-4993-9211-075dc63e7cbf"},
    "crm_salesforce": [{"message": "No.", "errorCode": "X"}],
}


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
    assert made.catalogue([body, body], {}).fields.keys() >= {"deal_value", "stage"}


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
