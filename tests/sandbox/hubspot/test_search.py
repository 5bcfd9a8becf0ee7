"""HubSpot: searches, with their operators, pages, limits and lag."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

DEALS = "/crm/objects/2026-03/deals"
SEARCH = f"{DEALS}/search"


@pytest.fixture(autouse=True)
def many_searches(sandbox):
    """Let a test search as often as it likes."""
    sandbox.set(hubspot_search_limit=None)


def searched(hubspot, *filters, **body):
    """Return the ids that one group of filters finds; a filter is a name, an operator and values."""
    group = [{"propertyName": name, "operator": operator, **values} for name, operator, values in filters]
    answer = hubspot.post(SEARCH, {"filterGroups": [{"filters": group}] if group else [], **body})
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["results"]]


@pytest.mark.parametrize(
    ("name", "operator", "values", "found"),
    [
        ("amount", "EQ", {"value": "200"}, ["1002"]),
        ("amount", "EQ", {"value": 200}, ["1002"]),
        ("amount", "NEQ", {"value": "200"}, ["1001", "1003"]),
        ("amount", "LT", {"value": "200"}, ["1001"]),
        ("amount", "LTE", {"value": "200"}, ["1001", "1002"]),
        ("amount", "GT", {"value": "200"}, ["1003"]),
        ("amount", "GTE", {"value": "200"}, ["1002", "1003"]),
        ("amount", "BETWEEN", {"value": "150", "highValue": "300"}, ["1002", "1003"]),
        ("warehouse_deal_key", "IN", {"values": ["key-1", "KEY-3", "x"]}, ["1001", "1003"]),
        ("warehouse_deal_key", "NOT_IN", {"values": ["key-1"]}, ["1002", "1003"]),
        ("segment", "HAS_PROPERTY", {}, ["1002"]),
        ("segment", "NOT_HAS_PROPERTY", {}, ["1001", "1003"]),
        ("segment", "NEQ", {"value": "south"}, ["1001", "1003"]),
        ("dealname", "CONTAINS_TOKEN", {"value": "*1003"}, ["1003"]),
        ("dealname", "NOT_CONTAINS_TOKEN", {"value": "1003"}, ["1001", "1002"]),
        ("hs_object_id", "IN", {"values": ["1002"]}, ["1002"]),
        ("closedate", "GTE", {"value": "2026-06-01"}, ["1002"]),
        ("closedate", "LT", {"value": "1780272000001"}, ["1002"]),
        ("products", "IN", {"values": ["training"]}, ["1002"]),
    ],
)
def test_operators(hubspot, name, operator, values, found):
    """Numbers and times are compared as such, texts whatever their case."""
    values_of_one = {"segment": "South", "closedate": "2026-06-01", "products": "core;training"}
    hubspot.patch(f"{DEALS}/1002", {"properties": values_of_one})
    assert searched(hubspot, (name, operator, values)) == found


def test_groups(hubspot):
    """Filters of a group hold together, one of the groups is enough."""
    above = {"propertyName": "amount", "operator": "GT", "value": "100"}
    key = {"propertyName": "warehouse_deal_key", "operator": "EQ", "value": "key-3"}
    first = {"propertyName": "hs_object_id", "operator": "EQ", "value": "1001"}
    body = {"filterGroups": [{"filters": [above, key]}, {"filters": [first]}]}
    assert [one["id"] for one in hubspot.post(SEARCH, body).json()["results"]] == ["1001", "1003"]


def test_a_text(hubspot):
    """A query finds words of the name."""
    assert searched(hubspot, query="DEAL 1002") == ["1002"]


@pytest.mark.parametrize(
    "sorts", [["-amount"], [{"propertyName": "amount", "direction": "DESCENDING"}], ["segment", "-amount"]]
)
def test_sorts(hubspot, sorts):
    """Results are sorted by properties; by nothing they have the order of their creation."""
    assert searched(hubspot, sorts=sorts) == ["1003", "1002", "1001"]
    assert searched(hubspot) == ["1001", "1002", "1003"]


def test_pages(hubspot, account):
    """A page has ten results by default and two hundred at most, and names the next one and the total."""
    for _ in range(247):
        account.add_opportunity(segment="x")
    body = {"filterGroups": [{"filters": [{"propertyName": "segment", "operator": "EQ", "value": "x"}]}]}
    first = hubspot.post(SEARCH, body | {"limit": 200}).json()
    second = hubspot.post(SEARCH, body | {"limit": 200, "after": first["paging"]["next"]["after"]}).json()
    assert (first["total"], len(first["results"]), len(second["results"])) == (247, 200, 47)
    assert ("paging" in second, len(hubspot.post(SEARCH, body).json()["results"])) == (False, 10)
    assert hubspot.post(SEARCH, body | {"limit": 201}).status_code == 400


def test_ten_thousand_results(hubspot):
    """No page goes beyond the ten thousandth result."""
    statuses = [
        hubspot.post(SEARCH, {"limit": 100, "after": after}).status_code for after in ("9900", "9901", "10000", "x")
    ]
    assert statuses == [200, 400, 400, 400]


@pytest.mark.parametrize(
    "body",
    [
        {"filterGroups": [{"filters": [{"propertyName": "nope", "operator": "EQ", "value": "1"}]}]},
        {"filterGroups": [{"filters": [{"propertyName": "amount", "operator": "LIKE", "value": "1"}]}]},
        {"filterGroups": [{"filters": [{"propertyName": "amount", "operator": "EQ", "value": "x"}]}]},
        {"filterGroups": [{"filters": [{"propertyName": "amount", "operator": "IN"}]}]},
        {"filterGroups": [{"filters": [{"propertyName": "amount", "operator": "HAS_PROPERTY"}] * 7}]},
        {"filterGroups": [{"filters": [{"propertyName": "amount", "operator": "HAS_PROPERTY"}] * 6}] * 4},
        {"filterGroups": [{"filters": []}] * 6},
        {"filterGroups": ["x"]},
        {"query": "x" * 3001},
        {"sorts": ["nope"]},
    ],
)
def test_wrong_searches(hubspot, body):
    """A search that cannot be made, or is too large, is a 400."""
    assert hubspot.post(SEARCH, body).status_code == 400


def test_the_index_lags_behind(hubspot, account, sandbox):
    """A search finds what was written some seconds ago; reads see it at once."""
    sandbox.clock.set(datetime(2026, 5, 4, tzinfo=UTC))
    sandbox.set(hubspot_search_lag=5.0)
    hubspot.patch(f"{DEALS}/1001", {"properties": {"segment": "x"}})
    made = hubspot.post(DEALS, {"properties": {"segment": "x"}}).json()["id"]
    assert searched(hubspot, ("segment", "HAS_PROPERTY", {})) == []
    assert hubspot.get(f"{DEALS}/1001?properties=segment").json()["properties"]["segment"] == "x"
    sandbox.clock.advance(5)
    assert searched(hubspot, ("segment", "HAS_PROPERTY", {})) == ["1001", made]


def test_archived_records_are_never_found(hubspot, account):
    """They leave the index."""
    account.archive_opportunity("1002")
    assert searched(hubspot) == ["1001", "1003"]


def test_upper_case_may_find_nothing(hubspot, account, sandbox):
    """`IN` may need texts in lower case, whatever the case of the stored ones."""
    account.add_opportunity("1004", segment="South")
    for values, found in ((["South"], []), (["south"], ["1004"])):
        sandbox.set(hubspot_lower_case_in=True)
        assert searched(hubspot, ("segment", "IN", {"values": values})) == found
        sandbox.set(hubspot_lower_case_in=False)
        assert searched(hubspot, ("segment", "IN", {"values": values})) == ["1004"]
