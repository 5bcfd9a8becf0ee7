"""Secrets stay out of errors, whatever a vendor repeats in its answers."""

from __future__ import annotations

import base64
import json
import pickle
from functools import partial

import pytest

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.exceptions import (
    CrmError,
    OutcomeUnknownError,
    TransientError,
)
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials

from .session_calls import PATCH, PUT, RAZE, calls, closed_port

SECRETS = {"key": "5ecret-key/+=", "token": "5ecret-t0ken"}
FORMS = {*SECRETS.values(), base64.b64encode(b"5ecret-key/+=:").decode()}


def shown(value):
    """All that a value shows of itself."""
    return f"{value} {value!r}"


def leaks(text):
    """The secrets in a text."""
    return [secret for secret in FORMS if secret in text]


def echoing(secret):
    """Bodies of vendors that repeat the request in their error."""
    return [
        {"error": f"bad {secret} key", "errors": [secret], "field-errors": {"value": [f"no {secret}"]}},
        {"success": False, "error": {"code": secret, "message": secret, "details": {"fields": {"notes": secret}}}},
        {"success": False, "message": f"Bearer {secret}"},
        {"error": {"message": f"Authorization: Basic {base64.b64encode(f'{secret}:'.encode()).decode()}"}},
    ]


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500])
@pytest.mark.parametrize(("vendor", "form"), [("raze", "key"), ("close", "key"), ("close", "token")])
def test_a_secret_in_a_vendors_text_is_taken_out(serve, connect, status, vendor, form):
    """A vendor, or a proxy, that repeats the key in its error does not bring it into ours: not in any form."""
    secret = SECRETS[form]
    for body in echoing(secret):
        server = serve(status=status, body=json.dumps(body).encode())
        extra = {"access_token": secret} if form == "token" else {}
        key = None if extra else secret
        session = connect(server.url, vendor=VENDORS[vendor], key=key, extra=extra, attempts=1, total=1.0)
        for call in (partial(session.write, PUT, "opp_1"), partial(session.fetch, PUT), session.probe):
            try:
                call()
            except CrmError as err:
                text = shown(err) + repr(vars(err)) + repr(pickle.dumps(err))
                assert leaks(text) == [], text


def test_an_unknown_outcome_holds_no_secret(serve, connect):
    """The message about a failed read-back repeats two vendor texts; both are free of secrets."""
    secret = SECRETS["key"]
    body = {"success": False, "error": {"code": "INTERNAL_ERROR", "message": f"key {secret}"}}
    with pytest.raises(OutcomeUnknownError) as unknown:
        connect(serve(status=500, body=json.dumps(body).encode()).url, key=secret, attempts=2).write(PATCH, "opp_1")
    assert (leaks(shown(unknown.value) + repr(vars(unknown.value))), "***" in str(unknown.value)) == ([], True)


@pytest.mark.parametrize(("vendor", "form"), [("raze", "key"), ("close", "key"), ("close", "token")])
def test_nothing_shows_a_secret(vendor, form):
    """Neither credentials nor account nor session nor what signs show a secret in `repr` or `str`."""
    extra = {"access_token": SECRETS["token"]} if form == "token" else {}
    credentials = Credentials(None if extra else SECRETS["key"], extra)
    account = Account(VENDORS[vendor], "https://api.example", credentials)
    with Session(account) as session:
        signed = VENDORS[vendor].authentication(credentials)
        parts = (credentials, account, session, session.http, session.http.auth, signed)
        assert [leaks(shown(part)) for part in parts] == [[]] * len(parts)
        assert leaks(repr(session.http.headers)) == []


def test_credentials_do_not_leave_the_process():
    """Credentials, and so account and session, cannot be pickled: no XCom, cache or trigger can carry them away."""
    account = Account(RAZE, "https://api.example", Credentials(SECRETS["key"]))
    signed = RAZE.authentication(account.credentials)
    with Session(account) as session:
        for part in (account.credentials, account, session, signed):
            with pytest.raises(TypeError):
                pickle.dumps(part)


def test_values_of_a_row_stay_out_of_transport_errors(connect):
    """A failure on the way is described by host and cause, never by what was sent."""
    call = calls({"email": "jane@example.com"})[0]
    with pytest.raises(TransientError) as failed:
        connect(closed_port(), attempts=1).write(call, "opp_1")
    assert "jane" not in shown(failed.value) + repr(vars(failed.value))


def test_a_transport_error_keeps_no_request(crm_sandbox, monkeypatch):
    """The HTTP library leaves the signed request on its errors; the cause of ours has none."""
    hook = CrmHook.for_connection("close_default")
    crm_sandbox.close.add_opportunity("oppo_1")
    crm_sandbox.script(vendor="close", method="GET", faults=["reset_before"])
    with pytest.raises(TransientError) as cut:
        hook.session.probe()
    key = hook.session.account.credentials.secrets()
    assert not [secret for secret in key if secret in repr(vars(cut.value.__cause__)) + repr(cut.value.__cause__)]
    assert not hasattr(cut.value.__cause__, "request")


@pytest.mark.parametrize("fault", ["http_400", "http_401", "http_404", "redirect_302"])
def test_no_error_is_its_own_cause(crm_sandbox, fault):
    """A walk along the causes of an error comes to an end."""
    hook = CrmHook.for_connection("close_default")
    crm_sandbox.set(fault_rates={fault: 1.0})
    for call in (hook.session.probe, lambda: hook.get_opportunity("oppo_1")):
        with pytest.raises(CrmError) as refused:
            call()
        assert refused.value.__cause__ is None
