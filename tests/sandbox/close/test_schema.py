"""Close: every answer with a record satisfies the `Opportunity` schema of the vendor's OpenAPI document."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

ONE = "/opportunity/oppo_1/"


@pytest.fixture(scope="module")
def check():
    """Validate a record, formats included, against the vendor's schema."""
    document = yaml.safe_load(Path(__file__).with_name("openapi.yaml").read_text(encoding="utf-8"))
    schema = {"$ref": "#/components/schemas/Opportunity", "components": document["components"]}
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return jsonschema.Draft202012Validator(schema, format_checker=checker).validate


def test_get_satisfies_the_schema(close, check):
    """GET of one record."""
    check(close.get(ONE).json())


def test_put_satisfies_the_schema(close, check):
    """PUT that sets, wins and clears."""
    sent = {"value": None, "note": None, "status_id": "stat_sales_won", "custom.cf_products.add": "Core"}
    check(close.put(ONE, sent).json())


def test_lost_record_satisfies_the_schema(close, check):
    """A lost record has a `date_lost`."""
    check(close.put(ONE, {"status_id": "stat_sales_lost"}).json())


def test_list_satisfies_the_schema(close, sandbox, check):
    """Every record of a list."""
    sandbox.close.add_opportunity(value=1, value_period="monthly", **{"custom.cf_score": 1.5})
    data = close.get("/opportunity/").json()["data"]
    assert len(data) == 2
    for record in data:
        check(record)


def test_create_satisfies_the_schema(close, check):
    """POST without any field."""
    check(close.post("/opportunity/", {}).json())


def test_schema_would_notice_a_missing_field(close, check):
    """The schema refuses a record that lacks a required field, so the tests above prove something."""
    record = close.get(ONE).json()
    del record["value"]
    with pytest.raises(jsonschema.ValidationError):
        check(record)
