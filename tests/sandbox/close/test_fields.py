"""Close: custom fields of every type."""

from __future__ import annotations

import pytest

ONE = "/opportunity/oppo_1/"


@pytest.mark.parametrize(
    ("field", "sent", "shown"),
    [
        ("cf_health", "good", "good"),
        ("cf_score", 7, 7),
        ("cf_score", 7.25, 7.25),
        ("cf_renewal_date", "2026-03-01", "2026-03-01"),
        ("cf_last_seen", "2014-06-27T22:00:00-08:00", "2014-06-28T06:00:00.000000+00:00"),
        ("cf_last_seen", "2014-06-27T22:00:00", "2014-06-27T22:00:00.000000+00:00"),
        ("cf_tier", "Gold", "Gold"),
        ("cf_products", ["Core", "Support"], ["Core", "Support"]),
        ("cf_owner", "user_grace", "user_grace"),
        ("cf_owner", "Grace Hopper", "user_grace"),
        ("cf_restricted", "secret", "secret"),
        ("cf_region", "EMEA", "EMEA"),
    ],
)
def test_value_is_stored(close, field, sent, shown):
    """Each type takes its values; a user is shown by id, a datetime in UTC."""
    assert close.put(ONE, {f"custom.{field}": sent}).json()[f"custom.{field}"] == shown


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ("cf_health", 5),
        ("cf_score", "7"),
        ("cf_score", True),
        ("cf_renewal_date", "2026-03-01T00:00:00Z"),
        ("cf_last_seen", "yesterday"),
        ("cf_tier", "Platinum"),
        ("cf_products", "Core"),
        ("cf_products", ["Core", "Other"]),
        ("cf_owner", "user_missing"),
        ("cf_missing", "x"),
        ("cf_products.replace", "Core"),
        ("cf_health.add", "x"),
        ("cf_tier.remove", "Gold"),
        ("cf_products.add", "Other"),
        ("cf_products.add", ["Core"]),
    ],
)
def test_wrong_value_is_a_field_error(close, field, sent):
    """A wrong value, an unknown field, and `.add` or `.remove` on a single-value field are 400."""
    answer = close.put(ONE, {f"custom.{field}": sent})
    assert (answer.status_code, list(answer.json()["field-errors"])) == (400, [f"custom.{field}"])


def test_unknown_field_says_so(close):
    """The text for an unknown custom field is Close's."""
    errors = close.put(ONE, {"custom.cf_missing": "x"}).json()["field-errors"]
    assert errors == {"custom.cf_missing": "The Custom Field cf_missing does not exist."}


def test_null_unsets(close, sandbox):
    """Null unsets a field: its key is gone."""
    sandbox.close.add_opportunity("oppo_2", **{"custom.cf_health": "good", "custom.cf_score": 1})
    record = close.put("/opportunity/oppo_2/", {"custom.cf_health": None}).json()
    assert ("custom.cf_health" in record, record["custom.cf_score"]) == (False, 1)


def test_list_replaces_the_whole_list(close, sandbox):
    """Setting a multi-value field replaces its list."""
    sandbox.close.add_opportunity("oppo_2", **{"custom.cf_products": ["Core", "Support"]})
    record = close.put("/opportunity/oppo_2/", {"custom.cf_products": ["Insights"]}).json()
    assert record["custom.cf_products"] == ["Insights"]


def test_add_appends_one_value(close, sandbox):
    """`.add` adds to the list, also to an empty one, and adding again changes nothing."""
    for value in ("Core", "Support", "Core"):
        close.put(ONE, {"custom.cf_products.add": value})
    assert sandbox.close.opportunity("oppo_1")["custom.cf_products"] == ["Core", "Support"]


def test_remove_takes_one_value_away(close, sandbox):
    """`.remove` takes a value from the list; one that isn't there changes nothing."""
    sandbox.close.add_opportunity("oppo_2", **{"custom.cf_products": ["Core", "Support"]})
    for value in ("Core", "Insights"):
        close.put("/opportunity/oppo_2/", {"custom.cf_products.remove": value})
    assert sandbox.close.opportunity("oppo_2")["custom.cf_products"] == ["Support"]


def test_restricted_field_needs_the_role(close, sandbox):
    """A key without the role can't write a role-restricted field, but can write others."""
    auth = (sandbox.close.add_key(role="user"), "")
    statuses = [close.put(ONE, {f"custom.{one}": "x"}, auth=auth).status_code for one in ("cf_restricted", "cf_health")]
    assert statuses == [400, 200]
