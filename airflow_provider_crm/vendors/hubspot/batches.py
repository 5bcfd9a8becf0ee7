"""Write and read up to a hundred deals in one call, and match the answers by record id and trace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import CrmError
from airflow_provider_crm.vendors.answers import body_of, items_of, member, objects_of, record_error, text_of
from airflow_provider_crm.vendors.batches import match_by, with_members
from airflow_provider_crm.vendors.calls import Call
from airflow_provider_crm.vendors.hubspot.errors import check_types, row_error
from airflow_provider_crm.vendors.hubspot.ids import canonical_id
from airflow_provider_crm.vendors.hubspot.paths import BATCH_READ

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.calls import BatchRow, RowAnswer
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Record
    from airflow_provider_crm.vendors.response import HttpResponse

LARGEST_BATCH = 100
_quoted = encode_basestring_ascii


def join_rows(rows: Sequence[BatchRow]) -> str:
    """Return the body of a batch: `{"inputs": [{"id", "objectWriteTraceId", "properties"}]}`.

    A body without `inputs` would be answered with success, and nothing would be written.
    """
    inputs = (
        with_members(row.body, f'"id": {_quoted(row.record_id)}, "objectWriteTraceId": {_quoted(row.trace)}')
        for row in rows
    )
    return f'{{"inputs": [{", ".join(inputs)}]}}'


def batch_read_call(record_ids: Sequence[str], keys: Sequence[str]) -> Call:
    """Return the call that reads some deals with these properties."""
    inputs = ", ".join(f'{{"id": {_quoted(record_id)}}}' for record_id in record_ids)
    names = ", ".join(map(_quoted, keys))
    return Call("POST", BATCH_READ, body=f'{{"inputs": [{inputs}], "properties": [{names}]}}')


def split_answer(
    vendor: Vendor, response: HttpResponse, record_ids: Sequence[str], traces: Sequence[str]
) -> list[RowAnswer]:
    """Return what the answer to a batch says about each row: nothing about a row that it does not name.

    Results come in any order, and name their record. An error names its rows by trace or by record; one that names none
    says nothing about any.

    Args:
        vendor: HubSpot.
        response: The answer, of 2xx.
        record_ids: The record of each row.
        traces: The trace of each row; none for a batch that reads.

    Raises:
        TransientError: The answer is not HubSpot's.
        ConfigurationError: See `check_types`.
    """
    body = body_of(response)
    if not isinstance(body, dict) or not isinstance(body.get("results"), list):
        raise record_error(vendor.display_name, response)
    records = [(canonical_id(text_of(one.get("id"))), one) for one in objects_of(body["results"])]
    errors = objects_of(member(body, "errors"))
    by_id = match_by(map(canonical_id, record_ids), [*records, *_by_id(vendor, errors)])
    by_trace = match_by(traces, _by_trace(vendor, errors)) if traces else by_id
    answers = [trace if isinstance(trace, CrmError) else one for one, trace in zip(by_id, by_trace, strict=True)]
    check_types(vendor, answers)
    return answers


def _by_id(vendor: Vendor, errors: Sequence[Record]) -> Iterator[tuple[str, RowAnswer]]:
    for error in errors:
        for text in items_of(member(error.get("context"), "ids")):
            yield canonical_id(text_of(text)), row_error(vendor, error)


def _by_trace(vendor: Vendor, errors: Sequence[Record]) -> Iterator[tuple[str, RowAnswer]]:
    for error in errors:
        for text in items_of(member(error.get("context"), "objectWriteTraceId")):
            yield text_of(text), row_error(vendor, error)
