"""HubSpot's errors: of a call, of a property, and of a row in a batch."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.wire import RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping

VALIDATION = "VALIDATION_ERROR"
NOT_FOUND = "OBJECT_NOT_FOUND"
CONFLICT = "CONFLICT"


class PropertyError(Exception):
    """Refusal of one property of a row.

    Attributes:
        code: such as `INVALID_OPTION`.
        name: the property.
        value: the text that was sent; None for an error that does not repeat it.
    """

    def __init__(self, code: str, message: str, name: str, value: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.value = value


@dataclass(frozen=True, kw_only=True)
class RowError:
    """Why a row of a batch is refused: bad properties, or a conflict with another record."""

    properties: Sequence[PropertyError] = ()
    category: str = VALIDATION
    message: str = ""
    existing_id: str | None = None


def error_body(
    message: str, *, category: str | None = None, context: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the body of a refused call; its further members are added by the caller."""
    body: dict[str, Any] = {"status": "error", "message": message, "correlationId": str(uuid.uuid4())}
    if context:
        body["context"] = dict(context)
    if category:
        body["category"] = category
    return body


def refuse(
    status: int, message: str, *, category: str | None = None, context: Mapping[str, Any] | None = None
) -> RefusalError:
    """Build the refusal of a call."""
    return RefusalError(status, error_body(message, category=category, context=context))


def invalid(message: str, context: Mapping[str, Any] | None = None) -> RefusalError:
    """Build a 400 of the category of validation."""
    return refuse(HTTPStatus.BAD_REQUEST, message, category=VALIDATION, context=context)


def properties_message(errors: Sequence[PropertyError], *, portal_id: int, names: bool = True) -> str:
    """Return the message about bad properties, with the list in JSON that HubSpot puts into it."""
    listed = []
    for one in errors:
        item: dict[str, Any] = {"isValid": False, "message": str(one), "error": one.code}
        if names:
            item["name"] = one.name
        if one.value is not None:
            item |= {"localizedErrorMessage": str(one), "propertyValue": one.value, "portalId": portal_id}
        listed.append(item)
    return f"Property values were not valid: {json.dumps(listed, separators=(',', ':'))}"


def refuse_properties(errors: Sequence[PropertyError], *, portal_id: int, names: bool) -> RefusalError:
    """Build the 400 for bad properties, which says nothing about the rows that have them.

    Args:
        errors: those of all rows, in their order.
        portal_id: id of the account.
        names: whether it names the properties.
    """
    body = error_body(properties_message(errors, portal_id=portal_id, names=names), category=VALIDATION)
    if names:
        body["errors"] = [
            {"message": str(one), "code": one.code, "context": {"propertyName": [one.name]}} for one in errors
        ]
    return RefusalError(HTTPStatus.BAD_REQUEST, body)


def named_error(error: RowError, trace: str, *, portal_id: int) -> dict[str, Any]:
    """Return the error of a row in a 207, which its trace names."""
    context = {"objectWriteTraceId": [trace]}
    message = error.message
    if error.properties:
        message = properties_message(error.properties, portal_id=portal_id)
    if error.existing_id is not None:
        message = f"{message}. Existing ID: {error.existing_id}"
        context["existingId"] = [error.existing_id]
    return {"status": "error", "category": error.category, "message": message, "context": context}


def missing_error(ids: Sequence[str]) -> dict[str, Any]:
    """Return the error of a 207 that names all records that do not exist."""
    message = "Could not get some DEAL objects, they may be deleted or not exist. Check that ids are valid."
    return {"status": "error", "category": NOT_FOUND, "message": message, "context": {"ids": list(ids)}}
