"""Read the OAuth application of a connection, and the answers of token endpoints, as RFC 6749 has them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import AuthenticationError, ConfigurationError, RejectedError
from airflow_provider_crm.vendors.answers import body_of, error_class, member, number_of, record_error, refusal_text
from airflow_provider_crm.vendors.credentials import Grant, Tokens

if TYPE_CHECKING:
    from airflow_provider_crm.exceptions import CrmError
    from airflow_provider_crm.vendors.records import Json
    from airflow_provider_crm.vendors.response import HttpResponse

_KEYS = ("client_id", "client_secret", "refresh_token")
_MOST_SECONDS = 366 * 86_400.0


def names_application(extra: Mapping[str, str]) -> bool:
    """Return whether a connection's extra has any part of an OAuth application."""
    return any(extra.get(key) for key in _KEYS)


def application_problems(extra: Mapping[str, str]) -> list[str]:
    """Return what is missing of the OAuth application in a connection's extra, one sentence each."""
    return [f"for OAuth extra.{key} is missing, too" for key in _KEYS if not extra.get(key)]


def refresh_grant(path: str, extra: Mapping[str, str], read: Callable[[HttpResponse, dt.datetime], Tokens]) -> Grant:
    """Return how access tokens are fetched with the refresh token of a connection's extra.

    Args:
        path: Path of the token endpoint.
        extra: The connection's extra, with a whole application.
        read: Returns the tokens of an answer, see `Grant.read`.
    """
    form = {"grant_type": "refresh_token", "client_id": extra["client_id"], "client_secret": extra["client_secret"]}
    return Grant(path, extra["client_id"], form, extra["refresh_token"], read)


def is_refusal(response: HttpResponse) -> bool:
    """Return whether a token endpoint refuses, or leads elsewhere."""
    status = response.status_code
    redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST and "Location" in response.headers
    return not response.ok or redirect


def refusal_error(vendor: str, endpoint: str, status: int, code: str) -> CrmError:
    """Return the error of a refused request for tokens, which repeats only the code: bodies may hold tokens.

    Args:
        vendor: Name of the vendor.
        endpoint: The endpoint's name for people.
        status: Status of the answer.
        code: The endpoint's code for the refusal; may be empty.
    """
    kind = ConfigurationError if status < HTTPStatus.BAD_REQUEST else error_class(status)
    kind = AuthenticationError if kind is RejectedError else kind
    message = refusal_text(endpoint, status, code="", message=code, fields={})
    return kind(message, vendor=vendor, status=status, code=f"HTTP_{status}")


def issued_tokens(response: HttpResponse, now: dt.datetime, endpoint: str, default_seconds: float) -> Tokens:
    """Return the pair that a token endpoint issued.

    Args:
        response: The endpoint's answer.
        now: The time at which it came.
        endpoint: The endpoint's name for people.
        default_seconds: Lifetime of a token where the answer names none, or one that no token has.

    Raises:
        TransientError: The answer holds no such pair.
    """
    body = body_of(response)
    access, refresh = member(body, "access_token"), member(body, "refresh_token")
    if not _is_token(access) or not (refresh in (None, "") or _is_token(refresh)):
        raise record_error(endpoint, response)
    seconds = number_of(member(body, "expires_in"))
    if not seconds or seconds > _MOST_SECONDS:
        seconds = default_seconds
    lifetime = dt.timedelta(seconds=seconds)
    return Tokens(str(access), str(refresh or ""), now + lifetime, lifetime)


def _is_token(value: Json) -> bool:
    """Return whether a header can carry a value."""
    return isinstance(value, str) and re.fullmatch(r"[\x21-\x7e]{1,8000}", value) is not None
