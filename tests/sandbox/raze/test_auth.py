"""Raze: who may call, and what for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

LIST = "/external/v1/opportunities"


def code(answer):
    """Return status and error code."""
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize("headers", [{"X-API-Key": "gr_live_sandbox"}, {"Authorization": "Bearer gr_live_sandbox"}])
def test_key_in_a_header(anyone, headers):
    """The key is accepted in `X-API-Key` and as a bearer."""
    assert anyone.get(LIST, headers=headers).status_code == 200


def test_key_in_the_query(anyone):
    """The key is accepted as `?api_key=`."""
    assert anyone.get(f"{LIST}?api_key=gr_live_sandbox").status_code == 200


def test_no_key_is_401(anyone):
    """No key is `MISSING_API_KEY`, in the envelope, without limit headers."""
    answer = anyone.get(LIST)
    assert (code(answer), answer.json()["success"]) == ((401, "MISSING_API_KEY"), False)
    assert "x-ratelimit-limit" not in answer.headers


def test_wrong_key_is_401(raze):
    """An unknown key is `INVALID_API_KEY`."""
    assert code(raze.get("/opportunities", headers={"X-API-Key": "wrong"})) == (401, "INVALID_API_KEY")


def test_removed_key_is_401(sandbox, raze):
    """A revoked key is unknown at once."""
    sandbox.raze.remove_key(sandbox.raze.api_key)
    assert code(raze.get("/opportunities")) == (401, "INVALID_API_KEY")


@pytest.mark.parametrize(("switch", "expected"), [(False, "EXPIRED_API_KEY"), (True, "INVALID_API_KEY")])
def test_key_expires(sandbox, raze, switch, expected):
    """A key is refused from its expiry on; its code is as documented or, by switch, as the server's."""
    sandbox.set(raze_expired_is_invalid=switch)
    key = sandbox.raze.add_key(["*"], expires_at=datetime(2030, 1, 1, tzinfo=UTC))
    headers = {"X-API-Key": key}
    assert raze.get("/opportunities", headers=headers).status_code == 200
    sandbox.clock.set(datetime(2030, 1, 1, tzinfo=UTC))
    assert code(raze.get("/opportunities", headers=headers)) == (401, expected)


@pytest.mark.parametrize(
    ("call", "body", "permission"),
    [
        ("GET /opportunities", None, "opportunities:read"),
        ("GET /opportunities/opp_1", None, "opportunities:read"),
        ("POST /opportunities", {"name": "A"}, "opportunities:write"),
        ("PUT /opportunities/opp_1", {"notes": "A"}, "opportunities:write"),
        ("PATCH /opportunities/opp_1/stage", {"status": "won"}, "opportunities:write"),
        ("DELETE /opportunities/opp_1", None, "opportunities:delete"),
    ],
)
def test_each_route_needs_its_permission(sandbox, raze, call, body, permission):
    """Only the route's own permission, or a wildcard over it, opens a route; the 403 names what is missing."""
    method, path = call.split()
    permissions = ("opportunities:read", "opportunities:write", "opportunities:delete", "contacts:*")
    others = sandbox.raze.add_key([one for one in permissions if one != permission])
    refused = raze(method, path, json=body, headers={"X-API-Key": others})
    assert code(refused) == (403, "INSUFFICIENT_PERMISSIONS")
    assert refused.json()["error"]["details"]["required_permission"] == permission
    own = sandbox.raze.add_key([permission])
    assert raze(method, path, json=body, headers={"X-API-Key": own}).status_code in (200, 201)


@pytest.mark.parametrize("wildcard", ["opportunities:*", "*"])
def test_wildcards_open_routes(sandbox, raze, wildcard):
    """`opportunities:*` and `*` include reading."""
    headers = {"X-API-Key": sandbox.raze.add_key([wildcard])}
    assert raze.get("/opportunities", headers=headers).status_code == 200


def test_index_needs_no_permission(sandbox, raze):
    """The index answers any valid key, and shows its limit."""
    headers = {"X-API-Key": sandbox.raze.add_key([], limit=7)}
    body = raze.get("/", headers=headers).json()
    assert (body["success"], body["rate_limit"]["limit"]) == (True, 7)


def test_health_needs_no_key(anyone):
    """`/health` is open."""
    assert anyone.get("/health").status_code == 200
