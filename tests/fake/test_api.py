"""Batchly's APIs over HTTP, without the vendor: the server shares no code with the package."""

from __future__ import annotations

import datetime as dt
import json

import pytest
import requests

from tests.fake.batch_calls import amounts, update


def test_account(call):
    """Every key may see the account; a wrong or missing one is 401 with an error of the API's own shape."""
    assert call("GET", "batchly/account").json()["timeZone"] == "America/New_York"
    refused = call("GET", "batchly/account", token="other")
    assert (refused.status_code, refused.json()["category"]) == (401, "AUTHENTICATION")
    assert call("GET", "batchly_mute/account", token="other").json()[0]["errorCode"] == "AUTHENTICATION"


def test_scopes(sandbox, call):
    """A key without a scope reads the account and is refused elsewhere, and the answer names the scope."""
    token = sandbox.account("batchly").add_key(["records.read"])
    assert call("GET", "batchly/records", token=token).ok
    refused = call("PATCH", "batchly/records/70001", {"properties": {"amount": "1"}}, token=token)
    assert (refused.status_code, refused.json()["code"]) == (403, "MISSING_SCOPES")
    assert "records.write" in refused.json()["message"]


def test_schema_and_pipelines(call):
    """The schema has types and read-only properties; stages are strings all over; flat records have none."""
    schema = {one["name"]: one for one in call("GET", "batchly/schema").json()["results"]}
    assert (schema["c_active"]["type"], schema["c_rank"]["readOnlyValue"]) == ("bool", True)
    stages = call("GET", "batchly/pipelines").json()["results"][0]["stages"]
    won = {"id": "sales_won", "label": "Won", "isClosed": "true", "isWon": "true"}
    assert won in stages
    assert call("GET", "batchly_flat/pipelines").status_code == 404
    assert "deal_stage" not in {one["name"] for one in call("GET", "batchly_flat/schema").json()["results"]}


def test_a_read_names_its_properties(call):
    """A read without names shows a few properties; one with names shows just those; an unknown one is left out."""
    by_default = call("GET", "batchly/records/70001").json()["properties"]
    assert by_default.keys() == {"name", "amount", "deal_stage", "pipeline_id"}
    named = call("GET", "batchly/records/70001", params={"properties": "c_tier,close_date,other"}).json()["properties"]
    assert named == {"c_tier": None, "close_date": None}


def test_an_id_has_two_spellings(call, sandbox):
    """Zeros in front of an id do not count, and are never shown; two spellings of one id are one record in a call."""
    assert call("GET", "batchly/records/000070001").json()["id"] == "70001"
    twice = update(call, "batchly", {"70001": {"amount": "1"}, "0070001": {"amount": "2"}})
    assert (twice.status_code, twice.json()["code"]) == (400, "DUPLICATE_ID")
    assert amounts(sandbox)["70001"] == "100.00"


def test_update(call, sandbox):
    """A write changes the named properties, shows them, and is audited as it was sent."""
    sandbox.clock.advance(60)
    answer = call("PATCH", "batchly/records/70001", {"properties": {"amount": "12.50", "description": "new"}})
    assert answer.json()["properties"] == {
        "amount": "12.50", "description": "new", "updated_at": "2026-06-15T12:01:00+00:00",
    }  # fmt: skip
    assert call("PATCH", "batchly_mute/records/70001", {"properties": {"amount": "1"}}).status_code == 204
    writes = [(one.vendor, one.record_id, dict(one.fields)) for one in sandbox.audit.writes]
    assert writes == [
        ("batchly", "70001", {"amount": "12.50", "description": "new"}),
        ("batchly_mute", "70001", {"amount": "1"}),
    ]


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("amount", "", None),
        ("c_active", "true", "true"),
        ("c_products", "Core;Support", "Core;Support"),
        ("c_renewal", "2026-03-01", "2026-03-01"),
        ("close_date", "2026-03-01T12:00:00-05:00", "2026-03-01T17:00:00Z"),
        ("close_date", "2026-03-01", "2026-03-01T00:00:00Z"),
    ],
)
def test_values(call, name, value, stored):
    """Values are text; no text clears; an instant is kept in UTC, a date alone becomes midnight there."""
    answer = call("PATCH", "batchly/records/70001", {"properties": {name: value}})
    assert answer.json()["properties"][name] == stored


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("amount", 12, "INVALID_TYPE"),
        ("amount", None, "INVALID_TYPE"),
        ("amount", "1,5", "INVALID_NUMBER"),
        ("c_active", "True", "INVALID_BOOL"),
        ("c_tier", "gold", "INVALID_ENUMERATION"),
        ("c_renewal", "2026-02-30", "INVALID_DATE"),
        ("close_date", "2026-03-01T12:00:00", "INVALID_DATETIME"),
        ("c_rank", "1", "READ_ONLY_VALUE"),
        ("other", "1", "UNKNOWN_PROPERTY"),
        ("name", "", "REQUIRED_VALUE"),
        ("currency", "XXX", "INVALID_CURRENCY"),
        ("deal_stage", "renewals_won", "INVALID_STAGE"),
    ],
)
def test_refused_values(call, sandbox, name, value, code):
    """A value of a wrong type or range is 400 with its property, and nothing of the call is written."""
    refused = call("PATCH", "batchly/records/70001", {"properties": {"description": "new", name: value}})
    assert (refused.status_code, refused.json()["code"]) == (400, code)
    assert refused.json()["errors"][0]["property"] == name
    assert sandbox.audit.writes == []


def test_stages(call, sandbox):
    """A stage of another pipeline goes with that pipeline; a win without a date gets the moment of the call."""
    moved = {"deal_stage": "renewals_won", "pipeline_id": "renewals"}
    assert call("PATCH", "batchly/records/70001", {"properties": moved}).ok
    assert sandbox.account("batchly").opportunity("70001")["properties"]["close_date"] == "2026-06-15T12:00:00Z"
    dated = {"deal_stage": "sales_won", "close_date": "2026-03-01T17:00:00Z"}
    assert call("PATCH", "batchly/records/70002", {"properties": dated}).ok
    assert sandbox.account("batchly").date_for_people("70002", "close_date") == dt.date(2026, 3, 1)


def test_list(call):
    """A list has a cursor as long as there is more, and neither a total nor a number of pages."""
    first = call("GET", "batchly/records", params={"limit": "2"}).json()
    assert first.keys() == {"results", "paging"}
    second = call("GET", "batchly/records", params={"limit": "3", "after": first["paging"]["next"]["after"]}).json()
    assert [one["id"] for one in first["results"] + second["results"]] == ["70001", "70002", "70003", "70004", "70005"]
    assert "paging" not in second
    assert call("GET", "batchly/records", params={"after": "2"}).status_code == 400


def test_burst(call, sandbox):
    """The burst is a sliding window: a place is free again a window after its call, and no header tells an end."""
    sandbox.set(batchly_limit=2, batchly_window=10.0)
    first = call("GET", "batchly/account")
    sandbox.clock.advance(6)
    call("GET", "batchly/account")
    refused = call("GET", "batchly/account")
    assert (refused.status_code, refused.json()["policyName"], refused.json()["retryAfterMs"]) == (429, "BURST", 4000)
    assert first.headers["x-batchly-limit"] == "2"
    assert first.headers["x-batchly-remaining"] == "1"
    assert first.headers["x-batchly-interval-milliseconds"] == "10000"
    sandbox.clock.advance(4)
    assert [call("GET", "batchly/account").status_code for _ in range(2)] == [200, 429]
    assert call("GET", "batchly/records").ok, "lists are counted apart"


def test_day(call, sandbox):
    """The day ends at midnight in the account's zone, for all keys together; a refusal counts for nothing."""
    sandbox.set(batchly_daily_limit=2)
    assert [call("GET", "batchly/account").status_code for _ in range(3)] == [200, 200, 429]
    refused = call("GET", "batchly/account")
    assert (refused.json()["policyName"], refused.json()["retryAfterMs"]) == ("DAILY", 16 * 3_600_000)
    assert float(refused.headers["x-batchly-daily-reset"]) == 16 * 3_600
    sandbox.clock.advance(16 * 3_600)
    assert call("GET", "batchly/account").headers["x-batchly-daily-remaining"] == "1"


@pytest.mark.parametrize(("kind", "left"), [("window", "1"), ("first_call", "0"), ("sliding", "0"), ("bucket", "1")])
def test_kinds_of_limits(call, sandbox, kind, left):
    """By switch the burst counts in another kind of window."""
    sandbox.set(batchly_limit=2, batchly_limit_kind=kind)
    sandbox.clock.advance(4)
    call("GET", "batchly/account")
    sandbox.clock.advance(6)
    assert call("GET", "batchly/account").headers["x-batchly-remaining"] == left


def test_limits_of_which_no_answer_speaks(call, sandbox):
    """By switch neither answers nor refusals name a limit or a wait."""
    sandbox.set(batchly_daily_limit=1, batchly_silent_limits=True)
    answers = [call("GET", "batchly/account") for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 429]
    assert [name for one in answers for name in one.headers if name.lower().startswith("x-batchly")] == []
    assert not {"policyName", "retryAfterMs"} & answers[1].json().keys()


def test_units(call, sandbox):
    """Where rows cost units, a call that writes a hundred of them costs as many more; other calls cost one."""
    sandbox.set(batchly_mute_limit=100)

    def left(answer):
        return int(answer.headers["x-batchly-remaining"])

    assert left(call("GET", "batchly_mute/account")) == 99
    assert left(call("PATCH", "batchly_mute/records/70001", {"properties": {"amount": "1"}})) == 97
    assert left(update(call, "batchly_mute", {"70001": {"amount": "1"}, "70002": {"amount": "1"}})) == 94


@pytest.mark.parametrize("api", ["batchly", "batchly_mute", "batchly_flat"])
def test_injected_errors(call, sandbox, api):
    """Injected errors have the form of the API; a 429 asks for the wait of the switch."""
    sandbox.script(faults=["http_503", "http_429", "reset_after", None])
    sandbox.set(throttle_seconds=0.25)
    error = call("GET", f"{api}/account").json()
    assert (error[0]["errorCode"] if api == "batchly_mute" else error["code"]) == "INTERNAL"
    throttled = call("GET", f"{api}/account")
    assert throttled.headers["x-batchly-remaining"] == "0"
    assert '"retryAfterMs":250' in throttled.text
    with pytest.raises(requests.ConnectionError):
        update(call, api, {"70001": {"amount": "1"}})
    assert [one.record_id for one in sandbox.audit.writes] == ["70001"]
    assert json.loads(call("GET", f"{api}/account").text)["accountId"] == 4711


def test_records_can_vanish_and_be_stale(call, sandbox):
    """A record that people delete is 404; a read can lag behind."""
    call("PATCH", "batchly/records/70001", {"properties": {"amount": "1"}})
    sandbox.script(faults=["stale"])
    assert call("GET", "batchly/records/70001").json()["properties"]["amount"] == "100.00"
    sandbox.account("batchly").remove_opportunity("70001")
    assert call("GET", "batchly/records/70001").json()["code"] == "NOT_FOUND"
