"""Read HubSpot's errors: of calls, and of the rows of a batch.

Each member of an error but `message` may be missing. The errors of single properties are in `errors`, or only in JSON
at the end of the message.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_crm.exceptions import (
    AuthenticationError,
    ConfigurationError,
    CrmError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.vendors import limit_headers
from airflow_provider_crm.vendors.answers import (
    body_of,
    error_class,
    foreign_error,
    items_of,
    member,
    objects_of,
    refusal_text,
    text_of,
)

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.calls import RowAnswer
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json, Record
    from airflow_provider_crm.vendors.response import HttpResponse

# HubSpot's own statuses, and those of the network in front of it.
_ACCOUNT_MOVES, _TLS_TROUBLE = 477, (525, 526)
# A lock lasts for at least as many seconds.
_LOCKED_SECONDS = 2.0

_BY_CATEGORY: Mapping[str, type[CrmError]] = {
    "INVALID_AUTHENTICATION": AuthenticationError,
    "EXPIRED_AUTHENTICATION": AuthenticationError,
    "MISSING_SCOPES": AuthenticationError,
    "RATE_LIMITS": RateLimitedError,
    "CONFLICT": RejectedError,  # the value of a unique property belongs to another deal
}
"""Meanings that a status alone does not show."""

_ROW_STATUS: Mapping[str, int] = {
    "INVALID_AUTHENTICATION": HTTPStatus.UNAUTHORIZED,
    "EXPIRED_AUTHENTICATION": HTTPStatus.UNAUTHORIZED,
    "MISSING_SCOPES": HTTPStatus.FORBIDDEN,
    "OBJECT_NOT_FOUND": HTTPStatus.NOT_FOUND,
    "CONFLICT": HTTPStatus.CONFLICT,
    "LOCKED": HTTPStatus.LOCKED,
    "RATE_LIMITS": HTTPStatus.TOO_MANY_REQUESTS,
    "INTERNAL_ERROR": HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""The status that the call for a row alone would have got."""

_OF_THE_COLUMN: Mapping[str, str] = {
    "PROPERTY_DOESNT_EXIST": "the deals of this portal no longer have the property",
    "READ_ONLY_VALUE": "the deals of this portal no longer let anyone write the property",
}
"""Errors that every row with the property meets: its definition has changed since the run has read it."""

_OF_THE_TYPE = frozenset({"INVALID_INTEGER", "INVALID_LONG", "INVALID_NUMBER", "INVALID_DATE", "INVALID_BOOLEAN"})
"""Errors about texts that are written by the type of their property: the rows of a call share them if that changed."""
_FEWEST_ROWS = 10

_EMBEDDED = "Property values were not valid"
_OWN_MEMBERS = ("correlationId", "category", "errorType", "policyName")


class PropertyProblem(NamedTuple):
    """What is wrong with one property; `name` is empty where HubSpot does not name it."""

    name: str
    code: str
    message: str


def read_error(vendor: Vendor, response: HttpResponse) -> CrmError:
    """Return the error that an answer means; a body of another shape is not HubSpot's."""
    status, body = response.status_code, body_of(response)
    if status in (HTTPStatus.REQUEST_URI_TOO_LONG, *_TLS_TROUBLE):
        msg = refusal_text(vendor.display_name, status, code="", message=_WITHOUT_RETRY[status], fields={})
        return ConfigurationError(msg, vendor=vendor.name, status=status, code=f"HTTP_{status}")
    if status == _ACCOUNT_MOVES:
        return _moving(vendor, response)
    if not isinstance(body, dict) or not _is_own(body):
        return foreign_error(vendor, response)
    return error_of(vendor, body, status)


def row_error(vendor: Vendor, error: Record) -> CrmError:
    """Return the error of one row of a batch."""
    return error_of(vendor, error, _ROW_STATUS.get(text_of(error.get("category")), HTTPStatus.BAD_REQUEST))


def error_of(vendor: Vendor, error: Record, status: int) -> CrmError:
    """Return the exception for an error of HubSpot.

    Args:
        vendor: HubSpot.
        error: The body of a refused call, or an error of a row.
        status: The call's, or the one that a call for the row alone would have got.
    """
    problems = _problems(error)
    category, changed = text_of(error.get("category")), [one for one in problems if one.code in _OF_THE_COLUMN]
    if changed and status == HTTPStatus.BAD_REQUEST:
        return _changed_schema(vendor, changed, status)
    fields = {one.name: one.message for one in problems if one.name}
    code = next((one.code for one in problems if one.code), category)
    kind = _class_of(category, status)
    err = kind(
        refusal_text(vendor.display_name, status, code=code, message=_message(error, category), fields=fields),
        vendor=vendor.name,
        status=status,
        code=code or f"HTTP_{status}",
        request_id=text_of(error.get("correlationId")) or None,
        field_errors=fields,
    )
    if status == HTTPStatus.LOCKED:
        err.retry_after = _LOCKED_SECONDS
    return err


def check_types(vendor: Vendor, answers: Sequence[RowAnswer]) -> None:
    """Stop a run whose rows all meet the same error about the type of a property; one row is not enough to know.

    Raises:
        ConfigurationError: The property has got another type since the run has read it.
    """
    errors = [one for one in answers if isinstance(one, RejectedError) and one.code in _OF_THE_TYPE]
    problems = {(one.code, *one.field_errors) for one in errors}
    if len(answers) < _FEWEST_ROWS or len(errors) < len(answers) or len(problems) > 1:
        return
    code, *names = problems.pop()
    message = (
        f"it refuses the values of all {len(answers)} rows of a call for {', '.join(map(repr, names))}; the property "
        "seems to have another type than at the beginning of the run. Start the run again"
    )
    text = refusal_text(vendor.display_name, HTTPStatus.BAD_REQUEST, code=code, message=message, fields={})
    raise ConfigurationError(text, vendor=vendor.name, status=HTTPStatus.BAD_REQUEST, code=code)


def missing_scopes(error: Record) -> list[str]:
    """Return the scopes that an error says are missing."""
    contexts = [error.get("context"), *(one.get("context") for one in objects_of(error.get("errors")))]
    scopes = [text_of(one) for context in contexts for one in items_of(member(context, "requiredGranularScopes"))]
    return list(dict.fromkeys(filter(None, scopes)))


_WITHOUT_RETRY = {
    HTTPStatus.REQUEST_URI_TOO_LONG: "the address is too long; map fewer fields",
    525: "there is trouble with the TLS connection to its servers, which a retry does not cure",
    526: "there is trouble with the TLS certificate of its servers, which a retry does not cure",
}


def _class_of(category: str, status: int) -> type[CrmError]:
    """Return what an error means: by its category below 500, else by its status."""
    by_category = _BY_CATEGORY.get(category) if status < HTTPStatus.INTERNAL_SERVER_ERROR else None
    return by_category or error_class(status)


def _moving(vendor: Vendor, response: HttpResponse) -> TransientError:
    """Return the error of an account that moves to another data centre; the answer says how long that takes."""
    status = response.status_code
    message = "the account is being moved to another data centre"
    return TransientError(
        refusal_text(vendor.display_name, status, code="", message=message, fields={}),
        vendor=vendor.name,
        status=status,
        code=f"HTTP_{status}",
        retry_after=limit_headers.seconds(response.headers.get("Retry-After")),
    )


def _changed_schema(vendor: Vendor, problems: Sequence[PropertyProblem], status: int) -> ConfigurationError:
    """Return the one error for all rows that write a property whose definition has changed."""
    code = problems[0].code
    names = sorted({one.name for one in problems if one.name and one.code == code})
    subject = f"{_OF_THE_COLUMN[code]} {', '.join(map(repr, names)) or 'that a row writes'}"
    message = f"{subject}; map the column to another field, or restore the property"
    return ConfigurationError(
        refusal_text(vendor.display_name, status, code=code, message=message, fields={}),
        vendor=vendor.name,
        status=status,
        code=code,
        field_errors={one.name: one.message for one in problems if one.name},
    )


def _is_own(body: Record) -> bool:
    """Return whether a body has the shape of HubSpot's errors; a message alone is that of any gateway."""
    own = body.get("status") == "error" or any(isinstance(body.get(name), str) for name in _OWN_MEMBERS)
    return own and isinstance(body.get("message"), str)


def _message(error: Record, category: str) -> str:
    """Return the message for people, without the JSON that HubSpot puts into it."""
    if category == "MISSING_SCOPES":
        scopes = ", ".join(missing_scopes(error)) or "that HubSpot does not name"
        return text_of(f"the token lacks one of the scopes {scopes}; add it to the app or service key of the token")
    message = text_of(error.get("message"))
    return _EMBEDDED if message.startswith(_EMBEDDED) else message


def _problems(error: Record) -> list[PropertyProblem]:
    """Return the problems of single properties, each once: those in `errors`, else those in the message."""
    return list(dict.fromkeys(_listed(error))) or list(dict.fromkeys(_embedded(error.get("message"))))


def _listed(error: Record) -> Iterator[PropertyProblem]:
    for one in objects_of(error.get("errors")):
        names = [text_of(name) for name in items_of(member(one.get("context"), "propertyName"))] or [""]
        for name in names:
            if name or one.get("code"):
                yield PropertyProblem(name, text_of(one.get("code")), text_of(one.get("message")))


def _embedded(message: Json) -> Iterator[PropertyProblem]:
    """Read the JSON list at the end of `Property values were not valid: [...]`."""
    if not isinstance(message, str) or not message.startswith(_EMBEDDED):
        return
    try:
        listed = json.loads(message.partition(":")[2])
    except (ValueError, RecursionError):
        return
    for one in objects_of(listed):
        yield PropertyProblem(text_of(one.get("name")), text_of(one.get("error")), text_of(one.get("message")))
