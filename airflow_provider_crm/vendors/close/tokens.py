"""Authenticate with Close: by an API key, an access token, or the tokens that an OAuth application fetches."""

from __future__ import annotations

import datetime as dt
import re
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import AuthenticationError
from airflow_provider_crm.vendors.answers import body_of, foreign_error, member, text_of
from airflow_provider_crm.vendors.credentials import Authentication, basic_authorization
from airflow_provider_crm.vendors.limit_headers import retry_after
from airflow_provider_crm.vendors.oauth import (
    application_problems,
    is_refusal,
    issued_tokens,
    names_application,
    refresh_grant,
    refusal_error,
)

if TYPE_CHECKING:
    from airflow_provider_crm.exceptions import CrmError
    from airflow_provider_crm.vendors.credentials import Credentials, Tokens
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json
    from airflow_provider_crm.vendors.response import HttpResponse

_ENDPOINT = "Close's token endpoint"
_DEFAULT_SECONDS = 3600.0


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
        return Authentication(grant=refresh_grant("/oauth2/token/", extra, partial(_read_tokens, vendor)))
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
    if is_refusal(response) or _code(body) == "invalid_grant":
        raise _refusal(response, _code(body), now)
    return issued_tokens(response, now, _ENDPOINT, _DEFAULT_SECONDS)


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
    err = refusal_error("close", _ENDPOINT, status, code)
    err.retry_after = retry_after(response, now)
    return err


def _problems(credentials: Credentials) -> list[str]:
    """Ask for exactly one of API key, access token and OAuth application."""
    token = credentials.extra.get("access_token")
    if names_application(credentials.extra):
        problems = application_problems(credentials.extra)
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
