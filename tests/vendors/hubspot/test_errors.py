"""Claims about HubSpot's errors: each row of the table of its documents and recorded answers has its consequence."""

from __future__ import annotations

import json

import pytest

from airflow_provider_crm.exceptions import (
    AuthenticationError,
    ConfigurationError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.testing.handmade import HandmadeAnswer
from airflow_provider_crm.vendors.answers import FOREIGN_ANSWER
from tests.vendors.hubspot.by_hand import HUBSPOT, answer_of, error_body


def problem(code, name=None, message="Wrong."):
    """Return an error of a property as `errors` lists it."""
    return {"message": message, "code": code, **({"context": {"propertyName": [name]}} if name else {})}


def embedded(*problems):
    """Return the message that holds the errors of properties as JSON."""
    listed = [{"isValid": False, "message": "Wrong.", "error": code, "name": name} for code, name in problems]
    return f"Property values were not valid: {json.dumps(listed)}"


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, error_body(embedded(("INVALID_OPTION", "dealstage"))), RejectedError, "INVALID_OPTION"),
        (400, error_body(errors=[problem("INVALID_LONG", "closedate")]), RejectedError, "INVALID_LONG"),
        (400, error_body(errors=[problem("INVALID_DATE", "renewal")]), RejectedError, "INVALID_DATE"),
        (400, error_body(category="VALIDATION_ERROR"), RejectedError, "VALIDATION_ERROR"),
        (400, error_body("Unable to infer object type from: x"), RejectedError, "HTTP_400"),
        (400, error_body(errors=[problem("PROPERTY_DOESNT_EXIST", "x")]), ConfigurationError, "PROPERTY_DOESNT_EXIST"),
        (400, error_body(embedded(("PROPERTY_DOESNT_EXIST", "x"))), ConfigurationError, "PROPERTY_DOESNT_EXIST"),
        (400, error_body(embedded(("READ_ONLY_VALUE", "x"))), ConfigurationError, "READ_ONLY_VALUE"),
        (401, error_body(category="INVALID_AUTHENTICATION"), AuthenticationError, "INVALID_AUTHENTICATION"),
        (401, error_body(category="EXPIRED_AUTHENTICATION"), AuthenticationError, "EXPIRED_AUTHENTICATION"),
        (403, error_body(category="MISSING_SCOPES"), AuthenticationError, "MISSING_SCOPES"),
        (404, error_body(category="OBJECT_NOT_FOUND"), RejectedError, "OBJECT_NOT_FOUND"),
        (404, error_body("resource not found"), RejectedError, "HTTP_404"),
        (409, error_body(category="CONFLICT"), RejectedError, "CONFLICT"),
        (409, error_body(), TransientError, "HTTP_409"),
        (423, error_body(category="LOCKED"), TransientError, "LOCKED"),
        (429, error_body(category="RATE_LIMITS"), RateLimitedError, "RATE_LIMITS"),
        (429, error_body(errorType="RATE_LIMIT", policyName="DAILY"), RateLimitedError, "HTTP_429"),
        (500, error_body(category="INTERNAL_ERROR"), TransientError, "INTERNAL_ERROR"),
        (500, error_body(category="VALIDATION_ERROR"), TransientError, "VALIDATION_ERROR"),
        *((status, error_body(), TransientError, f"HTTP_{status}") for status in (502, 503, 504, 521, 522, 523, 524)),
        *((status, b"<html>", TransientError, f"HTTP_{status}") for status in (502, 503, 504, 521, 522, 523, 524)),
        *((status, b"<html>", ConfigurationError, f"HTTP_{status}") for status in (414, 525, 526)),
        *((status, error_body(), ConfigurationError, f"HTTP_{status}") for status in (405, 414, 415, 525, 526)),
        (404, b"<html>", TransientError, FOREIGN_ANSWER),
        (404, {"message": "Not found"}, TransientError, FOREIGN_ANSWER),
    ],
)
def test_every_error_has_its_consequence(status, body, kind, code):
    """An error rejects the row, stops the run or is tried again: by status, category and the codes of properties."""
    error = HUBSPOT.error(HandmadeAnswer(status, body))
    assert (type(error), error.code, error.status, error.vendor) == (kind, code, status, "hubspot")


@pytest.mark.parametrize(
    "body",
    [
        {"message": "No.", "category": "VALIDATION_ERROR"},
        {"message": "No.", "correlationId": "x"},
        {"message": "No.", "status": "error"},
        {"message": "No.", "status": "error", "future": {"new": [1]}, "errors": [], "context": {}, "links": {}},
        {"message": "No.", "status": "error", "errors": ["text", {"code": 7}], "context": ["text"]},
    ],
)
def test_all_members_but_the_message_may_be_missing(body):
    """One member beside the message shows that it is HubSpot's error; unknown members are ignored."""
    error = HUBSPOT.error(HandmadeAnswer(400, body))
    assert type(error) is RejectedError
    assert "No." in str(error)


def test_a_missing_scope_is_named():
    """The error says which scope to add, as recorded, and where the scopes are in a list of errors."""
    error = HUBSPOT.error(answer_of("missing-scope", 403))
    assert type(error) is AuthenticationError
    assert str(error) == (
        "HubSpot answered 403 MISSING_SCOPES: the token lacks one of the scopes custom-object-read; add it to the app "
        "or service key of the token."
    )
    nested = [{"message": "x", "context": {"requiredGranularScopes": ["crm.objects.deals.write", "b"]}}]
    error = HUBSPOT.error(HandmadeAnswer(403, error_body(category="MISSING_SCOPES", errors=nested)))
    assert "one of the scopes crm.objects.deals.write, b;" in str(error)
    error = HUBSPOT.error(HandmadeAnswer(403, error_body(category="MISSING_SCOPES")))
    assert "MISSING_SCOPES" in str(error)


def test_a_property_that_was_deleted_is_one_error_for_all_rows():
    """The recorded 400 about properties that do not exist stops the run, and names each property once."""
    error = HUBSPOT.error(answer_of("update-invalid-properties", 400))
    assert type(error) is ConfigurationError
    assert str(error) == (
        "HubSpot answered 400 PROPERTY_DOESNT_EXIST: the deals of this portal no longer have the property "
        "'first000name', 'last000name'; map the column to another field, or restore the property."
    )
    assert error.field_errors.keys() == {"first000name", "last000name"}


def test_a_row_error_names_properties_without_the_json():
    """A message with embedded JSON becomes one text for each property."""
    message = embedded(("INVALID_OPTION", "dealstage"), ("INVALID_DATE", "renewal"))
    error = HUBSPOT.error(HandmadeAnswer(400, error_body(message, category="VALIDATION_ERROR")))
    assert error.field_errors == {"dealstage": "Wrong.", "renewal": "Wrong."}
    assert str(error) == (
        "HubSpot answered 400 INVALID_OPTION: Property values were not valid (dealstage: Wrong.; renewal: Wrong.)."
    )
    broken = HUBSPOT.error(HandmadeAnswer(400, error_body("Property values were not valid: [{", category="X")))
    assert (type(broken), broken.code) == (RejectedError, "X")


def test_waits_that_errors_name():
    """A lock is tried again after two seconds; an account that moves says itself for how long."""
    assert HUBSPOT.error(HandmadeAnswer(423, error_body())).retry_after == 2.0
    for body in (b"", b"<html>", error_body("moving")):
        moving = HUBSPOT.error(HandmadeAnswer(477, body, {"Retry-After": "86400"}))
        assert (type(moving), moving.retry_after, moving.status) == (TransientError, 86_400.0, 477)
    assert HUBSPOT.error(HandmadeAnswer(477, b"", {"Retry-After": "soon"})).retry_after is None


@pytest.mark.parametrize("name", ["update-duplicate-ids", "create-conflict", "unknown-object"])
def test_recorded_refusals_of_a_whole_call(name):
    """They reject the rows of the call, which the core halves until each row has its own answer."""
    error = HUBSPOT.error(answer_of(name, 409 if name == "create-conflict" else 400))
    assert type(error) is RejectedError
    assert error.request_id is not None
