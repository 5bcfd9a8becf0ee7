"""Batchly's vendors without a server: the calls that they make, and what they read out of answers."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from airflow_provider_crm.exceptions import (
    AuthenticationError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.vendors.calls import BatchRow
from airflow_provider_crm.vendors.credentials import Credentials
from airflow_provider_crm.vendors.limits import Limits
from tests.fake.by_hand import answer_of, record
from tests.fake.vendor import BATCHLY, BATCHLY_FLAT, BATCHLY_MUTE, VENDORS

NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
ROWS = [BatchRow(one, '{"properties": {"amount": "1"}}', f"t{one}") for one in ("0070001", "70002", "70003")]
every_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
named = pytest.mark.parametrize("vendor", [BATCHLY, BATCHLY_FLAT], ids=lambda vendor: vendor.name)


# Batches that write


def test_a_batch_names_each_row():
    """A batch holds the id, trace and properties of each row; in the other form it has no trace."""
    (call,) = BATCHLY.write_calls(("amount",))
    first = json.loads(call.batch.join(ROWS))["inputs"][0]
    assert first == {"id": "0070001", "traceId": "t0070001", "properties": {"amount": "1"}}
    (call,) = BATCHLY_MUTE.write_calls(("amount",))
    body = json.loads(call.batch.join(ROWS))
    assert (body["allOrNone"], body["records"][1]) == (False, {"id": "70002", "properties": {"amount": "1"}})


def split(vendor, body, status=207):
    """Return what an answer says of each of the three rows: its record's id, its error's code, or None."""
    (call,) = vendor.write_calls(("amount",))
    answers = call.batch.split(answer_of(body, status), ROWS)
    return [one.code if isinstance(one, RejectedError | TransientError) else one and one["id"] for one in answers]


def error(code, context):
    """Return an error of the named form."""
    return {"status": "error", "code": code, "message": "no", "context": context}


@named
def test_split_by_name(vendor):
    """Records are matched by their canonical id and errors by trace or ids, in any order."""
    results = [record() | {"id": "70003"}, record()]
    assert split(vendor, {"results": results, "errors": [error("RULE", {"traceId": ["t70002"]})]}) == [
        "70001", "RULE", "70003",
    ]  # fmt: skip
    errors = [error("NOT_FOUND", {"ids": ["70002", "70001"]})]
    assert split(vendor, {"results": results[:1], "errors": errors}) == ["NOT_FOUND", "NOT_FOUND", "70003"]


@named
def test_split_never_guesses(vendor):
    """Errors that name no row, strange rows and missing ones say nothing; of record and error the error counts."""
    assert split(vendor, {"results": [], "errors": [error("RULE", {})]}) == [None, None, None]
    assert split(vendor, {"results": [record() | {"id": "9"}, {"no": "id"}]}, 200) == [None, None, None]
    both = {"results": [record()], "errors": [error("RULE", {"traceId": ["t0070001"]})]}
    assert split(vendor, both) == ["RULE", None, None]


def test_split_by_position():
    """Results are matched by position; a result of no known shape says nothing, nor does any if one is missing."""
    refused = {"success": False, "errors": [{"errorCode": "RULE", "message": "no", "fields": []}]}
    results = [{"id": "70001", "success": True, "errors": []}, refused, {}]
    assert split(BATCHLY_MUTE, results, 200) == ["70001", "RULE", None]
    assert split(BATCHLY_MUTE, results[:2], 200) == [None, None, None]


@every_vendor
def test_split_of_other_answers(vendor):
    """No body says nothing about the rows; a page of a proxy and a body of another shape are no answer at all."""
    (call,) = vendor.write_calls(("amount",))
    assert call.batch.split(answer_of(), ROWS) == [None, None, None]
    for body in (b"<html>", {"status": "fine"}, b'{"results": [', "[]"):
        with pytest.raises(TransientError):
            call.batch.split(answer_of(body), ROWS)


def test_row_errors():
    """A row's error has its kind, its code and the property at fault."""
    (call,) = BATCHLY.write_calls(("amount",))
    errors = [
        error("LOCKED", {"traceId": ["t70002"]}),
        error("INVALID_NUMBER", {"traceId": ["t70003"]})
        | {"errors": [{"property": "amount", "message": "it is no number"}]},
    ]
    _, locked, invalid = call.batch.split(answer_of({"results": [], "errors": errors}, 207), ROWS)
    assert isinstance(locked, TransientError)
    assert isinstance(invalid, RejectedError)
    assert (invalid.status, invalid.field_errors) == (400, {"amount": "it is no number"})


def test_costs():
    """A call is one unit; where rows cost units, each of them is one more."""
    costs = []
    for vendor in (BATCHLY, BATCHLY_MUTE):
        (call,) = vendor.write_calls(("amount",))
        costs.append((call.cost, call.batch.cost, call.batch.cost_per_row, call.batch.largest, call.shows_values))
    assert costs == [(1, 1, 0, 100, True), (2, 1, 1, 100, False)]


# Reads


@every_vendor
def test_reads_name_their_keys(vendor):
    """Single, batch and list reads name the keys to read; without keys they name none."""
    root = f"/{vendor.name}/v1/records"
    assert vendor.read_call("70001", ("amount", "c_tier"))[1:3] == (f"{root}/70001", {"properties": "amount,c_tier"})
    assert vendor.read_call("a/b", ())[1:3] == (f"{root}/a%2Fb", {})
    call = vendor.batch_read.call(["70001", "70002"], ["amount"])
    body = json.loads(call.body)
    assert (call.method, call.path, body["properties"]) == ("POST", f"{root}/batch/read", ["amount"])
    assert (body.get("inputs") or body["records"]) == [{"id": "70001"}, {"id": "70002"}]
    assert "properties" not in json.loads(vendor.batch_read.call(["70001"], []).body)


@pytest.mark.parametrize(
    ("vendor", "body"),
    [
        (BATCHLY, {"results": [record()], "errors": [error("NOT_FOUND", {"ids": ["9"]})]}),
        (BATCHLY_MUTE, [record(), None, None]),
    ],
)
def test_batch_read(vendor, body):
    """A missing record is a rejection with status 404; one without a word is unknown where records are named."""
    found, missing, silent = vendor.batch_read.split(answer_of(body, 207), ["70001", "9", "70003"])
    assert found["id"] == "70001"
    assert (type(missing), missing.status, missing.code) == (RejectedError, 404, "NOT_FOUND")
    assert silent is None if vendor is BATCHLY else silent.code == "NOT_FOUND"


def test_list():
    """The cursor of a page is passed on as it is; the last page has none, and no page tells how many there are."""
    call = BATCHLY.list_call({"archived": "false"}, "Y3Vyc29y==", ("amount",))
    assert call.params == {"archived": "false", "properties": "amount", "limit": "100", "after": "Y3Vyc29y=="}
    assert "after" not in BATCHLY.list_call({}, None, ()).params
    page = BATCHLY.parse_page({"results": [record()], "paging": {"next": {"after": "abc"}}}, None)
    assert (len(page.records), page.cursor, page.pages) == (1, "abc", None)
    assert BATCHLY.parse_page({"results": []}, "abc") == ([], None, None)
    assert BATCHLY.parse_page("page", None) == ([], None, None)
    assert BATCHLY.budget_group(call) != BATCHLY.budget_group(BATCHLY.read_call("70001", ()))


# Errors, limits, identity


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "AUTHENTICATION", AuthenticationError),
        (403, "MISSING_SCOPES", AuthenticationError),
        (404, "NOT_FOUND", RejectedError),
        (400, "INVALID_NUMBER", RejectedError),
        (423, "LOCKED", TransientError),
        (429, "RATE_LIMIT", RateLimitedError),
        (503, "INTERNAL", TransientError),
    ],
)
@every_vendor
def test_errors(vendor, status, code, kind):
    """An error in either form has its kind and code; a body of no such form is no verdict."""
    forms = [error(code, {}), [{"errorCode": code, "message": "no", "fields": ["amount"]}]]
    for form in forms:
        read = vendor.error(answer_of(form, status))
        assert (type(read), read.code, read.status, read.vendor) == (kind, code, status, vendor.name)
    assert isinstance(vendor.error(answer_of({"message": "Not Found"}, status)), TransientError)


def test_limits():
    """The burst tells its length and no end, the day its end; a refusal says which of them is used up, and how long."""
    headers = {
        "x-batchly-limit": "190", "x-batchly-remaining": "12", "x-batchly-interval-milliseconds": "10000",
        "x-batchly-daily-limit": "250000", "x-batchly-daily-remaining": "9", "x-batchly-daily-reset": "3600.5",
    }  # fmt: skip
    burst = Limits(limit=190, remaining=12, length=10.0, name="burst")
    day = Limits(limit=250_000, remaining=9, reset=3600.5, name="day", is_daily=True)
    assert BATCHLY.limits(answer_of({}, headers=headers), NOW, None) == (burst, day)
    told = {"status": "error", "code": "RATE_LIMIT", "message": "no", "policyName": "BURST", "retryAfterMs": 1500}
    assert [one.wait for one in BATCHLY.limits(answer_of(told, 429, headers), NOW, None)] == [1.5, None]
    del told["retryAfterMs"]
    assert [one.wait for one in BATCHLY.limits(answer_of(told, 429, headers), NOW, None)] == [10.0, None]
    told["policyName"] = "DAILY"
    assert [one.wait for one in BATCHLY.limits(answer_of(told, 429, headers), NOW, None)] == [None, 3600.5]
    assert BATCHLY.limits(answer_of({}), NOW, None) == (Limits(name="burst"), Limits(name="day", is_daily=True))


@every_vendor
def test_identity(vendor):
    """Zeros in front of an id do not count; any other text is an id of its own."""
    spellings = [vendor.canonical_id(one) for one in ("70001", "0070001", "0", "00", "7a", "\u0667")]
    assert spellings == ["70001", "70001", "0", "0", "7a", "\u0667"]


@every_vendor
def test_authentication_and_addresses(vendor):
    """A token signs by a header of its own; records have a page at the vendor's own service only."""
    assert vendor.authentication(Credentials("5ecret")).headers == {"X-Batchly-Token": "5ecret"}
    assert len(vendor.authentication(Credentials()).problems) == 1
    assert vendor.record_url(vendor.origin, "4711", "a/b") == "https://app.batchly.example/records/a%2Fb"
    assert vendor.record_url("http://127.0.0.1:1", "4711", "70001") is None


def test_the_answer_to_a_write_that_shows_nothing():
    """An answer without a body is a write of the vendor that shows nothing, and no answer of the others."""
    assert BATCHLY_MUTE.read(answer_of(None, 204)) == {}
    with pytest.raises(TransientError):
        BATCHLY.read(answer_of(None, 204))
    with pytest.raises(TransientError):
        BATCHLY_MUTE.read(answer_of(b"<html>"))
