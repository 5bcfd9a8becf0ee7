"""HubSpot: tokens, scopes and OAuth."""

from __future__ import annotations

import pytest

DEALS = "/crm/objects/2026-03/deals"
READ, WRITE = "crm.objects.deals.read", "crm.objects.deals.write"


def bearer(token):
    """Return the header of a token."""
    return {"headers": {"Authorization": f"Bearer {token}"}}


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic cGF0LW5hMS1zYW5kYm94Og==", "pat-na1-sandbox"])
def test_wrong_credentials(hubspot, header):
    """Any other credentials than a known bearer token are 401 with their category."""
    answer = hubspot.get(DEALS, headers={"Authorization": header})
    body = answer.json()
    assert (answer.status_code, body["status"], body["category"]) == (401, "error", "INVALID_AUTHENTICATION")
    assert body["message"].startswith("Authentication credentials not found.")


def test_several_tokens(hubspot, account):
    """Each token of the account works until it is revoked."""
    token = account.add_token()
    assert hubspot.get(DEALS, **bearer(token)).status_code == 200
    account.tokens.remove(token)
    assert [hubspot.get(DEALS, **bearer(token)).status_code, hubspot.get(DEALS).status_code] == [401, 200]


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", DEALS, READ),
        ("POST", f"{DEALS}/search", READ),
        ("POST", f"{DEALS}/batch/read", READ),
        ("POST", f"{DEALS}/batch/update", WRITE),
        ("PATCH", f"{DEALS}/1001", WRITE),
        ("DELETE", f"{DEALS}/1001", WRITE),
        ("GET", "/crm/v3/properties/deals", "crm.schemas.deals.read"),
        ("GET", "/crm/v3/pipelines/deals", "crm.schemas.deals.read"),
        ("GET", "/crm/v3/owners", "crm.objects.owners.read"),
    ],
)
def test_scopes(hubspot, account, method, path, scope):
    """A token without the scope of a call is refused with the scope; with that scope alone the call works."""
    others = account.add_token({READ, WRITE, "crm.schemas.deals.read", "crm.objects.owners.read"} - {scope})
    refused = hubspot(method, path, json={}, **bearer(others))
    body = refused.json()
    shown = (refused.status_code, body["category"], body["context"]["requiredGranularScopes"])
    assert shown == (403, "MISSING_SCOPES", [scope])
    assert hubspot(method, path, json={}, **bearer(account.add_token({scope}))).status_code in (200, 204)


def test_the_account_needs_no_scope(hubspot, account):
    """Every token may read what the account is."""
    assert hubspot.get("/account-info/v3/details", **bearer(account.add_token(()))).status_code == 200


def refreshed(hubspot, account, **changes):
    """Send a refresh with some of its form changed."""
    tokens = account.tokens
    form = {"grant_type": "refresh_token", "client_id": tokens.client_id, "client_secret": tokens.client_secret}
    form |= {"refresh_token": tokens.refresh_token, **changes}
    return hubspot("POST", "/oauth/v1/token", data=form)


def test_an_expired_token_is_refreshed(hubspot, account, sandbox):
    """A token of the OAuth app ends after its time, which the 401 says; a refresh issues another one."""
    sandbox.clock.advance(0)
    old = account.tokens.access_token
    assert hubspot.get(DEALS, **bearer(old)).status_code == 200
    sandbox.clock.advance(1807)
    answer = hubspot.get(DEALS, **bearer(old))
    assert (answer.status_code, answer.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")
    assert answer.json()["message"] == "The OAuth token used to make this call expired 7 second(s) ago."
    body = refreshed(hubspot, account).json()
    assert (body["token_type"], body["expires_in"]) == ("bearer", 1800)
    assert hubspot.get(DEALS, **bearer(body["access_token"])).status_code == 200


@pytest.mark.parametrize("rotates", [False, True])
def test_a_refresh_token_may_rotate(hubspot, account, sandbox, rotates):
    """The refresh token stays the same, or each refresh replaces it."""
    sandbox.set(hubspot_rotates_refresh_token=rotates)
    first = account.tokens.refresh_token
    answer = refreshed(hubspot, account, refresh_token=first).json()
    assert (answer["refresh_token"] != first) is rotates
    assert refreshed(hubspot, account, refresh_token=first).status_code == (400 if rotates else 200)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"client_id": "x"}, "BAD_CLIENT_ID"),
        ({"client_secret": "x"}, "BAD_CLIENT_SECRET"),
        ({"grant_type": "password"}, "BAD_GRANT_TYPE"),
        ({"refresh_token": "x"}, "BAD_REFRESH_TOKEN"),
    ],
)
def test_a_wrong_refresh(hubspot, account, changes, status):
    """A wrong form is a 400 that says which part is wrong."""
    answer = refreshed(hubspot, account, **changes)
    assert (answer.status_code, answer.json()["status"]) == (400, status)
