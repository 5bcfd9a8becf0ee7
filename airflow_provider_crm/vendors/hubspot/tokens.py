"""Authenticate with HubSpot: by the token of a service key or private app, or by tokens that an OAuth app fetches."""

from __future__ import annotations

import datetime as dt
import re
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import AuthenticationError
from airflow_provider_crm.vendors.answers import body_of, foreign_error, member
from airflow_provider_crm.vendors.credentials import Authentication
from airflow_provider_crm.vendors.hubspot.paths import TOKENS
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

_ENDPOINT = "HubSpot's token endpoint"
_DEFAULT_SECONDS = 1800.0
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
        return Authentication(grant=refresh_grant(TOKENS, extra, partial(_read_tokens, vendor)))
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
    if is_refusal(response):
        raise _refusal(status, _code(body))
    return issued_tokens(response, now, _ENDPOINT, _DEFAULT_SECONDS)


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
    return refusal_error("hubspot", _ENDPOINT, status, code)


def _problems(credentials: Credentials) -> list[str]:
    """Ask for exactly one of token and OAuth app."""
    if names_application(credentials.extra):
        problems = application_problems(credentials.extra)
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
