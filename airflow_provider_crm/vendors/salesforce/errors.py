"""Read Salesforce's errors: of calls, and of the rows of a collection. Codes decide, never texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import (
    AuthenticationError,
    ConfigurationError,
    CrmError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
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
from airflow_provider_crm.vendors.salesforce.limits import is_day_used_up

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json, Record
    from airflow_provider_crm.vendors.response import HttpResponse

_BUSY_SECONDS = 5.0
_LIMIT = "REQUEST_LIMIT_EXCEEDED"

_GONE = frozenset({"NOT_FOUND", "ENTITY_IS_DELETED"})
_BAD_IDS = frozenset({"MALFORMED_ID", "INVALID_CROSS_REFERENCE_KEY"})
_ID_FIELDS = frozenset({"Id", "id"})
"""Fields with which these codes are about the record itself."""

_BY_CODE: Mapping[str, type[CrmError]] = {
    "UNABLE_TO_LOCK_ROW": TransientError,
    "SERVER_UNAVAILABLE": TransientError,
    "API_TEMPORARILY_UNAVAILABLE": TransientError,
    "UNKNOWN_EXCEPTION": TransientError,
    "STORAGE_LIMIT_EXCEEDED": ConfigurationError,
    "API_DISABLED_FOR_ORG": ConfigurationError,
    "API_CURRENTLY_DISABLED": ConfigurationError,
    "INVALID_SESSION_ID": AuthenticationError,
    "INSUFFICIENT_ACCESS_OR_READONLY": RejectedError,
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": RejectedError,
}
"""Meanings that a status alone does not show."""

_OF_THE_COLUMN: Mapping[str, str] = {
    "INVALID_FIELD": "the org has no such field, or field-level security hides it from the running user",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "field-level security does not let the running user write the field",
}
"""Errors that every row with the field meets: what the user may do has changed since the run has read it."""


def read_error(vendor: Vendor, response: HttpResponse) -> CrmError:
    """Return the error that an answer means; a body of another shape is not Salesforce's."""
    error = _first_error(body_of(response))
    if error is None:
        return foreign_error(vendor, response)
    status, code = response.status_code, text_of(error.get("errorCode"))
    if code == _LIMIT and status == HTTPStatus.FORBIDDEN:
        return _limit_error(vendor, error, status, of_day=is_day_used_up(response))
    return error_of(vendor, error, code, status)


def part_error(vendor: Vendor, body: Json, status: int) -> CrmError | None:
    """Return the error of one call within a composite; None for a body that is no error of Salesforce."""
    error = _first_error(body)
    if error is None:
        return None
    code = text_of(error.get("errorCode"))
    if code == _LIMIT:
        return _limit_error(vendor, error, status, of_day=False)
    return error_of(vendor, error, code, status)


def row_error(vendor: Vendor, errors: Sequence[Record]) -> CrmError:
    """Return the error of one row of a collection, by the first of its errors."""
    error = errors[0] if errors else {}
    return error_of(vendor, error, text_of(error.get("statusCode")), HTTPStatus.BAD_REQUEST)


def error_of(vendor: Vendor, error: Record, code: str, status: int) -> CrmError:
    """Return the exception for an error of Salesforce.

    Args:
        vendor: Salesforce.
        error: The error, with its message and fields.
        code: Its code.
        status: That of the call; of a row, the one that a call for it alone would have got.
    """
    names = [text_of(one) for one in items_of(member(error, "fields"))]
    message = text_of(error.get("message"))
    if code in _GONE or (code in _BAD_IDS and _ID_FIELDS.issuperset(names)):
        status = HTTPStatus.NOT_FOUND
    kind = _BY_CODE.get(code) if status < HTTPStatus.INTERNAL_SERVER_ERROR else None
    text = message
    if code in _OF_THE_COLUMN and status == HTTPStatus.BAD_REQUEST:
        kind, text = ConfigurationError, f"{message.rstrip('.')}: {_OF_THE_COLUMN[code]}"
    elif names:
        text = f"{message.rstrip('.')} [{', '.join(names)}]"
    return (kind or error_class(status))(
        refusal_text(vendor.display_name, status, code=code, message=text, fields={}),
        vendor=vendor.name,
        status=status,
        code=code or f"HTTP_{status}",
        field_errors=dict.fromkeys(names, message.rstrip(".")),
    )


def _first_error(body: Json) -> Record | None:
    """Return the first error in the body of a refused call."""
    errors = objects_of(body)
    if not errors or not isinstance(errors[0].get("errorCode"), str) or not isinstance(errors[0].get("message"), str):
        return None
    return errors[0]


def _limit_error(vendor: Vendor, error: Record, status: int, *, of_day: bool) -> TransientError:
    """Return the error of the limit of the day, or that of too many long calls at once, which passes in seconds."""
    kind = RateLimitedError if of_day else TransientError
    message = text_of(error.get("message"))
    return kind(
        refusal_text(vendor.display_name, status, code=_LIMIT, message=message, fields={}),
        vendor=vendor.name,
        status=status,
        code=_LIMIT,
        retry_after=None if of_day else _BUSY_SECONDS,
    )
