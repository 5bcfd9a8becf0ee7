"""Close: reading, writing, creating and deleting opportunities, and the lists of definitions."""

from __future__ import annotations

import pytest

ONE = "/opportunity/oppo_1/"


def test_update_changes_only_what_is_sent(close, sandbox):
    """PUT acts as PATCH: the fields that weren't sent keep their values."""
    before = sandbox.close.opportunity("oppo_1")
    after = close.put(ONE, {"value": 100_000}).json()
    changed = {name for name in after if after[name] != before[name]}
    derived = {"value_formatted", "annualized_value", "expected_value", "annualized_expected_value"}
    assert changed == {"value", "date_updated"} | derived


def test_update_answers_what_is_stored(close, sandbox):
    """The answer of a PUT is the stored record."""
    assert close.put(ONE, {"note": "hello"}).json() == sandbox.close.opportunity("oppo_1")


@pytest.mark.parametrize(
    ("period", "cents", "formatted", "yearly"),
    [
        ("annual", 50_000, "$500 annual", 50_000),
        ("one_time", 100_000, "$1,000", 100_000),
        ("monthly", 1_250, "$12.50 monthly", 15_000),
    ],
)
def test_amounts_are_derived(close, period, cents, formatted, yearly):
    """Formatted, annualized and expected values follow from value, period and confidence."""
    record = close.put(ONE, {"value": cents, "value_period": period, "confidence": 50}).json()
    shown = (record["value_formatted"], record["annualized_value"], record["annualized_expected_value"])
    assert shown == (formatted, yearly, yearly // 2)


def test_null_value_has_no_derived_amounts(close):
    """Null clears `value`, and everything derived from it."""
    record = close.put(ONE, {"value": None}).json()
    names = ("value", "value_formatted", "annualized_value", "expected_value", "annualized_expected_value")
    assert [record[name] for name in names] == [None] * 5


def test_times_have_microseconds_and_offset(close, sandbox):
    """Instants are written with microseconds and `+00:00`."""
    assert close.put(ONE, {}).json()["date_updated"] == sandbox.audit.calls[0].at.isoformat(timespec="microseconds")


def test_status_names_come_with_the_status(close):
    """A status of another pipeline is accepted and moves the record there; label and type follow."""
    record = close.put(ONE, {"status_id": "stat_renewals_lost"}).json()
    shown = (record["status_label"], record["status_type"], record["pipeline_id"], record["pipeline_name"])
    assert shown == ("Lost", "lost", "pipe_renewals", "Renewals")


def test_lost_status_stamps_date_lost(close):
    """Entering a lost status sets `date_lost`."""
    assert close.put(ONE, {"status_id": "stat_sales_lost"}).json()["date_lost"] is not None


@pytest.mark.parametrize("name", ["value_currency", "date_lost", "pipeline_id", "status", "id", "no_such_field"])
def test_other_fields_are_accepted_and_dropped(close, sandbox, name):
    """Read-only and unknown plain fields give 200 and change nothing."""
    before = sandbox.close.opportunity("oppo_1")
    answer = close.put(ONE, {name: "EUR"})
    assert (answer.status_code, answer.json() | {"date_updated": ""}) == (200, before | {"date_updated": ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("value", 1.5),
        ("value", 100.0),
        ("value", "100"),
        ("value", True),
        ("value", 2**63),
        ("value_period", "weekly"),
        ("confidence", 101),
        ("confidence", "50"),
        ("note", 5),
        ("status_id", None),
        ("status_id", "stat_missing"),
        ("user_id", "user_missing"),
        ("lead_id", "lead_missing"),
        ("contact_id", 5),
        ("date_won", "soon"),
        ("date_won", "2026-02-30"),
        ("date_won", "20260101"),
        ("attachments", {}),
    ],
)
def test_wrong_value_is_a_field_error(close, sandbox, name, value):
    """A value of the wrong kind is 400 with the field's name, and nothing of the call is applied."""
    before = sandbox.close.opportunity("oppo_1")
    answer = close.put(ONE, {"contact_id": "cont_new", name: value})
    assert (answer.status_code, list(answer.json()["field-errors"])) == (400, [name])
    assert sandbox.close.opportunity("oppo_1") == before


def test_all_field_errors_are_reported(close):
    """Two wrong fields give two field errors."""
    assert set(close.put(ONE, {"value": "x", "confidence": -1}).json()["field-errors"]) == {"value", "confidence"}


@pytest.mark.parametrize("body", [b"{", b'{"value": NaN}', b"[]", b"5"])
def test_body_that_is_no_object_is_a_plain_error(close, body):
    """Malformed JSON (NaN included) and JSON that is no object are 400 in the shape `{"error"}`."""
    answer = close("PUT", ONE, data=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


def test_other_content_type_is_415(close):
    """A body that isn't announced as JSON is 415."""
    assert close("PUT", ONE, data="value=5").status_code == 415


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_missing_record_is_404(close, method):
    """A record that isn't there is 404 with `{"error"}`."""
    answer = close(method, "/opportunity/oppo_missing/")
    assert (answer.status_code, list(answer.json())) == (404, ["error"])


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_other_methods_are_405(close, method):
    """Methods that a record doesn't have are 405."""
    assert close(method, ONE, json={}).status_code == 405


def test_get_without_last_slash_is_redirected(close):
    """GET without the trailing slash is a 301 to the path with it; the query stays."""
    answer = close.get("/opportunity/oppo_1?_fields=id")
    assert (answer.status_code, answer.headers["location"]) == (301, "/api/v1/opportunity/oppo_1/?_fields=id")


def test_put_without_last_slash_is_404(close, sandbox):
    """PUT without the trailing slash is 404 and writes nothing."""
    assert (close.put("/opportunity/oppo_1", {"value": 1}).status_code, sandbox.audit.writes) == (404, [])


@pytest.mark.parametrize("raw", ["a%2Fb", "oppo_1%2F", "..%2Fme", "oppo_1%252F"])
def test_encoded_slash_stays_in_the_id(close, raw):
    """An id is decoded once and can't reach another route."""
    assert close.get(f"/opportunity/{raw}/").json()["error"].startswith("Empty query")


def test_id_is_decoded_once(close, sandbox):
    """An id with reserved characters is found by its percent-encoded form."""
    sandbox.close.add_opportunity("a/b c%2F")
    assert close.get("/opportunity/a%2Fb%20c%252F/").json()["id"] == "a/b c%2F"


@pytest.mark.parametrize("path", ["/nothing/", "/opportunity//", "/"])
def test_unknown_route_is_404(close, path):
    """A path without a route is 404."""
    assert close.get(path).status_code == 404


def test_other_api_version_is_404(anyone):
    """Only version 1 is there."""
    assert anyone.get("/api/v2/me/").status_code == 404


def test_fields_trims_the_record(close):
    """`_fields` leaves only the named fields."""
    assert close.get(ONE, params={"_fields": "id,value"}).json() == {"id": "oppo_1", "value": 50_000}


def test_create_answers_200_with_the_record(close, sandbox):
    """POST answers 200, not 201, with the stored record."""
    answer = close.post("/opportunity/", {"lead_id": "lead_1", "value": 5})
    assert (answer.status_code, answer.json()) == (200, sandbox.close.opportunity(answer.json()["id"]))


def test_create_without_lead_makes_an_untitled_lead(close):
    """A POST without lead silently creates one called "Untitled"."""
    assert close.post("/opportunity/", {}).json()["lead_name"] == "Untitled"


def test_create_takes_the_first_status_of_the_pipeline(close):
    """A POST with a pipeline only starts at its first status."""
    assert close.post("/opportunity/", {"pipeline_id": "pipe_renewals"}).json()["status_id"] == "stat_renewals_active"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"pipeline_id": "pipe_renewals", "status_id": "stat_sales_won"}, "status_id"),
        ({"pipeline_id": "pipe_missing"}, "pipeline_id"),
    ],
)
def test_create_refuses_a_wrong_pipeline(close, body, name):
    """A POST with a status of another pipeline, or an unknown pipeline, is 400."""
    answer = close.post("/opportunity/", body)
    assert (answer.status_code, list(answer.json()["field-errors"])) == (400, [name])


def test_delete_removes_the_record(close, sandbox):
    """DELETE answers 200 with an empty object, and the record is gone."""
    answer = close("DELETE", ONE)
    assert (answer.status_code, answer.json()) == (200, {})
    with pytest.raises(KeyError):
        sandbox.close.opportunity("oppo_1")


def test_me_shows_currency_and_statuses(close, sandbox):
    """`/me/` shows the organization's currency and its pipelines with their statuses."""
    sandbox.close.currency = "EUR"
    organization = close.get("/me/").json()["organizations"][0]
    labels = [[status["label"] for status in one["statuses"]] for one in organization["pipelines"]]
    assert (organization["currency"], labels) == (
        "EUR",
        [["Active", "Proposal", "Won", "Lost"], ["Active", "Won", "Lost"]],
    )


def test_me_can_be_trimmed(close):
    """`_fields` works on `/me/`."""
    assert set(close.get("/me/?_fields=id,email,organizations").json()) == {"id", "email", "organizations"}


def test_currency_is_the_organizations(close, sandbox):
    """`value_currency` of every record is the organization's currency."""
    sandbox.close.currency = "EUR"
    record = close.get(ONE).json()
    assert (record["value_currency"], record["value_formatted"]) == ("EUR", "€500")


def test_statuses_have_a_type(close):
    """A status object calls its kind `type`, and names its pipeline."""
    first = close.get("/status/opportunity/").json()["data"][0]
    assert set(first) == {"id", "label", "type", "pipeline_id", "organization_id"}


def test_pipelines_list_their_statuses(close):
    """`/pipeline/` lists pipelines with statuses."""
    body = close.get("/pipeline/").json()
    assert ([one["id"] for one in body["data"]], body["has_more"]) == (["pipe_sales", "pipe_renewals"], False)


def test_shared_fields_are_in_the_schema_only(close):
    """The schema lists own and shared custom fields, `/custom_field/opportunity/` only own ones."""
    own = {one["id"] for one in close.get("/custom_field/opportunity/").json()["data"]}
    both = {one["id"] for one in close.get("/custom_field_schema/opportunity/").json()["fields"]}
    assert both - own == {"cf_region"}


def test_definitions_show_choices_and_roles(close):
    """A definition shows its choices, whether it is multi-value, and who may edit it."""
    fields = {one["id"]: one for one in close.get("/custom_field/opportunity/").json()["data"]}
    shown = (fields["cf_tier"]["choices"], fields["cf_products"]["accepts_multiple_values"])
    assert (*shown, fields["cf_restricted"]["editable_with_roles"]) == (["Gold", "Silver", "Bronze"], True, ["admin"])


def test_definitions_are_read_only(close):
    """Lists of definitions take GET only."""
    assert close.post("/pipeline/", {}).status_code == 405


def test_fixture_refuses_a_misspelt_field(sandbox):
    """`add_opportunity` refuses a field that isn't stored, so that a typo in a test is seen."""
    with pytest.raises(ValueError, match="no stored field vlaue"):
        sandbox.close.add_opportunity(vlaue=5)


def test_status_id_is_found_by_label_and_pipeline(sandbox):
    """A label is looked up within its pipeline."""
    assert sandbox.close.status_id("Won", pipeline="Renewals") == "stat_renewals_won"


def test_unknown_label_is_a_key_error(sandbox):
    """A label that a pipeline doesn't have is a KeyError."""
    with pytest.raises(KeyError):
        sandbox.close.status_id("Proposal", pipeline="Renewals")
