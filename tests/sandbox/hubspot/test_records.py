"""HubSpot: one deal at a time, its values, and what HubSpot itself changes."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

DEALS = "/crm/objects/2026-03/deals"
ONE = f"{DEALS}/1001"
NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def write(hubspot, record_id="1001", **properties):
    """Write some properties of a deal, and return the answer."""
    return hubspot.patch(f"{DEALS}/{record_id}", {"properties": properties})


def stored(account, name, record_id="1001"):
    """Return the text of a property as the account has it."""
    return account.opportunity(record_id)["properties"][name]


def refusal(answer):
    """Return the codes and messages of a 400, in both places that have them."""
    body = answer.json()
    assert (answer.status_code, body["category"]) == (400, "VALIDATION_ERROR")
    assert body["message"].startswith('Property values were not valid: [{"isValid":false,')
    return [(one["code"], one["context"]["propertyName"][0], one["message"]) for one in body["errors"]]


@pytest.mark.parametrize(
    "path", ["/crm/objects/2026-03/deals", "/crm/objects/2026-09/0-3", "/crm/v3/objects/0-3", "/crm/objects/v3/deals"]
)
def test_a_deal_in_every_form_of_the_path(hubspot, path):
    """Dated paths and those of v3 show the same record, with the properties that HubSpot shows by itself."""
    record = hubspot.get(f"{path}/1001").json()
    assert (record["id"], record["archived"]) == ("1001", False)
    assert record["url"] == "https://app.hubspot.com/contacts/12345678/record/0-3/1001"
    assert sorted(record["properties"]) == [
        *("amount", "closedate", "createdate", "dealname", "dealstage", "hs_lastmodifieddate", "hs_object_id"),
        "pipeline",
    ]


@pytest.mark.parametrize("query", ["?properties=amount,segment", "?properties=amount&properties=segment"])
def test_named_properties(hubspot, query):
    """Only those are shown, a missing value as null, and three in any case; names that are none are left out."""
    shown = hubspot.get(f"{ONE}{query},nope").json()["properties"]
    assert (shown["amount"], shown["segment"]) == ("100.00", None)
    assert shown.keys() == {"amount", "segment", "createdate", "hs_lastmodifieddate", "hs_object_id"}


@pytest.mark.parametrize(
    "path", ["/crm/objects/2024-03/deals", "/crm/v4/objects/deals", "/crm/v3/things/deals", "/crm"]
)
def test_unknown_paths(hubspot, path):
    """Another version or family of calls is a 404."""
    assert hubspot.get(path).status_code == 404


def test_unknown_types_of_objects(hubspot):
    """Another type of object is a 400 that names it."""
    answer = hubspot.get("/crm/v3/objects/butterflies")
    assert (answer.status_code, answer.json()["message"]) == (400, "Unable to infer object type from: butterflies")


def test_an_address_that_is_too_long(hubspot):
    """Too many names of properties in an address are a 414, and no JSON."""
    answer = hubspot.get(ONE, params={"properties": ",".join(f"property_{number}" for number in range(600))})
    assert (answer.status_code, answer.headers["content-type"]) == (414, "text/html")


def test_other_methods(hubspot):
    """A path without such a method is a 405."""
    assert [hubspot.put(ONE, {}).status_code, hubspot.get(f"{DEALS}/batch/update").status_code] == [405, 405]


def test_a_write(hubspot, account, sandbox):
    """It changes what it names; the answer shows that, and what HubSpot calculates of it."""
    sandbox.clock.set(NOON)
    shown = write(hubspot, amount="5000.00", dealstage="closedwon", closedate="2026-12-31").json()
    assert shown["updatedAt"] == "2026-05-04T12:00:00Z"
    properties = shown["properties"]
    calculated = ("hs_is_closed", "hs_is_closed_won", "hs_closed_amount", "hs_deal_stage_probability")
    assert [properties[name] for name in calculated] == ["true", "true", "5000.00", "1"]
    assert (properties["amount"], properties["closedate"]) == ("5000.00", "2026-12-31T00:00:00Z")
    assert "dealname" not in properties
    assert stored(account, "dealname") == "Deal 1001"


@pytest.mark.parametrize(
    ("name", "sent", "text"),
    [
        ("amount", "5000.00", "5000.00"),
        ("amount", 15000, "15000"),
        ("amount", 0.5, "0.5"),
        ("amount", "-1", "-1"),
        ("dealname", " Ärger \n", " Ärger \n"),
        ("is_active", True, "true"),
        ("is_active", "false", "false"),
        ("is_renewal", "true", "true"),
        ("renewal_date", "2026-02-28", "2026-02-28"),
        ("renewal_date", "1772236800000", "2026-02-28"),
        ("renewal_date", 1772236800000, "2026-02-28"),
        ("closedate", "2026-12-31", "2026-12-31T00:00:00Z"),
        ("closedate", "2026-12-31T23:30:00-05:00", "2027-01-01T04:30:00Z"),
        ("closedate", "2026-12-31T12:00:00.250Z", "2026-12-31T12:00:00.250Z"),
        ("closedate", "1767182400000", "2025-12-31T12:00:00Z"),
        ("customer_tier", "tier_2", "tier_2"),
        ("products", "core;training", "core;training"),
        ("products", "core;core", "core"),
        ("hubspot_owner_id", "502", "502"),
        ("deal_currency_code", "EUR", "EUR"),
        ("support_phone", "+49 30 1", "+49 30 1"),
    ],
)
def test_values(hubspot, account, name, sent, text):
    """Every value is a text, shown as it was stored."""
    assert write(hubspot, **{name: sent}).json()["properties"][name] == text
    assert stored(account, name) == text


@pytest.mark.parametrize(
    ("name", "sent", "code", "message"),
    [
        ("nope", "1", "PROPERTY_DOESNT_EXIST", 'Property "nope" does not exist'),
        ("legacy_code", "1", "PROPERTY_DOESNT_EXIST", 'Property "legacy_code" does not exist'),
        ("hs_object_id", "1", "READ_ONLY_VALUE", '"hs_object_id" is a read only property; its value cannot be set.'),
        ("deal_rank", "1", "READ_ONLY_VALUE", '"deal_rank" is a read only property; its value cannot be set.'),
        ("amount", "1,000", "INVALID_INTEGER", "1,000 was not a valid number."),
        ("amount", "1e3", "INVALID_INTEGER", "1e3 was not a valid number."),
        ("amount", " 1", "INVALID_INTEGER", " 1 was not a valid number."),
        ("amount", "NaN", "INVALID_INTEGER", "NaN was not a valid number."),
        ("renewal_date", "28.02.2026", "INVALID_DATE", "28.02.2026 was not a valid date."),
        ("renewal_date", "1772240400000", "INVALID_DATE", "1772240400000 is at 1:0:0.0 UTC, not midnight!"),
        ("renewal_date", "2026-02-30", "INVALID_DATE", "2026-02-30 was not a valid date."),
        ("closedate", "tomorrow", "INVALID_LONG", "tomorrow was not a valid long."),
        ("closedate", "2026-12-31T12:00:00", "INVALID_LONG", "2026-12-31T12:00:00 was not a valid long."),
        ("is_active", "yes", "INVALID_OPTION", "yes was not one of the allowed options: [true, false]"),
        ("deal_currency_code", "CHF", "INVALID_OPTION", "CHF was not one of the allowed options: [USD, EUR, BRL]"),
        ("customer_tier", "Gold", "INVALID_OPTION", None),
        ("products", "core;zz", "INVALID_OPTION", "zz was not one of the allowed options: [core, support, training]"),
        ("hubspot_owner_id", "503", "INVALID_OWNER_ID", "Owner 503 does not exist."),
        ("dealname", "x" * 65_537, "PROPERTY_VALUE_TOO_LONG", None),
    ],
)
def test_values_that_are_refused(hubspot, account, *, name, sent, code, message):
    """A value that its property does not take refuses the call, with a code and a text."""
    before = account.opportunity("1001")
    ((shown_code, shown_name, shown_message),) = refusal(write(hubspot, **{"hs_next_step": "x", name: sent}))
    assert (shown_code, shown_name) == (code, name)
    assert message in (None, shown_message)
    assert account.opportunity("1001") == before


def test_all_bad_properties_are_listed(hubspot):
    """A refusal lists each bad property of the call."""
    codes = [code for code, _, _ in refusal(write(hubspot, amount="x", nope="1", hs_object_id="7"))]
    assert codes == ["INVALID_INTEGER", "PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE"]


def test_a_refusal_may_name_no_property(hubspot, sandbox):
    """The names of bad properties may be missing."""
    sandbox.set(hubspot_names_properties=False)
    body = write(hubspot, amount="x").json()
    assert ("errors" in body, '"name"' in body["message"]) == (False, False)


def test_values_are_added_to_several_ones(hubspot, account):
    """A semicolon in front adds to the values of a checkbox; without one they are replaced."""
    write(hubspot, products="core")
    write(hubspot, products=";training;core")
    assert stored(account, "products") == "core;training"
    write(hubspot, products="support")
    assert stored(account, "products") == "support"


@pytest.mark.parametrize(
    ("value", "switches", "text"),
    [
        ("", {}, ""),
        ("", {"hubspot_cleared_is_null": True}, None),
        (None, {}, ""),
        (None, {"hubspot_null": "ignored"}, "100.00"),
    ],
)
def test_clearing(hubspot, account, sandbox, *, value, switches, text):
    """Empty text clears a property, which then shows empty text or null; null may do so, too, or do nothing."""
    sandbox.set(**switches)
    assert write(hubspot, amount=value).json()["properties"]["amount"] == text
    assert stored(account, "amount") == text


def test_null_may_be_refused(hubspot, sandbox):
    """Whether null is taken is not documented."""
    sandbox.set(hubspot_null="refused")
    assert [name for _, name, _ in refusal(write(hubspot, amount=None))] == ["amount"]


def test_stages(hubspot, account):
    """A stage has to be one of the deal's pipeline, which may be sent along with it."""
    ((code, name, message),) = refusal(write(hubspot, dealstage="1303"))
    assert (code, name) == ("INVALID_OPTION", "dealstage")
    assert message.startswith("1303 is not a valid pipeline stage ID. Valid options are: pipelineId=default : [appoint")
    assert refusal(write(hubspot, pipeline="871204"))[0][1] == "dealstage"
    assert refusal(write(hubspot, pipeline="nope", dealstage="1303"))[0][1] == "pipeline"
    assert refusal(write(hubspot, dealstage=""))[0][1] == "dealstage"
    assert write(hubspot, pipeline="871204", dealstage="1303").json()["properties"]["hs_is_closed_won"] == "true"
    assert stored(account, "pipeline") == "871204"


@pytest.mark.parametrize(
    ("rule", "sent", "day"),
    [
        ("unless_sent", None, "2026-05-04"),
        ("unless_sent", "2026-04-01", "2026-04-01"),
        ("always", "2026-04-01", "2026-05-04"),
        ("never", None, None),
        ("never", "2026-04-01", "2026-04-01"),
    ],
)
def test_a_win_may_set_the_close_date(hubspot, account, sandbox, *, rule, sent, day):
    """A move into a won stage sets the close date to now, if it is not sent, whether or not it is, or never."""
    sandbox.clock.set(NOON)
    sandbox.set(hubspot_closedate=rule)
    closes = {} if sent is None else {"closedate": f"{sent}T12:00:00Z"}
    shown = write(hubspot, dealstage="closedwon", **closes).json()["properties"]
    assert shown.get("closedate", "")[:10] == (day or "")
    assert (stored(account, "closedate") or "")[:10] == (day or "")


def test_only_a_move_sets_the_close_date(hubspot, account, sandbox):
    """Between two won stages nothing is set; from lost to won it is."""
    sandbox.clock.set(NOON)
    write(hubspot, dealstage="closedlost")
    sandbox.clock.advance(86_400)
    write(hubspot, dealstage="closedwon")
    sandbox.clock.advance(86_400)
    write(hubspot, pipeline="871204", dealstage="1303")
    assert stored(account, "closedate") == "2026-05-05T12:00:00Z"


def test_the_day_that_people_see(hubspot, account):
    """Midnight UTC is the day before to people west of there."""
    write(hubspot, closedate="2026-12-31")
    assert account.date_for_people("1001", "closedate") == date(2026, 12, 30)
    write(hubspot, closedate="2026-12-31T17:00:00Z")
    assert account.date_for_people("1001", "closedate") == date(2026, 12, 31)
    assert account.date_for_people("1002", "closedate") is None


def test_amounts_in_the_company_currency(hubspot):
    """They are calculated with the account's rate."""
    shown = write(hubspot, amount="20", deal_currency_code="BRL").json()["properties"]
    assert (shown["amount_in_home_currency"], shown["hs_projected_amount"]) == ("4", "4")


def test_an_unchanged_value_may_be_left_out(hubspot, sandbox):
    """The answer may show only the properties that changed."""
    assert write(hubspot, amount="100.00").json()["properties"]["amount"] == "100.00"
    sandbox.set(hubspot_echoes_unchanged=False)
    shown = write(hubspot, amount="100.00", segment="x").json()["properties"]
    assert ("amount" in shown, shown["segment"]) == (False, "x")


def test_a_workflow(hubspot, account):
    """It changes another property after the answer was made, or the same one."""
    account.workflows["amount"] = {"hs_priority": "high", "amount": "99"}
    assert write(hubspot, amount="5").json()["properties"]["amount"] == "5"
    assert (stored(account, "hs_priority"), stored(account, "amount")) == ("high", "99")


def test_a_unique_value(hubspot):
    """A value of another record is a conflict, until that record has given it up."""
    taken = write(hubspot, "1002", warehouse_deal_key="key-1")
    assert (taken.status_code, taken.json()["category"]) == (409, "CONFLICT")
    assert write(hubspot, warehouse_deal_key="key-1").status_code == 200
    write(hubspot, warehouse_deal_key="other")
    assert write(hubspot, "1002", warehouse_deal_key="key-1").status_code == 200
    by_key = hubspot.patch(f"{DEALS}/key-1?idProperty=warehouse_deal_key", {"properties": {"amount": "5"}})
    assert by_key.json()["id"] == "1002"
    assert hubspot.get(f"{DEALS}/other?idProperty=warehouse_deal_key").json()["id"] == "1001"


def test_creating(hubspot, account, sandbox):
    """A deal gets an id, and the first stage of its pipeline."""
    made = hubspot.post(DEALS, {"properties": {"dealname": "New", "pipeline": "871204"}})
    properties = made.json()["properties"]
    assert (made.status_code, properties["dealname"], properties["dealstage"]) == (201, "New", "1301")
    assert stored(account, "hs_object_id", made.json()["id"]) == made.json()["id"]
    assert [(write.method, write.record_id) for write in sandbox.audit.writes] == [("POST", made.json()["id"])]
    assert hubspot.post(DEALS, {"properties": {"warehouse_deal_key": "key-1"}}).status_code == 409


@pytest.mark.parametrize("again", ["204", "404"])
def test_archiving(hubspot, sandbox, again):
    """An archived deal is shown to those who ask for it, and cannot be written; archiving it twice may be an error."""
    sandbox.set(hubspot_archive_twice=again)
    statuses = [hubspot("DELETE", ONE).status_code for _ in range(2)]
    assert statuses == [204, int(again)]
    assert [hubspot.get(ONE).status_code, write(hubspot, amount="5").status_code] == [404, 404]
    shown = hubspot.get(f"{ONE}?archived=true").json()
    assert (shown["archived"], "archivedAt" in shown) == (True, True)
    assert [one["id"] for one in hubspot.get(f"{DEALS}?archived=true").json()["results"]] == ["1001"]
    assert len(hubspot.get(DEALS).json()["results"]) == 2
    assert hubspot("DELETE", f"{DEALS}/77").status_code == 404


@pytest.mark.parametrize("answers", [True, False])
def test_merging(hubspot, account, sandbox, answers):
    """The survivor keeps its values; the id of the other one may lead to it."""
    sandbox.set(hubspot_merged_answers=answers)
    write(hubspot, "1002", segment="south")
    merged = hubspot.post(f"{DEALS}/merge", {"primaryObjectId": "1001", "objectIdToMerge": "1002"})
    assert (merged.status_code, merged.json()["properties"]["amount"]) == (200, "100.00")
    assert (stored(account, "segment"), stored(account, "hs_merged_object_ids")) == ("south", "1002")
    other = hubspot.get(f"{DEALS}/1002")
    assert (other.status_code, other.json().get("id")) == ((200, "1001") if answers else (404, None))
    batch = {"inputs": [{"id": one, "properties": {"amount": "5"}} for one in ("1001", "1002")]}
    assert hubspot.post(f"{DEALS}/batch/update", batch).status_code == (400 if answers else 207)


@pytest.mark.parametrize(
    ("form", "category", "content"),
    [("json", "OBJECT_NOT_FOUND", "application/json"), ("bare", None, "application/json"), ("html", None, "text/html")],
)
def test_a_missing_record(hubspot, sandbox, form, category, content):
    """A 404 has a category, or none, or is a page."""
    sandbox.set(hubspot_not_found=form)
    for answer in (hubspot.get(f"{DEALS}/77"), write(hubspot, "x%2Fy", amount="5")):
        assert (answer.status_code, answer.headers["content-type"].startswith(content)) == (404, True)
    if form != "html":
        assert hubspot.get(f"{DEALS}/77").json().get("category") == category


def test_lists_in_pages(hubspot, account):
    """A page has ten deals by default; the next one begins where it says."""
    ids = [*("1001", "1002", "1003"), *(account.add_opportunity()["id"] for _ in range(12))]
    account.archive_opportunity(ids[5])
    first = hubspot.get(DEALS).json()
    second = hubspot.get(f"{DEALS}?after={first['paging']['next']['after']}").json()
    assert [one["id"] for one in first["results"] + second["results"]] == ids[:5] + ids[6:]
    assert "paging" not in second
    assert [hubspot.get(f"{DEALS}?limit={limit}").status_code for limit in (0, 101, "x")] == [400] * 3


def test_malformed_bodies(hubspot):
    """A body that is no JSON object is a 400; one of another type a 415."""
    answers = [
        hubspot("PATCH", ONE, data=data, headers={"Content-Type": kind}).status_code
        for data, kind in (("{", "application/json"), ("[]", "application/json"), ("{}", "text/plain"))
    ]
    assert answers == [400, 400, 415]
    assert write(hubspot, amount=["5"]).status_code == 400


def test_stale_reads(hubspot, sandbox):
    """A read may see a write some time later."""
    sandbox.clock.set(NOON)
    sandbox.set(stale_seconds=0.5)
    write(hubspot, amount="5")
    assert hubspot.get(ONE).json()["properties"]["amount"] == "100.00"
    sandbox.clock.advance(0.5)
    assert hubspot.get(ONE).json()["properties"]["amount"] == "5"


@pytest.mark.parametrize("fields", [{"amuont": "1"}, {"hs_is_closed": "true"}])
def test_python_cannot_store_what_is_no_property(account, fields):
    """A misspelt or calculated property is an error."""
    with pytest.raises(ValueError, match="no stored property"):
        account.add_opportunity(**fields)


def test_python_sets_times(account):
    """The times of a record may be given."""
    times = {"createdate": "2025-01-01T00:00:00Z", "hs_lastmodifieddate": "2025-06-01T00:00:00Z"}
    record = account.add_opportunity("42", **times)
    assert (record["createdAt"], record["updatedAt"]) == tuple(times.values())
