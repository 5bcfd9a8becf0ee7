"""Close: who may call."""

from __future__ import annotations

import pytest

ME = "/api/v1/me/"
FORM = {
    "grant_type": "refresh_token",
    "client_id": "oa2client_sandbox",
    "client_secret": "oa2secret_sandbox",
}


@pytest.fixture
def refresh(sandbox, anyone):
    """Refresh with the form's defaults, overridden by arguments."""

    def call(**changes):
        return anyone(
            "POST", "/oauth2/token/", data=FORM | {"refresh_token": sandbox.close.oauth.refresh_token} | changes
        )

    return call


def bearer(token):
    """Return the headers of an access token."""
    return {"Authorization": f"Bearer {token}"}


def test_key_is_basic_user_with_empty_password(close):
    """The API key as Basic user name with an empty password is accepted."""
    assert close.get("/me/").status_code == 200


@pytest.mark.parametrize("credentials", [("api_wrong", ""), ("api_sandbox_close", "password"), None])
def test_wrong_credentials_are_401(anyone, credentials):
    """A wrong key, a key with a password, and no credentials are all 401 with Close's body."""
    answer = anyone.get(ME, auth=credentials)
    assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})


def test_unreadable_basic_header_is_401(anyone):
    """A Basic header that is no base64 is 401, not a crash."""
    assert anyone.get(ME, headers={"Authorization": "Basic ???"}).status_code == 401


def test_removed_key_is_401(sandbox, close):
    """A revoked key stops working at once."""
    sandbox.close.remove_key(sandbox.close.api_key)
    assert close.get("/me/").status_code == 401


def test_access_token_is_accepted(sandbox, anyone):
    """An OAuth access token works as a bearer."""
    assert anyone.get(ME, headers=bearer(sandbox.close.oauth.access_token)).status_code == 200


def test_access_token_expires_with_the_clock(sandbox, anyone):
    """An access token is refused from its expiry on."""
    token = sandbox.close.oauth.access_token
    sandbox.clock.advance(3600)
    assert anyone.get(ME, headers=bearer(token)).status_code == 401


def test_expire_voids_access_tokens(sandbox, anyone):
    """Access tokens can be expired without moving the clock."""
    sandbox.close.oauth.expire()
    assert anyone.get(ME, headers=bearer(sandbox.close.oauth.access_token)).status_code == 401


def test_refresh_answers_the_documented_body(refresh):
    """A refresh answers a new pair of tokens with type, lifetime, scope, organization and user."""
    body = refresh().json()
    assert set(body) == {
        "token_type",
        "access_token",
        "expires_in",
        "refresh_token",
        "scope",
        "organization_id",
        "user_id",
    }


def test_new_access_token_works(anyone, refresh):
    """The access token of a refresh is accepted."""
    assert anyone.get(ME, headers=bearer(refresh().json()["access_token"])).status_code == 200


def test_lifetime_can_be_set(sandbox, refresh):
    """The lifetime of new access tokens can be set."""
    sandbox.close.oauth.expires_in = 7
    assert refresh().json()["expires_in"] == 7


def test_refresh_revokes_the_old_refresh_token(sandbox, refresh):
    """Refresh tokens rotate: the second use of one is refused."""
    old = sandbox.close.oauth.refresh_token
    refresh()
    answer = refresh(refresh_token=old)
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_grant"})


def test_wrong_client_is_401(refresh):
    """A wrong client secret is refused."""
    answer = refresh(client_secret="wrong")
    assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})


def test_other_grants_are_refused(refresh):
    """Only the refresh grant is served."""
    assert refresh(grant_type="authorization_code").json() == {"error": "unsupported_grant_type"}


def test_json_token_request_is_refused(anyone):
    """The token endpoint reads forms, not JSON."""
    assert anyone.post("/oauth2/token/", FORM).status_code == 400


def test_revoked_refresh_token_is_void(sandbox, anyone, refresh):
    """A revoked refresh token can't be used, nor can an empty one afterwards."""
    token = sandbox.close.oauth.refresh_token
    anyone("POST", "/oauth2/revoke/", data=FORM | {"token": token})
    assert [refresh(refresh_token=one).status_code for one in (token, "")] == [400, 400]


def test_token_endpoint_takes_post_only(anyone):
    """GET on the token endpoint is 405; another path below it is 404."""
    assert [anyone.get(path).status_code for path in ("/oauth2/token/", "/oauth2/other/")] == [405, 404]
