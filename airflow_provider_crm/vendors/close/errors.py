"""Read errors in Close's answers, in all shapes on record."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import AuthenticationError, RejectedError
from airflow_provider_crm.vendors.answers import (
    body_of,
    error_class,
    foreign_error,
    items_of,
    member,
    refusal_text,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_crm.exceptions import CrmError
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json
    from airflow_provider_crm.vendors.response import HttpResponse

_CODES: Mapping[int, str] = {HTTPStatus.BAD_REQUEST: "BAD_REQUEST", HTTPStatus.NOT_FOUND: "NOT_FOUND"}
_OLD_ERROR = {"message", "rate_reset", "rate_limit", "rate_window", "rate_limit_type", "rate_endpoint_group"}


def read_error(vendor: Vendor, response: HttpResponse) -> CrmError:
    """Return the error that an answer means: of any status, in any of the shapes on record."""
    status, body = response.status_code, body_of(response)
    if not _is_own_error(body):
        return foreign_error(vendor, response)
    fields = _field_errors(member(body, "field-errors"))
    kind = error_class(status)
    if fields and kind is AuthenticationError and status != HTTPStatus.UNAUTHORIZED:
        kind = RejectedError
    return kind(
        refusal_text(vendor.display_name, status, code="", message=_message(body), fields=fields),
        vendor=vendor.name,
        status=status,
        code=_CODES.get(status, f"HTTP_{status}"),
        request_id=response.headers.get("x-request-id"),
        field_errors=fields,
    )


def _message(body: Json) -> str:
    error = member(body, "error")
    text = text_of(member(error, "message") if isinstance(error, dict) else error)
    return text or "; ".join(filter(None, map(text_of, items_of(member(body, "errors")))))


def _is_own_error(body: Json) -> bool:
    """Return whether an error body has a shape that is on record for Close, and nothing beside it.

    These are `{"errors": [text], "field-errors": {field: text}}`, `{"error": text}`, and the old 429 with an object in
    `error`. The schema types 400, 401 and 404 as anything, but then the answer of any gateway would be one, too.
    """
    if not isinstance(body, dict) or not body or not body.keys() <= {"error", "errors", "field-errors"}:
        return False
    error, errors = body.get("error", ""), body.get("errors", [])
    return (
        (isinstance(error, str) or (isinstance(error, dict) and error.keys() <= _OLD_ERROR))
        and isinstance(errors, list)
        and all(isinstance(text, str) for text in errors)
        and isinstance(body.get("field-errors", {}), dict)
    )


def _field_errors(value: Json, prefix: str = "") -> dict[str, str]:
    """Flatten nested field errors into `outer.inner: message`."""
    errors: dict[str, str] = {}
    for name, problem in value.items() if isinstance(value, dict) else ():
        if isinstance(problem, dict):
            errors.update(_field_errors(problem, f"{prefix}{name}."))
        else:
            errors[prefix + name] = (
                "; ".join(text_of(item) for item in problem) if isinstance(problem, list) else text_of(problem)
            )
    return errors
