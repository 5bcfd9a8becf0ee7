"""Raze: reading, writing, creating and deleting opportunities."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

ONE = "/opportunities/opp_1"
NOON = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC)


def code(answer):
    """Return status and error code."""
    return answer.status_code, answer.json()["error"]["code"]


def test_update_answers_the_documented_keys(raze):
    """The answer of a PUT holds nine keys in the success envelope, not all that can be written."""
    body = raze.put(ONE, {"deal_value": 100_000, "notes": "n", "phone": "1", "position": "CTO"}).json()
    assert (body["success"], list(body["data"])) == (
        True,
        ["id", "name", "email", "company", "status", "deal_value", "deal_currency", "notes", "updated_at"],
    )


def test_update_changes_only_what_is_sent(raze, sandbox):
    """PUT is partial: the fields that weren't sent keep their values."""
    sandbox.clock.set(NOON)
    before = sandbox.raze.opportunity("opp_1")
    raze.put(ONE, {"phone": "123"})
    assert sandbox.raze.opportunity("opp_1") == before | {"phone": "123", "updated_at": "2026-05-04T12:00:00Z"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "A"),
        ("email", "a@b.co"),
        ("phone", "1"),
        ("company", "C"),
        ("position", "P"),
        ("deal_currency", "USD"),
        ("notes", "N"),
        ("responsible_user_id", "usr_ada"),
    ],
)
def test_each_field_is_written(raze, sandbox, field, value):
    """Each of the nine fields can be written (the ninth is money, below)."""
    assert raze.put(ONE, {field: value}).status_code == 200
    assert sandbox.raze.opportunity("opp_1")[field] == value


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("100000", "100000.00"),
        ("0.1", "0.10"),
        ("9999999999999.99", "9999999999999.99"),
        ("10.005", "10.01"),
        ("-10.005", "-10.01"),
        ("1e3", "1000.00"),
    ],
)
def test_money_is_exact_to_the_cent(raze, sandbox, sent, shown):
    """`deal_value` is a JSON number in major units, exact, rounded half away from zero like its column."""
    answer = raze("PUT", ONE, data=f'{{"deal_value": {sent}}}', headers={"Content-Type": "application/json"})
    assert f'"deal_value":{shown},' in answer.text
    assert sandbox.raze.opportunity("opp_1")["deal_value"] == Decimal(shown)


@pytest.mark.parametrize("field", ["email", "phone", "company", "position", "deal_value", "deal_currency", "notes"])
def test_null_clears(raze, sandbox, field):
    """Null clears every field except the name."""
    raze.put(ONE, {field: None})
    assert sandbox.raze.opportunity("opp_1")[field] is None


def test_null_name_is_500(raze, sandbox):
    """A name of null is the server's 500, and nothing is written."""
    assert code(raze.put(ONE, {"name": None, "notes": "x"})) == (500, "INTERNAL_ERROR")
    assert sandbox.audit.writes == []


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("deal_value", "100", "VALIDATION_ERROR"),
        ("deal_value", True, "VALIDATION_ERROR"),
        ("deal_value", 10**13, "VALIDATION_ERROR"),
        ("deal_currency", "EURO", "VALIDATION_ERROR"),
        ("name", 5, "VALIDATION_ERROR"),
        ("notes", {}, "VALIDATION_ERROR"),
        ("email", 5, "VALIDATION_ERROR"),
        ("email", "nobody", "INVALID_EMAIL"),
    ],
)
def test_wrong_value_is_a_validation_error(raze, sandbox, field, value, expected):
    """A wrong value is 400, names its field in `details.fields`, and nothing of the call is written."""
    answer = raze.put(ONE, {"phone": "1", field: value})
    assert (code(answer), list(answer.json()["error"]["details"]["fields"])) == ((400, expected), [field])
    assert sandbox.audit.writes == []


@pytest.mark.parametrize("body", [{}, {"status": "won"}, {"source": "list"}, {"unknown": 1}, []])
def test_update_without_a_known_field_is_400(raze, body):
    """Status, source and unknown fields don't count as fields of an update."""
    answer = raze.put(ONE, body)
    assert (code(answer), answer.json()["error"]["message"]) == ((400, "VALIDATION_ERROR"), "No fields to update")


def test_status_in_an_update_is_ignored(raze, sandbox):
    """The stage isn't set by PUT."""
    raze.put(ONE, {"status": "won", "notes": "x"})
    assert sandbox.raze.opportunity("opp_1")["status"] == "new"


@pytest.mark.parametrize(("method", "tail"), [("GET", ""), ("PUT", ""), ("DELETE", ""), ("PATCH", "/stage")])
def test_missing_record_is_404(raze, method, tail):
    """A record that isn't there is `NOT_FOUND`, in the envelope."""
    answer = raze(method, f"/opportunities/opp_missing{tail}", json={"notes": "x", "status": "won"})
    assert code(answer) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("PATCH", "/opportunities/opp_1"),
        ("PUT", "/opportunities"),
        ("PUT", "/opportunities//stage"),
    ],
)
def test_unknown_route_has_no_envelope(raze, method, path):
    """An unknown route is 404 without an `error` object, as from Express."""
    answer = raze(method, path, json={})
    assert (answer.status_code, set(answer.json())) == (404, {"success", "message"})


@pytest.mark.parametrize("path", ["/external/v2/opportunities", "/health/x", "/external"])
def test_other_roots_are_unknown(anyone, path):
    """Only version 1 and `/health` itself are there."""
    assert anyone.get(path).status_code == 404


@pytest.mark.parametrize("body", [b"{", b'{"deal_value": NaN}'])
def test_malformed_json_has_no_envelope(raze, body):
    """A body that is no JSON is 400 without an `error` object, before any authentication."""
    answer = raze("PUT", ONE, data=body, headers={"Content-Type": "application/json", "X-API-Key": "wrong"})
    assert (answer.status_code, set(answer.json())) == (400, {"success", "message"})


def test_other_content_type_is_not_read(raze):
    """A body that isn't announced as JSON has no fields."""
    assert raze("PUT", ONE, data='{"notes": "x"}').json()["error"]["message"] == "No fields to update"


@pytest.mark.parametrize("raw", ["opp_1%2Fstage", "a%2Fb", "opp_1%252F"])
def test_encoded_slash_stays_in_the_id(raze, raw):
    """An id is decoded once and can't reach another route."""
    assert code(raze("PUT", f"/opportunities/{raw}", json={"notes": "x", "status": "won"})) == (404, "NOT_FOUND")


def test_last_slash_makes_no_difference(raze):
    """A trailing slash is tolerated."""
    assert raze.put(ONE + "/", {"notes": "x"}).status_code == 200


def test_get_shows_everything(raze, sandbox):
    """GET shows campaign and responsible user with their names, and all times."""
    sandbox.raze.add_opportunity("opp_2", responsible_user_id="usr_ada", campaign_id="camp_spring")
    data = raze.get("/opportunities/opp_2").json()["data"]
    shown = (data["responsible_user"], data["campaign"], data["won_at"])
    assert shown == (
        {"id": "usr_ada", "name": "Ada Lovelace"},
        {"id": "camp_spring", "name": "Spring campaign"},
        None,
    )


def test_times_are_utc_seconds(raze, sandbox):
    """Times look like `2026-05-04T12:00:00Z`."""
    sandbox.clock.set(NOON)
    assert raze.put(ONE, {"notes": "x"}).json()["data"]["updated_at"] == "2026-05-04T12:00:00Z"


def test_create_answers_201_with_defaults(raze):
    """POST answers 201 with the documented defaults."""
    answer = raze.post("/opportunities", {"name": "New"})
    data = answer.json()["data"]
    shown = (answer.status_code, data["status"], data["source"], data["deal_currency"])
    assert shown == (201, "new", "other", "BRL")


def test_create_as_won_sets_won_at(raze):
    """A create with status won has `won_at`."""
    assert raze.post("/opportunities", {"name": "New", "status": "won"}).json()["data"]["won_at"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "VALIDATION_ERROR"),
        ({"name": "N", "status": "open"}, "INVALID_STATUS"),
        ({"name": "N", "source": "web"}, "INVALID_SOURCE"),
        ({"name": "N", "email": "x"}, "INVALID_EMAIL"),
    ],
)
def test_create_refuses(raze, body, expected):
    """A create without name, or with a wrong status, source or email, is 400 with its code."""
    assert code(raze.post("/opportunities", body)) == (400, expected)


def test_delete_has_no_data(raze):
    """DELETE answers a message without `data`; the record is gone."""
    assert raze("DELETE", ONE).json() == {"success": True, "message": "Opportunity deleted"}
    assert raze.get(ONE).status_code == 404


def test_fixture_refuses_a_misspelt_field(sandbox):
    """`add_opportunity` refuses a field that an opportunity doesn't have."""
    with pytest.raises(ValueError, match="no field vlaue"):
        sandbox.raze.add_opportunity(vlaue=5)


def test_missing_record_is_a_key_error(sandbox):
    """`opportunity` of an unknown id is a KeyError."""
    with pytest.raises(KeyError):
        sandbox.raze.opportunity("opp_missing")
