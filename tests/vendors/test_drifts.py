"""Behaviour of the vendors beside their documents, by published code or by observation: survived, and never misread."""

from __future__ import annotations

import datetime as dt

import pytest

from airflow_provider_crm.exceptions import (
    AuthenticationError,
    IgnoredError,
    InvalidValueError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.sandbox.raze.switches import RAZE_SERVER_2025, RAZE_SERVER_2026
from airflow_provider_crm.vendors import VENDORS

RAZE = VENDORS["raze"]
UUID = "3f2b8c1e-0000-4000-8000-000000000001"
SERVERS = pytest.mark.parametrize("server", [RAZE_SERVER_2025, RAZE_SERVER_2026], ids=["2025", "2026"])


@pytest.fixture
def published(connect, sandbox):
    """Return a hook on Raze as one of its published servers behaves, with one record of a UUID."""

    def published(server):
        sandbox.raze.add_opportunity(UUID, notes="old")
        sandbox.set(**server)
        return connect("raze")

    return published


# Raze


@SERVERS
def test_a_value_that_the_server_does_not_know(published, server):
    """The published server drops `deal_value` from a PUT with other fields and answers 200: that is no success."""
    with pytest.raises(IgnoredError, match="deal_value"):
        published(server).update_opportunity(UUID, {"deal_value": 5, "notes": "new"})


@SERVERS
def test_a_value_alone(published, server):
    """The published server refuses a PUT with nothing but `deal_value`: the row is rejected in its words."""
    with pytest.raises(RejectedError, match="VALIDATION_ERROR: No fields to update"):
        published(server).update_opportunity(UUID, {"deal_value": 5})


@SERVERS
def test_what_the_server_does_know_lands(published, sandbox, server):
    """Other fields land there too, with its PostgreSQL timestamps and a row dump for an answer."""
    record = published(server).update_opportunity(UUID, {"notes": "new", "email": "new@example.com"})
    assert (record["notes"], sandbox.raze.opportunity(UUID)["notes"]) == ("new", "new")


@SERVERS
def test_an_id_that_the_server_cannot_cast(published, sandbox, time_passed, server):
    """The published server answers 500 to an id that is no UUID: the call is tried a few times, then reported."""
    hook = published(server)
    with pytest.raises(TransientError, match="INTERNAL_ERROR"):
        hook.update_opportunity("opp_1", {"notes": "new"})
    assert sandbox.audit.count("raze") == hook.session.retry.attempts
    assert time_passed() <= hook.session.retry.total


def test_money_as_text(raze, sandbox):
    """Numbers that come back as text, such as `"1234.50"`, are the same numbers."""
    sandbox.set(raze_string_numbers=True)
    assert raze.update_opportunity("opp_1", {"deal_value": "1234.5"})["deal_value"] == "1234.50"


def test_money_under_other_keys(raze, sandbox):
    """A server that shows `value` and `currency` has not confirmed `deal_value`: it is not reported as written."""
    sandbox.set(raze_value_keys=True)
    with pytest.raises(IgnoredError, match="deal_value"):
        raze.update_opportunity("opp_1", {"deal_value": 5})


@pytest.mark.parametrize(
    ("stages", "status", "error"),
    [
        ("names", "scheduled", None),
        ("names", "proposal", "400 VALIDATION_ERROR"),
        ("stage_id", "won", "400 MISSING_REQUIRED_FIELD"),
    ],
)
def test_other_stages(raze, sandbox, stages, status, error):
    """Stages of the published servers: what they know is confirmed by its echo, what they don't is rejected."""
    sandbox.set(raze_stages=stages)
    if error is None:
        assert raze.update_stage("opp_1", status)["status"] == status
    else:
        with pytest.raises(RejectedError, match=error):
            raze.update_stage("opp_1", status)


def test_a_name_is_not_cleared(raze, sandbox):
    """A null name crashes the published server, so it is refused before it is sent."""
    with pytest.raises(InvalidValueError, match="cannot be cleared"):
        raze.update_opportunity("opp_1", {"name": None})
    assert sandbox.audit.calls == []


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "MISSING_API_KEY", AuthenticationError),
        (401, "INVALID_API_KEY", AuthenticationError),
        (401, "EXPIRED_API_KEY", AuthenticationError),
        (403, "INSUFFICIENT_PERMISSIONS", AuthenticationError),
        (400, "VALIDATION_ERROR", RejectedError),
        (400, "INVALID_PARAMETER", RejectedError),
        (400, "MISSING_REQUIRED_FIELD", RejectedError),
        (400, "INVALID_EMAIL", RejectedError),
        (400, "INVALID_STATUS", RejectedError),
        (400, "INVALID_SOURCE", RejectedError),
        (404, "NOT_FOUND", RejectedError),
        (409, "ALREADY_EXISTS", TransientError),
        (409, "CONFLICT", TransientError),
        (429, "RATE_LIMIT_EXCEEDED", RateLimitedError),
        (500, "INTERNAL_ERROR", TransientError),
        (500, "AUTHENTICATION_ERROR", TransientError),
        (200, "VALIDATION_ERROR", RejectedError),
        (200, "INTERNAL_ERROR", TransientError),
        (200, "INVALID_API_KEY", AuthenticationError),
    ],
)
def test_every_code_on_record(answer, status, code, kind):
    """Each of Raze's codes has its consequence, also in a 200 that says `success: false`."""
    body = {"success": False, "error": {"code": code, "message": "m", "details": {"fields": {"notes": "bad"}}}}
    error = RAZE.error(answer(status, json=body))
    assert (type(error), error.code, error.field_errors) == (kind, code, {"notes": "bad"})
    assert str(error) == f"Raze answered {status} {code}: m (notes: bad)."


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (404, {"success": False, "message": "Route not found"}, "FOREIGN_ANSWER"),
        (400, {"success": False, "message": "Unexpected token"}, "FOREIGN_ANSWER"),
        (403, {"success": False}, "FOREIGN_ANSWER"),
        (500, {"success": False, "error": "Internal"}, "HTTP_500"),
    ],
)
def test_errors_without_the_envelope(answer, status, body, code):
    """Express answers unknown routes and broken JSON without an `error` object: neither says anything about a row."""
    error = RAZE.error(answer(status, json=body))
    assert (type(error), error.code) == (TransientError, code)
    assert (body.get("message") or body.get("error") or "") in str(error)


# Close


@pytest.mark.parametrize(
    ("mode", "kind"), [("400", RejectedError), ("403", AuthenticationError), ("ignored", IgnoredError)]
)
def test_a_field_that_this_role_may_not_edit(connect, sandbox, mode, kind):
    """A role-restricted custom field can be refused for the row, refused outright, or dropped: never a success."""
    sandbox.set(close_restricted_field=mode)
    hook = connect("close", password=sandbox.close.add_key(role="member"))
    with pytest.raises(kind):
        hook.update_opportunity("oppo_1", {"custom.cf_restricted": "x"})
    assert sandbox.audit.writes == [] or mode == "ignored"


def test_a_403_about_fields_is_about_the_row(answer):
    """A 403 that names fields refuses them, not the key."""
    error = VENDORS["close"].error(answer(403, json={"field-errors": {"custom.cf_x": "Not allowed."}}))
    assert (type(error), error.field_errors) == (RejectedError, {"custom.cf_x": "Not allowed."})


@pytest.mark.parametrize("cut", ["written", "utc", "offset"])
def test_how_close_cuts_a_datetime_does_not_matter(connect, sandbox, cut):
    """A moment is cut to a date before it is sent, so Close's own rule, which is not documented, never runs."""
    sandbox.set(close_date_won_cut=cut)
    moment = dt.datetime(2026, 3, 2, 3, tzinfo=dt.UTC)
    record = connect("close", timezone="America/New_York").update_opportunity("oppo_1", {"date_won": moment})
    assert record["date_won"] == "2026-03-01"


@pytest.mark.parametrize("default", [-11.0, 14.0])
def test_the_default_offset_does_not_matter(connect, sandbox, default):
    """The zone that Close takes for an absent `x-tz-offset` is not documented; the header is never absent."""
    sandbox.set(close_default_tz_offset=default)
    assert connect("close").update_opportunity("oppo_1", {"stage": "Sales/Won"})["date_won"] == "2026-06-15"


def test_a_status_of_another_pipeline(connect, sandbox):
    """Where Close refuses such a status, the row is rejected with the field."""
    sandbox.set(close_refuses_foreign_status=True)
    with pytest.raises(RejectedError) as refused:
        connect("close").update_opportunity("oppo_1", {"stage": "Renewals/Won"})
    assert list(refused.value.field_errors) == ["status_id"]


@pytest.mark.parametrize("kind", [{"close_limit_kind": "window"}, {"close_limit_kind": "bucket"}])
@pytest.mark.parametrize("header", ["comma", "semicolon", "absent"])
def test_a_used_up_budget_loses_no_row(connect, sandbox, kind, header):
    """Twenty rows against a limit of five a second: all land, once each."""
    hook = connect("close")
    sandbox.set(close_limit=5, close_rate_limit_header=header, **kind)
    for row in range(20):
        hook.update_opportunity("oppo_1", {"note": f"row {row}"})
    assert [write.fields["note"] for write in sandbox.audit.writes] == [f"row {row}" for row in range(20)]


def test_a_user_named_in_an_unanswered_call_is_not_taken_for_another(connect, sandbox):
    """Close shows a user's id for a sent name: after a lost answer, an id is no proof that the call landed."""
    sandbox.close.add_opportunity("oppo_owned", **{"custom.cf_owner": "user_grace", "custom.cf_products": ["Core"]})
    sandbox.script(vendor="close", method="PUT", faults=["reset_before"])
    connect("close").update_opportunity(
        "oppo_owned", {"custom.cf_owner": "Ada Lovelace", "custom.cf_products.add": "Core"}
    )
    assert sandbox.close.opportunity("oppo_owned")["custom.cf_owner"] == "user_ada"
