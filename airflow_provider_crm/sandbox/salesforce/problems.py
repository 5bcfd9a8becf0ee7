"""Salesforce's errors: of a call, and of a row."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from airflow_provider_crm.sandbox.wire import RefusalError


class RefusedRowError(Exception):
    """Refusal of one row.

    Attributes:
        code: such as `FIELD_CUSTOM_VALIDATION_EXCEPTION`.
        fields: names of the fields at fault.
    """

    def __init__(self, code: str, message: str, *fields: str) -> None:
        super().__init__(message)
        self.code = code
        self.fields = fields

    @property
    def status(self) -> int:
        """Return the status of a call for this row alone."""
        return HTTPStatus.NOT_FOUND if self.code in _NOT_FOUND else HTTPStatus.BAD_REQUEST


class TypeMismatchError(RefusedRowError):
    """Refusal of a value whose JSON type is not that of its field: it may refuse the whole call."""


_NOT_FOUND = frozenset({"ENTITY_IS_DELETED", "NOT_FOUND"})


def refuse(status: int, code: str, message: str, fields: Sequence[str] | None = None) -> RefusalError:
    """Build the refusal of a call: a list with one error."""
    error: dict[str, Any] = {"message": message, "errorCode": code}
    if fields is not None:
        error["fields"] = list(fields)
    return RefusalError(status, [error])


def refuse_row(error: RefusedRowError) -> RefusalError:
    """Build the refusal of a call that is about one record."""
    return refuse(error.status, error.code, str(error), error.fields)


def failed_row(error: RefusedRowError, record_id: str | None) -> dict[str, Any]:
    """Return the result of a refused row of a collection.

    Args:
        error: why it is refused.
        record_id: the id that the result repeats; None for none.
    """
    listed = [{"statusCode": error.code, "message": str(error), "fields": list(error.fields)}]
    return {**({} if record_id is None else {"id": record_id}), "success": False, "errors": listed}


def malformed(message: str) -> RefusalError:
    """Build the refusal of a body that is no such JSON."""
    return refuse(HTTPStatus.BAD_REQUEST, "JSON_PARSER_ERROR", message)


def no_column(name: str) -> str:
    """Return the message about a field that the object does not have, or that the user does not see."""
    return f"No such column '{name}' on sobject of type Opportunity"
