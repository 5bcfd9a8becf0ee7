"""Batchly's errors, and its answers to batches, in both forms: rows named by id or trace, and rows in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import AuthenticationError, CrmError, RateLimitedError, TransientError
from airflow_provider_crm.vendors.answers import (
    body_of,
    error_class,
    foreign_error,
    items_of,
    member,
    objects_of,
    record_error,
    refusal_text,
    text_of,
)
from airflow_provider_crm.vendors.batches import match_by, match_by_position

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.calls import BatchRow, RowAnswer
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json, Record
    from airflow_provider_crm.vendors.response import HttpResponse

_BY_CODE: Mapping[str, type[CrmError]] = {
    "AUTHENTICATION": AuthenticationError,
    "MISSING_SCOPES": AuthenticationError,
    "RATE_LIMIT": RateLimitedError,
    "LOCKED": TransientError,
    "CONFLICT": TransientError,
    "INTERNAL": TransientError,
}
_ROW_STATUS: Mapping[str, int] = {"NOT_FOUND": HTTPStatus.NOT_FOUND, "LOCKED": HTTPStatus.LOCKED}


def read_error(vendor: Vendor, response: HttpResponse) -> CrmError:
    """Return the error that an answer means; a body of no form of Batchly's is not its answer."""
    error = _error_of(body_of(response))
    if error is None:
        return foreign_error(vendor, response)
    return _crm_error(vendor, error, response.status_code)


def policy_and_wait(response: HttpResponse) -> tuple[str, Json]:
    """Return the name of the limit that a 429 is about, and the milliseconds to wait."""
    error = _error_of(body_of(response)) or {}
    return text_of(error.get("policyName")), error.get("retryAfterMs")


def named_rows(vendor: Vendor, response: HttpResponse, ids: Sequence[str], traces: Sequence[str]) -> list[RowAnswer]:
    """Match records by their ids, and errors by trace or ids; an error that names no row says nothing about any.

    Raises:
        TransientError: The answer is not Batchly's.
    """
    if not response.content:
        return [None] * len(ids)
    body = body_of(response)
    if not isinstance(member(body, "results"), list):
        raise record_error(vendor.display_name, response)
    records = [(vendor.canonical_id(text_of(one.get("id"))), one) for one in objects_of(member(body, "results"))]
    errors = objects_of(member(body, "errors"))
    by_id = match_by(map(vendor.canonical_id, ids), [*records, *_named(vendor, errors, "ids")])
    by_trace = match_by(traces, _named(vendor, errors, "traceId")) if traces else by_id
    return [trace if isinstance(trace, CrmError) else one for one, trace in zip(by_id, by_trace, strict=True)]


def ordered_rows(vendor: Vendor, response: HttpResponse, ids: Sequence[str]) -> list[RowAnswer]:
    """Match results by their position.

    Raises:
        TransientError: The answer is not Batchly's.
    """
    if not response.content:
        return [None] * len(ids)
    body = body_of(response)
    if not isinstance(body, list):
        raise record_error(vendor.display_name, response)
    return match_by_position(ids, [_ordered(vendor, one) for one in body])


def ordered_records(vendor: Vendor, response: HttpResponse, ids: Sequence[str]) -> list[RowAnswer]:
    """Match records by their position; null stands for one that does not exist.

    Raises:
        TransientError: The answer is not Batchly's.
    """
    body = body_of(response)
    if not isinstance(body, list):
        raise record_error(vendor.display_name, response)
    gone: Record = {"code": "NOT_FOUND", "message": "No record has this id."}
    answers = [one if isinstance(one, dict) else _row_error(vendor, gone) for one in body]
    return match_by_position(ids, answers)


def rows_of(vendor: Vendor, response: HttpResponse, rows: Sequence[BatchRow]) -> list[RowAnswer]:
    """Match the answer to a batch that wrote, in the named form."""
    return named_rows(vendor, response, [row.record_id for row in rows], [row.trace for row in rows])


def _named(vendor: Vendor, errors: Sequence[Record], by: str) -> Iterator[tuple[str, RowAnswer]]:
    """Yield each error for each text by which it names rows."""
    for error in errors:
        for text in items_of(member(error.get("context"), by)):
            name = text_of(text)
            yield (vendor.canonical_id(name) if by == "ids" else name), _row_error(vendor, error)


def _ordered(vendor: Vendor, result: Json) -> RowAnswer:
    """Return the id of a record that was written, or the error of a row; anything else says nothing."""
    if not isinstance(result, dict):
        return None
    if result.get("success") is True:
        return {"id": vendor.canonical_id(text_of(result.get("id")))}
    error = _error_of(result.get("errors"))
    return None if error is None else _row_error(vendor, error)


def _row_error(vendor: Vendor, error: Record) -> CrmError:
    """Return the error of one row of a batch. It has the status that the row's own call would have got."""
    return _crm_error(vendor, error, _ROW_STATUS.get(text_of(error.get("code")), HTTPStatus.BAD_REQUEST))


def _error_of(body: Json) -> Record | None:
    """Return the error in a body of either form; None if it has neither."""
    if isinstance(body, list):
        first = body[0] if body else None
        if not isinstance(first, dict) or not isinstance(first.get("errorCode"), str):
            return None
        names: Json = [{"property": name, "message": first.get("message")} for name in items_of(first.get("fields"))]
        return {**first, "code": first["errorCode"], "errors": names}
    is_own = isinstance(body, dict) and body.get("status") == "error" and isinstance(body.get("code"), str)
    return body if is_own and isinstance(body, dict) else None


def _crm_error(vendor: Vendor, error: Record, status: int) -> CrmError:
    code, message = text_of(error.get("code")), text_of(error.get("message"))
    fields = {text_of(one.get("property")): text_of(one.get("message")) for one in objects_of(error.get("errors"))}
    kind = _BY_CODE.get(code) or error_class(status)
    return kind(
        refusal_text(vendor.display_name, status, code=code, message=message, fields=fields),
        vendor=vendor.name,
        status=status,
        code=code,
        field_errors=fields,
    )
