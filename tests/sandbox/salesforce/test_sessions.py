"""Salesforce: sessions, the token endpoint, and the limit of the day."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.sandbox.salesforce.conftest import DATA, ONE, refusal

TOKENS = "/services/oauth2/token"
JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def bearer(token):
    """Return the header of a token."""
    return {"headers": {"Authorization": f"Bearer {token}"}}


def form(account, **changes):
    """Return the form of client credentials, with some of it changed."""
    tokens = account.tokens
    given = {"grant_type": "client_credentials", "client_id": tokens.client_id, "client_secret": tokens.client_secret}
    return {name: value for name, value in {**given, **changes}.items() if value is not None}


def test_versions_need_no_token(anyone):
    """Everybody may list the versions, each with its address."""
    versions = anyone.get("/services/data").json()
    assert {"label": "Summer '26", "url": "/services/data/v67.0", "version": "67.0"} in versions


@pytest.mark.parametrize(
    ("header", "code"),
    [("", "INVALID_AUTH_HEADER"), ("Basic eDp5", "INVALID_AUTH_HEADER"), ("Bearer wrong", "INVALID_SESSION_ID")],
)
def test_wrong_tokens(salesforce, header, code):
    """Anything else than the token of a session is a 401 with its code."""
    assert refusal(salesforce.get(ONE, headers={"Authorization": header})) == (401, code)


def test_client_credentials(salesforce, account, sandbox):
    """The app alone starts a session; the answer names the org, and no end of the session."""
    answer = salesforce("POST", TOKENS, data=form(account)).json()
    assert answer["id"].split("/")[-2] == account.org_id
    assert (answer["instance_url"], answer["token_type"], "expires_in" in answer) == (sandbox.url, "Bearer", False)
    assert salesforce.get(ONE, **bearer(answer["access_token"])).status_code == 200


def test_client_credentials_by_basic(salesforce, account):
    """Id and secret may be sent as Basic authentication."""
    tokens = account.tokens
    answer = salesforce(
        "POST", TOKENS, data={"grant_type": "client_credentials"}, auth=(tokens.client_id, tokens.client_secret)
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("rotates", [False, True])
def test_a_refresh_token(salesforce, account, sandbox, rotates):
    """A refresh token starts a session, with or without the secret; it stays the same, or is replaced."""
    sandbox.set(salesforce_rotates_refresh_token=rotates)
    first = account.tokens.refresh_token
    sent = form(account, grant_type="refresh_token", refresh_token=first, client_secret=None)
    answer = salesforce("POST", TOKENS, data=sent).json()
    assert salesforce.get(ONE, **bearer(answer["access_token"])).status_code == 200
    assert ("refresh_token" in answer, account.tokens.refresh_token != first) == (rotates, rotates)
    assert salesforce("POST", TOKENS, data=sent).status_code == (400 if rotates else 200)


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_id": "x"}, 400, "invalid_client_id"),
        ({"client_secret": "x"}, 401, "invalid_client"),
        ({"client_secret": None}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, 400, "invalid_grant"),
        ({"grant_type": JWT, "assertion": "x"}, 400, "invalid_grant"),
    ],
)
def test_a_refused_form(salesforce, account, changes, status, error):
    """A wrong form is refused in the form of OAuth."""
    answer = salesforce("POST", TOKENS, data=form(account, **changes))
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def assertion(key, now, **claims):
    """Return a signed assertion."""

    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    message = b".".join(part(json.dumps(one).encode()) for one in ({"alg": "RS256"}, {"exp": now + 120, **claims}))
    return (message + b"." + part(key.sign(message, padding.PKCS1v15(), hashes.SHA256()))).decode()


@pytest.fixture(scope="module")
def key():
    """Return a private key."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, None),
        ({"aud": "https://test.salesforce.com"}, None),
        ({"sub": "nobody@example.com"}, "user hasn't approved this consumer"),
        ({"iss": "x"}, "client identifier invalid"),
        ({"aud": "https://example.com"}, "audience is invalid"),
        ({"exp": 1}, "expired authorization code"),
    ],
)
def test_an_assertion(salesforce, account, sandbox, key, changes, error):  # noqa: PLR0917
    """A signed assertion of the app for its user starts a session; any other is refused with a reason."""
    public = key.public_key()
    account.tokens.public_key = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
    claims = {"iss": account.tokens.client_id, "sub": account.tokens.username, "aud": "https://login.salesforce.com"}
    text = assertion(key, sandbox.clock.now().timestamp(), **{**claims, **changes})
    answer = salesforce("POST", TOKENS, data={"grant_type": JWT, "assertion": text}).json()
    assert answer.get("error_description") == error
    assert ("access_token" in answer) is (error is None)
    forged = text[:-8] + ("A" * 8)
    assert salesforce("POST", TOKENS, data={"grant_type": JWT, "assertion": forged}).status_code == 400


def test_an_app_without_approval(salesforce, account, sandbox, key):
    """No assertion starts a session before the user has approved the app."""
    account.tokens.approved = False
    claims = {"iss": account.tokens.client_id, "sub": account.tokens.username, "aud": sandbox.url}
    text = assertion(key, sandbox.clock.now().timestamp(), **claims)
    assert salesforce("POST", TOKENS, data={"grant_type": JWT, "assertion": text}).status_code == 400


def test_sessions_end(salesforce, account, sandbox):
    """A session ends after its time, or when all are ended."""
    account.tokens.session_seconds = 60.0
    sandbox.clock.advance(0)
    token = salesforce("POST", TOKENS, data=form(account)).json()["access_token"]
    assert salesforce.get(ONE, **bearer(token)).status_code == 200
    sandbox.clock.advance(61)
    assert refusal(salesforce.get(ONE, **bearer(token))) == (401, "INVALID_SESSION_ID")
    account.tokens.end_sessions()
    assert refusal(salesforce.get(ONE)) == (401, "INVALID_SESSION_ID")


def test_the_day_slides(salesforce, sandbox):
    """Calls of the last day count, in the header and in `/limits`; beyond the limit they are a 403."""
    sandbox.set(salesforce_daily_limit=3, salesforce_app_limit_headers=True)
    sandbox.clock.advance(0)
    headers = [salesforce.get(ONE).headers["Sforce-Limit-Info"] for _ in range(2)]
    assert headers == [f"api-usage={n}/3; per-app-api-usage=17/250(appName=sandbox)" for n in (1, 2)]
    assert salesforce.get(f"{DATA}/limits").json() == {"DailyApiRequests": {"Max": 3, "Remaining": 0}}
    refused = salesforce.get(ONE)
    assert refusal(refused) == (403, "REQUEST_LIMIT_EXCEEDED")
    assert refused.json()[0]["message"] == "TotalRequests Limit exceeded."
    assert refused.headers["Sforce-Limit-Info"].startswith("api-usage=3/3")
    sandbox.clock.advance(86_400)
    assert salesforce.get(ONE).headers["Sforce-Limit-Info"].startswith("api-usage=1/3")


def test_the_day_may_be_exceeded(salesforce, sandbox):
    """Some calls beyond the limit may be answered."""
    sandbox.set(salesforce_daily_limit=1, salesforce_daily_excess=1)
    assert [salesforce.get(ONE).status_code for _ in range(3)] == [200, 200, 403]


def test_limits_may_not_be_shown(salesforce, sandbox):
    """Answers may have no header about the day, and the user may lack the permission for `/limits`."""
    sandbox.set(salesforce_limit_headers=False, salesforce_limits_permission=False)
    assert "Sforce-Limit-Info" not in salesforce.get(ONE).headers
    assert refusal(salesforce.get(f"{DATA}/limits")) == (403, "INSUFFICIENT_ACCESS")


def test_refusals_of_single_calls(salesforce, account):
    """Some calls can be refused as while too many long ones run, or because the API is switched off."""
    account.refusals[:] = [("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."), ("API_DISABLED", "")]
    assert [refusal(salesforce.get(ONE))[1] for _ in range(2)] == ["REQUEST_LIMIT_EXCEEDED", "API_DISABLED"]
    assert salesforce.get(ONE).status_code == 200
