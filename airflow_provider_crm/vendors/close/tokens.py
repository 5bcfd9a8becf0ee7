"""Authenticate with Close: by an API key, an access token, or the tokens that an OAuth application fetches."""

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
from airflow_provider_crm.vendors.credentials import Authentication, Grant, Tokens, basic_authorization
from airflow_provider_crm.vendors.limit_headers import retry_after

if TYPE_CHECKING:
    from airflow_provider_crm.exceptions import CrmError
    from airflow_provider_crm.vendors.credentials import Credentials
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json
    from airflow_provider_crm.vendors.response import HttpResponse

_OAUTH = ("client_id", "client_secret", "refresh_token")
_ENDPOINT = "Close's token endpoint"
# These apply where the answer names no lifetime, or one that no token has.
_DEFAULT_SECONDS, _MOST_SECONDS = 3600.0, 366 * 86_400.0


def authentication(vendor: Vendor, credentials: Credentials) -> Authentication:
    """Sign by Basic with the key as user name and an empty password, or by a bearer token.

    An OAuth application fetches tokens by `POST /oauth2/token/`, form-encoded; each refresh token is valid once.

    Args:
        vendor: Close.
        credentials: Those of the connection, or a fetched token.
    """
    if problems := _problems(credentials):
        return Authentication(problems=tuple(problems))
    extra = credentials.extra
    if extra.get("refresh_token"):
        form = {"grant_type": "refresh_token", "client_id": extra["client_id"], "client_secret": extra["client_secret"]}
        read = partial(_read_tokens, vendor)
        return Authentication(grant=Grant("/oauth2/token/", extra["client_id"], form, extra["refresh_token"], read))
    token = extra.get("access_token")
    value = f"Bearer {token}" if token else basic_authorization(credentials.api_key or "")
    return Authentication(headers={"Authorization": value})


def _read_tokens(vendor: Vendor, response: HttpResponse, now: dt.datetime) -> Tokens:
    """Read the pair that the token endpoint issued.

    Args:
        vendor: Close.
        response: The endpoint's answer.
        now: The time at which it came.

    Raises:
        CrmError: It is no such pair. Of a refusal the error repeats only the code, as bodies may hold tokens.
    """
    status, body = response.status_code, body_of(response)
    if status >= HTTPStatus.BAD_REQUEST and not isinstance(member(body, "error"), str):
        raise foreign_error(vendor, response, quoted=False)
    redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST and "Location" in response.headers
    if not response.ok or redirect or _code(body) == "invalid_grant":
        raise _refusal(response, _code(body), now)
    access, refresh = member(body, "access_token"), member(body, "refresh_token")
    if not _is_token(access) or not (refresh in (None, "") or _is_token(refresh)):
        raise record_error(_ENDPOINT, response)
    seconds = number_of(member(body, "expires_in"))
    if not seconds or seconds > _MOST_SECONDS:
        seconds = _DEFAULT_SECONDS
    lifetime = dt.timedelta(seconds=seconds)
    return Tokens(str(access), str(refresh or ""), now + lifetime, lifetime)


def _code(body: Json) -> str:
    code = text_of(member(body, "error"))
    return code if re.fullmatch(r"[a-z_]{1,40}", code) else ""


def _refusal(response: HttpResponse, code: str, now: dt.datetime) -> CrmError:
    status = response.status_code
    if code == "invalid_grant":
        msg = (
            "Close refused the refresh token (invalid_grant): it was revoked, or used by a program that does not share "
            "this ledger, or the answer with its successor was lost. Authorise the OAuth application again and put "
            "the new refresh token into the connection's extra."
        )
        return AuthenticationError(msg, vendor="close", status=status, code="INVALID_GRANT")
    kind = ConfigurationError if status < HTTPStatus.BAD_REQUEST else error_class(status)
    kind = AuthenticationError if kind is RejectedError else kind
    message = refusal_text(_ENDPOINT, status, code="", message=code, fields={})
    err = kind(message, vendor="close", status=status, code=f"HTTP_{status}")
    err.retry_after = retry_after(response, now)
    return err


def _is_token(value: Json) -> bool:
    """Return whether a header can carry a value."""
    return isinstance(value, str) and re.fullmatch(r"[\x21-\x7e]{1,8000}", value) is not None


def _problems(credentials: Credentials) -> list[str]:
    """Ask for exactly one of API key, access token and OAuth application."""
    token = credentials.extra.get("access_token")
    missing = [key for key in _OAUTH if not credentials.extra.get(key)]
    if len(missing) < len(_OAUTH):
        problems = [f"for OAuth extra.{key} is missing, too" for key in missing]
        if credentials.api_key or token:
            problems.append("besides OAuth (extra.client_id) an API key or access token is set; keep one of them")
        return problems
    if credentials.api_key and token:
        return ["both an API key (password) and extra.access_token are set; keep one of them"]
    if not credentials.api_key and not token:
        problem = (
            "the API key is missing: put it in the connection's password (or an OAuth token in extra.access_token, "
            "or extra.client_id, client_secret and refresh_token)"
        )
        return [problem]
    return []
