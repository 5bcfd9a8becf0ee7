"""The tokens of an account, their scopes, and the OAuth app that issues some of them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from airflow_provider_crm.sandbox.hubspot.problems import refuse
from airflow_provider_crm.sandbox.wire import RefusalError, Request, Response, json_response

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.clock import SandboxClock

READ_DEALS, WRITE_DEALS = "crm.objects.deals.read", "crm.objects.deals.write"
READ_SCHEMA, READ_OWNERS = "crm.schemas.deals.read", "crm.objects.owners.read"
ALL_SCOPES = frozenset({READ_DEALS, WRITE_DEALS, READ_SCHEMA, READ_OWNERS})
_FORM = "application/x-www-form-urlencoded"
_NO_CREDENTIALS = (
    "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details"
    " at https://developers.hubspot.com/docs/methods/auth/oauth-overview"
)


@dataclass(frozen=True, kw_only=True)
class HubSpotToken:
    """A token of the account.

    Attributes:
        name: what its calls are counted under: the token itself, or one name for all tokens of an OAuth app.
        expires: when it ends; None for a token of a private app, which never does.
    """

    name: str
    scopes: frozenset[str]
    expires: datetime | None = None

    @property
    def is_private(self) -> bool:
        """Return whether it belongs to a private app, whose calls count against the day of the account."""
        return self.expires is None


class HubSpotTokens:
    """All tokens of an account.

    Attributes:
        client_id, client_secret: what the token endpoint expects of the OAuth app.
        refresh_token: the one refresh token that is valid now.
        access_token: the access token of the OAuth app that was issued last; there is one from the start.
        expires_in: seconds that access tokens live which are issued from now on; may be assigned.
    """

    def __init__(self, *, clock: SandboxClock) -> None:
        self.client_id = "hubspot-sandbox-client"
        self.client_secret = "hubspot-sandbox-secret"  # noqa: S105 - the sandbox's own
        self.expires_in = 1800
        self.refresh_token = f"na1-{secrets.token_hex(8)}"
        self._clock = clock
        self._tokens: dict[str, HubSpotToken] = {}
        self.access_token = ""
        self.issue(rotates=False)

    def add(self, token: str, scopes: Iterable[str]) -> None:
        """Let a token of a private app call with these scopes."""
        self._tokens[token] = HubSpotToken(name=token, scopes=frozenset(scopes))

    def remove(self, token: str) -> None:
        """Revoke a token: calls with it are 401 from now on.

        Raises:
            KeyError: there is no such token.
        """
        del self._tokens[token]

    def issue(self, *, rotates: bool) -> dict[str, Any]:
        """Issue an access token of the OAuth app, and a new refresh token if it rotates. Returns the answer's body."""
        if rotates:
            self.refresh_token = f"na1-{secrets.token_hex(8)}"
        self.access_token = f"access-{secrets.token_hex(8)}"
        expires = self._clock.now() + timedelta(seconds=self.expires_in)
        self._tokens[self.access_token] = HubSpotToken(name="oauth", scopes=ALL_SCOPES, expires=expires)
        return {
            "token_type": "bearer",
            "refresh_token": self.refresh_token,
            "access_token": self.access_token,
            "expires_in": self.expires_in,
        }

    def expire(self) -> None:
        """End all access tokens of the OAuth app that were issued so far; the refresh token stays valid."""
        for token, one in self._tokens.items():
            if not one.is_private:
                self._tokens[token] = HubSpotToken(name=one.name, scopes=one.scopes, expires=self._clock.now())

    def of(self, request: Request) -> HubSpotToken:
        """Return the token of a call.

        Raises:
            RefusalError: 401, there is none, it is unknown, or it has expired.
        """
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        token = self._tokens.get(text.strip()) if scheme.lower() == "bearer" else None
        if token is None:
            raise refuse(HTTPStatus.UNAUTHORIZED, _NO_CREDENTIALS, category="INVALID_AUTHENTICATION")
        if token.expires is not None and token.expires <= request.at:
            seconds = int((request.at - token.expires).total_seconds())
            message = f"The OAuth token used to make this call expired {seconds} second(s) ago."
            context = {"expire time": [token.expires.isoformat()]}
            raise refuse(HTTPStatus.UNAUTHORIZED, message, category="EXPIRED_AUTHENTICATION", context=context)
        return token

    def handle(self, request: Request, *, rotates: bool) -> Response:
        """Answer `POST /oauth/v1/token`: a refresh token for an access token.

        Raises:
            RefusalError: 4xx, the form is wrong.
        """
        if request.method != "POST":
            raise refuse(HTTPStatus.METHOD_NOT_ALLOWED, "Method Not Allowed")
        if request.content_type != _FORM:
            raise refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "HTTP 415 Unsupported Media Type")
        form = dict(parse_qsl(request.raw.decode("utf-8", "replace")))
        checks = (
            ("client_id", self.client_id, "BAD_CLIENT_ID"),
            ("client_secret", self.client_secret, "BAD_CLIENT_SECRET"),
            ("grant_type", "refresh_token", "BAD_GRANT_TYPE"),
            ("refresh_token", self.refresh_token, "BAD_REFRESH_TOKEN"),
        )
        for name, expected, status in checks:
            if form.get(name) != expected:
                message = f"missing or invalid {name.replace('_', ' ')}"
                refusal = refuse(HTTPStatus.BAD_REQUEST, message)
                raise RefusalError(refusal.status, refusal.payload | {"status": status})
        return json_response(HTTPStatus.OK, self.issue(rotates=rotates))


def require(token: HubSpotToken, *scopes: str) -> None:
    """Check that a token has at least one of some scopes.

    Raises:
        RefusalError: 403 with the scopes.
    """
    if token.scopes.isdisjoint(scopes):
        message = "One or more of the following scopes are required."
        context = {"requiredGranularScopes": list(scopes), "links": ["https://developers.hubspot.com/scopes"]}
        raise refuse(HTTPStatus.FORBIDDEN, message, category="MISSING_SCOPES", context=context)
