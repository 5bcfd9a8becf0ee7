"""The sessions of an org, and the token endpoint that starts them in three ways."""

from __future__ import annotations

import base64
import json
import secrets
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from airflow_provider_crm.sandbox.salesforce.problems import refuse
from airflow_provider_crm.sandbox.wire import RefusalError, Request, Response, json_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_crm.sandbox.clock import SandboxClock

_FORM = "application/x-www-form-urlencoded"
_JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
_LONGEST_ASSERTION = timedelta(minutes=3)


class SalesforceTokens:
    """All sessions of an org, and the app that may start more.

    Attributes:
        client_id, client_secret: what the token endpoint expects of the app.
        username: the user of the sessions that an assertion starts.
        public_key: the PEM of the key that has to have signed assertions; empty: no app with a certificate.
        approved: whether the user has approved the app, without which no assertion starts a session.
        refresh_token: the one that is valid now.
        session_seconds: how long sessions live that begin from now on; None for ever.
        issued: the number of sessions that the token endpoint has started.
    """

    def __init__(self, *, clock: SandboxClock, org_id: str, user_id: str) -> None:
        self.client_id = "3MVG9sandbox.client"
        self.client_secret = "sandbox-secret"  # noqa: S105 - the sandbox's own
        self.username = "integration@sandbox.example"
        self.public_key = ""
        self.approved = True
        self.refresh_token = f"5Aep861{secrets.token_hex(8)}"
        self.session_seconds: float | None = None
        self.issued = 0
        self._org_id = org_id
        self._user_id = user_id
        self._clock = clock
        self._sessions: dict[str, datetime | None] = {}

    def add(self, token: str) -> None:
        """Start a session that does not end by itself."""
        self._sessions[token] = None

    def end_sessions(self) -> None:
        """End all sessions: calls with their tokens are 401 from now on."""
        self._sessions.clear()

    def check(self, request: Request) -> None:
        """Check the token of a call.

        Raises:
            RefusalError: 401, there is none, or its session has ended.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme not in ("Bearer", "OAuth") or not token.strip():
            raise refuse(HTTPStatus.UNAUTHORIZED, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")
        ends = self._sessions.get(token.strip(), request.at)
        if ends is not None and ends <= request.at:
            raise refuse(HTTPStatus.UNAUTHORIZED, "INVALID_SESSION_ID", "Session expired or invalid")

    def handle(self, request: Request, *, rotates: bool) -> Response:
        """Answer `POST /services/oauth2/token`.

        Raises:
            RefusalError: 400 or 401, in the form of OAuth.
        """
        if request.method != "POST" or request.content_type != _FORM:
            raise _refused("invalid_request", "send a form by POST")
        form = dict(parse_qsl(request.raw.decode("utf-8", "replace")))
        grant = form.get("grant_type")
        if grant == _JWT:
            self._check_assertion(form.get("assertion", ""), request)
            return json_response(HTTPStatus.OK, self._session(request))
        self._check_app(form, request, needs_secret=grant == "client_credentials")
        if grant == "client_credentials":
            return json_response(HTTPStatus.OK, self._session(request))
        if grant != "refresh_token":
            raise _refused("unsupported_grant_type", "grant type not supported")
        if form.get("refresh_token") != self.refresh_token:
            raise _refused("invalid_grant", "expired access/refresh token")
        answer = self._session(request)
        if rotates:
            self.refresh_token = f"5Aep861{secrets.token_hex(8)}"
            answer["refresh_token"] = self.refresh_token
        return json_response(HTTPStatus.OK, answer)

    def _check_app(self, form: Mapping[str, str], request: Request, *, needs_secret: bool) -> None:
        given = (form.get("client_id"), form.get("client_secret"))
        scheme, _, basic = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            user, _, password = base64.b64decode(basic).decode().partition(":")
            given = (user, password)
        if given[0] != self.client_id:
            raise _refused("invalid_client_id", "client identifier invalid")
        if given[1] != self.client_secret and (needs_secret or given[1] is not None):
            raise _refused("invalid_client", "invalid client credentials")

    def _check_assertion(self, assertion: str, request: Request) -> None:
        head, _, rest = assertion.partition(".")
        body, _, signature = rest.partition(".")
        try:
            claims = json.loads(_decoded(body))
            expires = datetime.fromtimestamp(claims["exp"], tz=request.at.tzinfo)
        except (ValueError, KeyError, TypeError):
            raise _refused("invalid_grant", "invalid assertion") from None
        if claims.get("iss") != self.client_id:
            raise _refused("invalid_client_id", "client identifier invalid")
        if claims.get("aud") not in (*_AUDIENCES, _origin(request)):
            raise _refused("invalid_grant", "audience is invalid")
        if not request.at < expires <= request.at + _LONGEST_ASSERTION + timedelta(seconds=30):
            raise _refused("invalid_grant", "expired authorization code")
        if not self._is_signed(f"{head}.{body}".encode(), signature):
            raise _refused("invalid_grant", "invalid assertion")
        if claims.get("sub") != self.username or not self.approved:
            raise _refused("invalid_grant", "user hasn't approved this consumer")

    def _is_signed(self, message: bytes, signature: str) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        if not self.public_key:
            return False
        key = load_pem_public_key(self.public_key.encode())
        if not isinstance(key, RSAPublicKey):
            return False
        try:
            key.verify(_decoded(signature), message, PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True

    def _session(self, request: Request) -> dict[str, Any]:
        token = f"{self._org_id[:15]}!{secrets.token_hex(16)}"
        seconds = self.session_seconds
        self._sessions[token] = None if seconds is None else self._clock.now() + timedelta(seconds=seconds)
        self.issued += 1
        return {
            "access_token": token,
            "signature": secrets.token_hex(16),
            "scope": "api refresh_token",
            "instance_url": _origin(request),
            "id": f"https://login.salesforce.com/id/{self._org_id}/{self._user_id}",
            "token_type": "Bearer",
            "issued_at": str(round(request.at.timestamp() * 1000)),
        }


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _origin(request: Request) -> str:
    return f"http://{request.headers.get('host', '')}"


def _refused(code: str, description: str) -> RefusalError:
    status = HTTPStatus.UNAUTHORIZED if code == "invalid_client" else HTTPStatus.BAD_REQUEST
    return RefusalError(status, {"error": code, "error_description": description})
