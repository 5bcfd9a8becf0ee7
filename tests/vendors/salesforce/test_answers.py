"""Claims about answers on record, errors and limits, read without a server."""

from __future__ import annotations

import datetime as dt

import pytest

from airflow_provider_crm.exceptions import (
    AuthenticationError,
    ConfigurationError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.testing.handmade import HandmadeAnswer
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.calls import BatchRow
from airflow_provider_crm.vendors.limits import Limits
from tests.vendors.salesforce.conftest import recorded

SALESFORCE = VENDORS["crm_salesforce"]
NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
ROWS = [BatchRow("003ak00000jvIfpAAE", "{}", "0"), BatchRow("003ak00000jvIfqAAE", "{}", "1")]


def split(body):
    """Return what an answer to a collection says about two rows."""
    (call,) = SALESFORCE.write_calls(("Amount",))
    return call.batch.unverified.split(HandmadeAnswer(200, body), ROWS)


def test_rows_that_landed():
    """Each row has its id."""
    assert split(recorded("update-success")) == [{"Id": row.record_id} for row in ROWS]


@pytest.mark.parametrize(
    ("name", "codes", "kinds"),
    [
        ("update-no-ids", ["MISSING_ARGUMENT"] * 2, [RejectedError] * 2),
        (
            "update-rolled-back",
            ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "INVALID_FIELD"],
            [RejectedError, ConfigurationError],
        ),
    ],
)
def test_rows_that_failed(name, codes, kinds):
    """Failed rows are matched by position, as they have no ids."""
    answers = split(recorded(name))
    assert [(one.code, type(one)) for one in answers] == list(zip(codes, kinds, strict=True))


def test_an_answer_of_another_length():
    """Of rows whose answers cannot be matched nothing is known."""
    assert split(recorded("update-success")[:1]) == [None, None]
    malformed = split([recorded("success-with-errors"), {"success": True}])
    assert (malformed[0].status, malformed[1]) == (404, None)


@pytest.mark.parametrize(
    ("name", "status", "kind", "code"),
    [
        ("refused-call", 400, RejectedError, "REQUIRED_FIELD_MISSING"),
        ("unknown-field", 400, ConfigurationError, "INVALID_FIELD"),
        ("invalid-field-upsert", 400, ConfigurationError, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ("deleted", 404, RejectedError, "ENTITY_IS_DELETED"),
    ],
)
def test_refusals_on_record(name, status, kind, code):
    """A refusal has Salesforce's code; what every row would meet is an error of the set-up."""
    error = SALESFORCE.error(HandmadeAnswer(status, recorded(name)))
    assert (type(error), error.status, error.code) == (kind, status, code)


def test_a_page_on_record():
    """Records have their ids, and the page is the last one."""
    page = SALESFORCE.parse_page(recorded("read-opportunity-with-account"), None)
    assert ([one["Id"] for one in page.records], page.cursor) == (["006ak00000OQ4RxAAL", "006ak00000OQ4RyAAL"], None)


def error(status, code, message="No.", headers=None, fields=None):
    """Return the error that an answer with one error means."""
    one = {"message": message, "errorCode": code} | ({} if fields is None else {"fields": fields})
    return SALESFORCE.error(HandmadeAnswer(status, [one], headers))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "UNABLE_TO_LOCK_ROW", TransientError),
        (400, "STORAGE_LIMIT_EXCEEDED", ConfigurationError),
        (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", RejectedError),
        (400, "CANNOT_EXECUTE_FLOW_TRIGGER", RejectedError),
        (400, "DUPLICATES_DETECTED", RejectedError),
        (403, "INSUFFICIENT_ACCESS_OR_READONLY", RejectedError),
        (403, "API_DISABLED_FOR_ORG", ConfigurationError),
        (403, "INSUFFICIENT_ACCESS", AuthenticationError),
        (401, "INVALID_SESSION_ID", AuthenticationError),
        (500, "UNKNOWN_EXCEPTION", TransientError),
        (503, "SERVER_UNAVAILABLE", TransientError),
    ],
)
def test_codes(status, code, kind):
    """The code says whether to stop, to wait, or to give up the row."""
    assert (type(error(status, code)), error(status, code).code) == (kind, code)


@pytest.mark.parametrize(
    ("headers", "message", "kind", "retry_after"),
    [
        ({"Sforce-Limit-Info": "api-usage=15000/15000"}, "x", RateLimitedError, None),
        ({"Sforce-Limit-Info": "api-usage=15010/15000"}, "x", RateLimitedError, None),
        ({"Sforce-Limit-Info": "api-usage=7/15000"}, "TotalRequests Limit exceeded.", TransientError, 5.0),
        ({}, "TotalRequests Limit exceeded.", RateLimitedError, None),
        ({}, "ConcurrentPerOrgLongTxn Limit exceeded.", TransientError, 5.0),
    ],
)
def test_two_limits_have_one_code(headers, message, kind, retry_after):
    """The header says whether the day is used up; without it the text does."""
    found = error(403, "REQUEST_LIMIT_EXCEEDED", message, headers)
    assert (type(found), found.retry_after) == (kind, retry_after)


def limits(headers, status=200, body=None):
    """Return the limits of an answer."""
    return SALESFORCE.limits(HandmadeAnswer(status, body or {}, headers), NOW, None)


def test_the_limit_of_the_day():
    """The header has used calls and the limit, and maybe a part about one app; the day has no end."""
    for text in ("api-usage=53/15000", "api-usage=53/15000; per-app-api-usage=17/250(appName=x)"):
        gateway, day = limits({"Sforce-Limit-Info": text})
        assert day == Limits(limit=15_000, remaining=14_947, name="day", is_daily=True)
        assert gateway == Limits(name="gateway")
    assert limits({"Sforce-Limit-Info": "api-usage=15010/15000"})[1].remaining == 0
    assert limits({"Sforce-Limit-Info": "per-app-api-usage=17/250"})[1] == Limits(name="day", is_daily=True)


def test_a_day_that_is_used_up_names_a_wait():
    """When calls end is not known: it is asked again after a quarter of an hour."""
    body = [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    assert limits({}, 403, body)[1].wait == 900.0
    busy = [{"message": "ConcurrentPerOrgLongTxn Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    assert limits({}, 403, busy)[1].wait is None
