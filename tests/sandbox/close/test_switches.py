"""Close: what the vendor leaves open, as switches."""

from __future__ import annotations

import pytest

ONE = "/opportunity/oppo_1/"


def test_flat_errors(close, sandbox):
    """Every 400 can have the shape `{"error"}`."""
    sandbox.set(close_flat_errors=True)
    assert close.put(ONE, {"value": "x"}).json() == {"error": "value: Value must be of int type."}


def test_nested_field_errors(close, sandbox):
    """Errors of custom fields can be nested under `custom`."""
    sandbox.set(close_nested_field_errors=True)
    errors = close.put(ONE, {"custom.cf_score": "x", "value": "x"}).json()["field-errors"]
    assert errors == {"value": "Value must be of int type.", "custom": {"cf_score": "Value must be of number type."}}


def test_pydantic_errors(close, sandbox):
    """The newer wording can be chosen."""
    sandbox.set(close_pydantic_errors=True)
    assert close.put(ONE, {"value": "x"}).json()["field-errors"] == {"value": "Input should be a valid integer"}


def test_float_value_can_be_truncated(close, sandbox):
    """A fractional value can be cut silently rather than refused."""
    sandbox.set(close_truncates_float_value=True)
    assert close.put(ONE, {"value": 99.9}).json()["value"] == 99


def test_unknown_field_can_be_refused(close, sandbox):
    """An unknown plain field can be a 400; a read-only one is still dropped."""
    sandbox.set(close_refuses_unknown_fields=True)
    answers = [close.put(ONE, {name: "x"}).status_code for name in ("vlaue", "value_currency")]
    assert answers == [400, 200]


def test_foreign_status_can_be_refused(close, sandbox):
    """A status of another pipeline can be a 400."""
    sandbox.set(close_refuses_foreign_status=True)
    answers = [close.put(ONE, {"status_id": one}).status_code for one in ("stat_renewals_won", "stat_sales_won")]
    assert answers == [400, 200]


def test_winning_can_set_confidence(close, sandbox):
    """Winning can raise the confidence to 100."""
    sandbox.set(close_won_sets_confidence=True)
    assert close.put(ONE, {"status_id": "stat_sales_won"}).json()["confidence"] == 100


@pytest.mark.parametrize(("form", "status"), [("400", 400), ("403", 403), ("ignored", 200)])
def test_restricted_field_forms(close, sandbox, form, status):
    """A role-restricted field can be a 400, a 403, or be dropped silently; it is never written."""
    sandbox.set(close_restricted_field=form)
    auth = (sandbox.close.add_key(role="user"), "")
    assert close.put(ONE, {"custom.cf_restricted": "x"}, auth=auth).status_code == status
    assert "custom.cf_restricted" not in sandbox.close.opportunity("oppo_1")
