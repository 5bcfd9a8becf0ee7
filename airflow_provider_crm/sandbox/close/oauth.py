"""Close's OAuth tokens: refresh tokens that rotate, access tokens that expire."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from airflow_provider_crm.sandbox.wire import RefusalError, Request, Response, json_response

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.clock import SandboxClock

SCOPE = "all.full_access offline_access"


class CloseOAuth:
    """One OAuth application of the organization.

    Attributes:
        client_id, client_secret: what the token endpoint expects in the form.
        refresh_token: the one refresh token that is valid now. Each refresh replaces it and revokes the old one.
        access_token: the access token issued last; there is one from the start.
        expires_in: lifetime in seconds of access tokens issued from now on; may be assigned.
    """

    def __init__(self, *, clock: SandboxClock) -> None:
        self.client_id = "oa2client_sandbox"
        self.client_secret = "oa2secret_sandbox"  # noqa: S105 - the sandbox's own
        self.expires_in = 3600
        self._clock = clock
        self._expiry: dict[str, datetime] = {}
        self.refresh_token = ""
        self.access_token = ""
        self.issue()

    def issue(self, *, user_id: str = "user_ada") -> dict[str, Any]:
        """Issue a new pair of tokens; the former refresh token is void. Returns the body of the token endpoint."""
        self.refresh_token = f"refresh_{secrets.token_hex(8)}"
        self.access_token = f"access_{secrets.token_hex(8)}"
        self._expiry[self.access_token] = self._clock.now() + timedelta(seconds=self.expires_in)
        return {
            "token_type": "Bearer",
            "access_token": self.access_token,
            "expires_in": self.expires_in,
            "refresh_token": self.refresh_token,
            "scope": SCOPE,
            "organization_id": "orga_sandbox",
            "user_id": user_id,
        }

    def accepts(self, access_token: str) -> bool:
        """Return whether an access token is known and has not expired."""
        expiry = self._expiry.get(access_token)
        return expiry is not None and self._clock.now() < expiry

    def expire(self) -> None:
        """Expire all access tokens issued so far; the refresh token stays valid."""
        self._expiry.clear()

    def handle(self, request: Request) -> Response:
        """Answer `/oauth2/token/` and `/oauth2/revoke/`."""
        if request.segments[1:] not in (("token", ""), ("revoke", "")):
            raise RefusalError(HTTPStatus.NOT_FOUND, {"error": "Not Found"})
        if request.method != "POST":
            raise RefusalError(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "Method Not Allowed"}, {"allow": "POST"})
        if request.content_type != "application/x-www-form-urlencoded":
            raise RefusalError(HTTPStatus.BAD_REQUEST, {"error": "invalid_request"})
        form = dict(parse_qsl(request.raw.decode("utf-8", "replace")))
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            raise RefusalError(HTTPStatus.UNAUTHORIZED, {"error": "invalid_client"})
        if request.segments[1] == "revoke":
            return self._revoke(form.get("token", ""))
        if form.get("grant_type") != "refresh_token":
            raise RefusalError(HTTPStatus.BAD_REQUEST, {"error": "unsupported_grant_type"})
        if not self.refresh_token or form.get("refresh_token") != self.refresh_token:
            raise RefusalError(HTTPStatus.BAD_REQUEST, {"error": "invalid_grant"})
        return json_response(HTTPStatus.OK, self.issue())

    def _revoke(self, token: str) -> Response:
        self._expiry.pop(token, None)
        if token == self.refresh_token:
            self.refresh_token = ""
        return json_response(HTTPStatus.OK, {})
