"""Claims about the ways to authenticate with HubSpot: a token, or an OAuth app, whose refresh token may change."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from airflow.sdk.crypto import get_fernet
from cryptography.fernet import Fernet

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.oauth import StoredTokens
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.exceptions import AuthenticationError, ConfigurationError, TransientError
from airflow_provider_crm.hooks.ledger import _Fernet
from airflow_provider_crm.testing.handmade import HandmadeAnswer
from airflow_provider_crm.vendors.credentials import Credentials
from tests.vendors.hubspot.by_hand import HUBSPOT

NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
APP = {"client_id": "app", "client_secret": "s3cret", "refresh_token": "na1-first"}
ISSUED = {"token_type": "bearer", "access_token": "access-1", "refresh_token": "na1-first", "expires_in": 1800}


def read(status, body, headers=None):
    """Read an answer of the token endpoint."""
    grant = HUBSPOT.authentication(Credentials(extra=APP)).grant
    return grant.read(HandmadeAnswer(status, body, headers), NOW)


def test_a_token_signs():
    """The password is a bearer token, and so is a token that was fetched."""
    for credentials in (Credentials("pat-eu1-x"), Credentials(extra={"access_token": "pat-eu1-x"})):
        assert HUBSPOT.authentication(credentials).headers == {"Authorization": "Bearer pat-eu1-x"}


@pytest.mark.parametrize(
    ("credentials", "problems"),
    [
        (Credentials(), ["the access token is missing"]),
        (Credentials(extra={"client_id": "app"}), ["extra.client_secret is missing", "extra.refresh_token is missing"]),
        (Credentials("pat", APP), ["besides OAuth (extra.client_id) an access token is set"]),
        (
            Credentials("pat", {"client_secret": "x"}),
            ["client_id is missing", "refresh_token is missing", "besides OAuth"],
        ),
    ],
)
def test_problems_are_named(credentials, problems):
    """Exactly one of token and OAuth app is asked for; each problem is named, and no secret."""
    found = HUBSPOT.authentication(credentials).problems
    assert len(found) == len(problems)
    assert all(text in one for one, text in zip(found, problems, strict=True))
    assert "s3cret" not in str(found)


def test_an_app_fetches_tokens():
    """The form goes to the token endpoint of the same host; the pair lives as long as the answer says."""
    grant = HUBSPOT.authentication(Credentials(extra=APP)).grant
    assert (grant.path, grant.client_id, grant.refresh_token) == ("/oauth/v1/token", "app", "na1-first")
    assert grant.form == {"grant_type": "refresh_token", "client_id": "app", "client_secret": "s3cret"}
    tokens = read(200, ISSUED)
    assert (tokens.access_token, tokens.refresh_token) == ("access-1", "na1-first")
    assert (tokens.expires_at, tokens.lifetime) == (NOW + dt.timedelta(minutes=30), dt.timedelta(minutes=30))


def test_a_refresh_token_may_change_or_be_left_out():
    """The token of the answer is used next; without one the old one stays."""
    assert read(200, ISSUED | {"refresh_token": "na1-second"}).refresh_token == "na1-second"
    assert read(200, {"access_token": "a"}).refresh_token == ""
    assert read(200, {"access_token": "a", "expires_in": -1}).lifetime == dt.timedelta(minutes=30)


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, {"status": "BAD_REFRESH_TOKEN", "message": "na1-first is bad"}, AuthenticationError, "INVALID_GRANT"),
        (400, {"error": "invalid_grant"}, AuthenticationError, "INVALID_GRANT"),
        (400, {"status": "BAD_CLIENT_ID", "message": "s3cret"}, AuthenticationError, "HTTP_400"),
        (401, {"status": "error", "message": "s3cret"}, AuthenticationError, "HTTP_401"),
        (415, {"status": "error", "message": "s3cret"}, ConfigurationError, "HTTP_415"),
        (500, {"status": "error", "message": "s3cret"}, TransientError, "HTTP_500"),
        (400, b"<title>s3cret</title>", TransientError, "FOREIGN_ANSWER"),
        (200, {"message": "s3cret"}, TransientError, "NO_RECORD"),
        (200, {"access_token": "two words"}, TransientError, "NO_RECORD"),
        (200, ISSUED | {"refresh_token": 7}, TransientError, "NO_RECORD"),
    ],
)
def test_what_is_no_pair(status, body, kind, code):
    """A refused refresh token asks for a new one, other refusals name their code, and no error repeats a secret."""
    with pytest.raises(kind) as refused:
        read(status, body)
    assert (type(refused.value), refused.value.code) == (kind, code)
    assert "s3cret" not in str(refused.value)
    assert "na1-first" not in str(refused.value)


@pytest.mark.parametrize("rotates", [False, True])
def test_an_app_over_http(sandbox, engine, monkeypatch, rotates):
    """Tokens are fetched and renewed through the ledger, whether HubSpot keeps the refresh token or replaces it.

    A second worker finds the first one's token, and a token that ended is replaced within the call.
    """
    tokens, portal = sandbox.hubspot.tokens, "12345678"
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    get_fernet.cache_clear()
    sandbox.set(hubspot_rotates_refresh_token=rotates)
    first = tokens.refresh_token
    extra = {"client_id": tokens.client_id, "client_secret": tokens.client_secret, "refresh_token": first}
    account = Account(HUBSPOT, sandbox.url, Credentials(extra=extra), timeout=5.0)
    for _ in range(2):
        with Session(with_stored_tokens(account, engine), clock=Clock(now=sandbox.clock.now)) as session:
            assert session.catalogue(()).organization == portal
            tokens.expire()
            assert session.read("171591000001")["id"] == "171591000001"
    assert (tokens.refresh_token == first) is not rotates
    fetched = [call.status for call in sandbox.audit.calls if call.path == "/oauth/v1/token"]
    assert fetched == [200] * 3
    get_fernet.cache_clear()


def with_stored_tokens(account, engine):
    """Return the account with the tokens that a worker finds in the ledger, or fetches."""
    grant = account.vendor.authentication(account.credentials).grant
    tokens = StoredTokens(
        Database(engine), account=account, grant=grant, cipher=_Fernet("x"), clock=Clock(now=lambda: NOW), hide=str
    )
    return dataclasses.replace(account, tokens=tokens)
