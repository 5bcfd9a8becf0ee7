"""No secret in any log, exception, repr, pickle or XCom, whatever goes wrong."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import traceback

import pytest

from airflow_provider_crm.client.redaction import Redactor
from airflow_provider_crm.exceptions import RejectedError
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator

CLOSE_KEY = "api_5ecret.close-key/value"
CLOSE_TOKEN = "oauth-5ecret-token"
RAZE_KEY = "lr_live_5ecretRazeKey"

FAULTS = (
    None, "http_400", "http_401", "http_403", "http_404", "http_429", "http_500", "html_502", "html_200", "truncated",
    "reset_before", "reset_after", "redirect_302", "redirect_307",
)  # fmt: skip


def forms(secret):
    """The secret in clear, and as Basic authentication, JSON and URLs contain it."""
    basic = base64.b64encode(f"{secret}:".encode()).decode()
    return {secret, basic, json.dumps(secret)[1:-1], secret.replace("/", "%2F")}


SECRETS = set().union(*map(forms, (CLOSE_KEY, CLOSE_TOKEN, RAZE_KEY)))


def leaks(text):
    """The secrets in a text."""
    return [secret for secret in SECRETS if secret in text]


def text_of(error):
    """Everything that an exception shows: message, repr, notes, causes and pickle."""
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))
    return shown + repr(pickle.dumps(error.__cause__) if error.__cause__ is not None else "")


@pytest.fixture
def connections(crm_sandbox, monkeypatch):
    """Connections by key and by token, with secrets that can be searched for."""
    crm_sandbox.close.add_opportunity("oppo_0")
    crm_sandbox.raze.add_opportunity("opp_0")
    for name, connection in {
        "BY_KEY": {"conn_type": "close", "password": CLOSE_KEY},
        "BY_TOKEN": {"conn_type": "close", "extra": {"access_token": CLOSE_TOKEN}},
        "RAZE": {"conn_type": "raze", "password": RAZE_KEY},
    }.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"host": crm_sandbox.url, **connection}))
    return crm_sandbox


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("crm_conn_id", ["by_key", "by_token", "raze"])
def test_no_failure_shows_a_secret(connections, update, caplog, capfd, crm_conn_id, fault):  # noqa: PLR0917 - fixtures
    """Unknown keys, every status, cut connections, redirects: no log, exception or XCom contains the secret."""
    caplog.set_level(logging.DEBUG)
    connections.set(fault_rates={fault: 1.0} if fault else {})
    record_id = "opp_0" if crm_conn_id == "raze" else "oppo_0"
    run = update([{"id": record_id, "arr": 1}], crm_conn_id=crm_conn_id)
    assert run.error is not None
    out, err = capfd.readouterr()
    assert leaks(text_of(run.error) + caplog.text + out + err + json.dumps(run.xcom)) == []


def test_no_object_shows_a_secret(connections):
    """The repr of hook, account, credentials, session and signature, and the operator's fields, contain no secret."""
    shown = []
    for crm_conn_id in ("by_key", "by_token", "raze"):
        hook = CrmHook.for_connection(crm_conn_id)
        session = hook.get_conn()
        shown += [hook, hook.__dict__, hook.account(), hook.account().credentials, hook.session, session, session.auth]
        shown += [session.headers, vars(session)]
    operator = UpdateOpportunityOperator(
        task_id="t", data=[], crm_conn_id="by_key", id_column="id", fields={"a": "deal_value"}
    )
    assert leaks(repr(shown) + repr(vars(operator))) == []


@pytest.mark.parametrize("key", ["bad\nkey-5ecret", "bad key-5ecret", "bäd-5ecret"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(monkeypatch, key):
    """The HTTP library would put such a key into its error; the connection check refuses it first."""
    monkeypatch.setenv("AIRFLOW_CONN_BAD", json.dumps({"conn_type": "raze", "password": key}))
    works, message = CrmHook.for_connection("bad").test_connection()
    assert not works
    assert message == "Connection 'bad' (Raze): the API key (password) has characters that no HTTP header can contain."


def test_a_vendor_that_repeats_the_key_is_redacted(connections):
    """If an answer quotes the key, the error shows stars in its place."""
    hook = CrmHook.for_connection("raze")
    session = hook.session
    error = RejectedError(f"bad key {RAZE_KEY}", code=RAZE_KEY, field_errors={"key": RAZE_KEY})
    Redactor(session.account).redact(error, "opp_0")
    assert str(error) == "bad key ***"
    assert error.field_errors == {"key": "***"}
