"""Authenticate with HubSpot: by the token of a service key or private app, or by tokens that an OAuth app fetches."""

from __future__ import annotations

import datetime as dt
import re
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import AuthenticationError, ConfigurationError, RejectedError
from airflow_provider_crm.vendors.answers import (
    body_of,
    error_class,
    foreign_error,
    member,
    number_of,
    record_error,
    refusal_text,
    text_of,
)
from airflow_provider_crm.vendors.credentials import Authentication, Grant, Tokens
from airflow_provider_crm.vendors.hubspot.paths import TOKENS

if TYPE_CHECKING:
    from airflow_provider_crm.exceptions import CrmError
    from airflow_provider_crm.vendors.credentials import Credentials
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json
    from airflow_provider_crm.vendors.response import HttpResponse

_OAUTH = ("client_id", "client_secret", "refresh_token")
_ENDPOINT = "HubSpot's token endpoint"
# These apply where the answer names no lifetime, or one that no token has.
_DEFAULT_SECONDS, _MOST_SECONDS = 1800.0, 366 * 86_400.0
_REFUSED_TOKENS = ("BAD_REFRESH_TOKEN", "invalid_grant")


def authentication(vendor: Vendor, credentials: Credentials) -> Authentication:
    """Sign by a bearer token: the connection's, or one that an OAuth app fetches by `POST /oauth/v1/token`.

    HubSpot may keep a refresh token or replace it: the one of the latest answer is used next.

    Args:
        vendor: HubSpot.
        credentials: Those of the connection, or a fetched token.
    """
    if problems := _problems(credentials):
        return Authentication(problems=tuple(problems))
    extra = credentials.extra
    if extra.get("refresh_token"):
        form = {"grant_type": "refresh_token", "client_id": extra["client_id"], "client_secret": extra["client_secret"]}
        read = partial(_read_tokens, vendor)
        return Authentication(grant=Grant(TOKENS, extra["client_id"], form, extra["refresh_token"], read))
    token = extra.get("access_token") or credentials.api_key
    return Authentication(headers={"Authorization": f"Bearer {token}"})


def _read_tokens(vendor: Vendor, response: HttpResponse, now: dt.datetime) -> Tokens:
    """Read the pair that the token endpoint issued.

    Args:
        vendor: HubSpot.
        response: The endpoint's answer.
        now: The time at which it came.

    Raises:
        CrmError: It is no such pair. Of a refusal the error repeats only the code, as bodies may hold tokens.
    """
    status, body = response.status_code, body_of(response)
    if status >= HTTPStatus.BAD_REQUEST and not _code(body):
        raise foreign_error(vendor, response, quoted=False)
    redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST and "Location" in response.headers
    if not response.ok or redirect:
        raise _refusal(status, _code(body))
    access, refresh = member(body, "access_token"), member(body, "refresh_token")
    if not _is_token(access) or not (refresh in (None, "") or _is_token(refresh)):
        raise record_error(_ENDPOINT, response)
    seconds = number_of(member(body, "expires_in"))
    if not seconds or seconds > _MOST_SECONDS:
        seconds = _DEFAULT_SECONDS
    lifetime = dt.timedelta(seconds=seconds)
    return Tokens(str(access), str(refresh or ""), now + lifetime, lifetime)


def _code(body: Json) -> str:
    """Return the code of a refusal: `BAD_REFRESH_TOKEN` in `status`, or one of OAuth in `error`."""
    for name in ("error", "status"):
        code = member(body, name)
        if isinstance(code, str) and re.fullmatch(r"[A-Za-z_]{1,40}", code):
            return code
    return ""


def _refusal(status: int, code: str) -> CrmError:
    if code in _REFUSED_TOKENS:
        msg = (
            f"HubSpot refused the refresh token ({code}): the app was uninstalled, or the token was revoked, or "
            "replaced by a program that does not share this ledger. Install the app again and put the new refresh "
            "token into the connection's extra."
        )
        return AuthenticationError(msg, vendor="hubspot", status=status, code="INVALID_GRANT")
    kind = ConfigurationError if status < HTTPStatus.BAD_REQUEST else error_class(status)
    kind = AuthenticationError if kind is RejectedError else kind
    message = refusal_text(_ENDPOINT, status, code="", message=text_of(code), fields={})
    return kind(message, vendor="hubspot", status=status, code=f"HTTP_{status}")


def _is_token(value: Json) -> bool:
    """Return whether a header can carry a value."""
    return isinstance(value, str) and re.fullmatch(r"[\x21-\x7e]{1,8000}", value) is not None


def _problems(credentials: Credentials) -> list[str]:
    """Ask for exactly one of token and OAuth app."""
    missing = [key for key in _OAUTH if not credentials.extra.get(key)]
    if len(missing) < len(_OAUTH):
        problems = [f"for OAuth extra.{key} is missing, too" for key in missing]
        if credentials.api_key:
            problems.append("besides OAuth (extra.client_id) an access token is set; keep one of them")
        return problems
    if not credentials.api_key and not credentials.extra.get("access_token"):
        problem = (
            "the access token is missing: put that of a service key or private app into the connection's password (or "
            "extra.client_id, client_secret and refresh_token of an OAuth app)"
        )
        return [problem]
    return []
