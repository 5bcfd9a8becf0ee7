"""Write up to 200 opportunities in one call, with a read of what they hold afterwards; read up to 2,000 in one call.

Results have the order of the rows, and failed ones often no id: they are matched by position.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import RejectedError
from airflow_provider_crm.vendors.answers import body_of, items_of, member, objects_of, record_error, refusal_text
from airflow_provider_crm.vendors.batches import match_by_position, with_members
from airflow_provider_crm.vendors.calls import Call
from airflow_provider_crm.vendors.salesforce.errors import part_error, row_error
from airflow_provider_crm.vendors.salesforce.ids import canonical_id
from airflow_provider_crm.vendors.salesforce.paths import COLLECTION, COLLECTION_READ, OBJECT

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.calls import BatchRow, RowAnswer
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json, Record
    from airflow_provider_crm.vendors.response import HttpResponse

LARGEST_WRITE, LARGEST_READ = 200, 2_000
_WRITE, _READ = "write", "read"
_ATTRIBUTES = f'"attributes": {{"type": "{OBJECT}"}}'
_quoted = encode_basestring_ascii


def join_rows(rows: Sequence[BatchRow]) -> str:
    """Return the body of a collection: each row by itself, whatever becomes of the others."""
    records = (with_members(row.body, f'{_ATTRIBUTES}, "id": {_quoted(row.record_id)}') for row in rows)
    return f'{{"allOrNone": false, "records": [{", ".join(records)}]}}'


def join_rows_and_read(rows: Sequence[BatchRow]) -> str:
    """Return the body of a call that writes rows and then reads what they hold; it counts once."""
    bodies = json.loads(f"[{', '.join(row.body for row in rows)}]")
    keys = list(dict.fromkeys(key for body in bodies for key in body))
    write = _part("PATCH", COLLECTION, _WRITE, join_rows(rows))
    read = _part("POST", COLLECTION_READ, _READ, _read_body([row.record_id for row in rows], keys))
    return f'{{"allOrNone": false, "compositeRequest": [{write}, {read}]}}'


def with_options(body: str, headers: Mapping[str, str]) -> str:
    """Return the body of `join_rows_and_read` with headers for its write: a part inherits none of the call."""
    beginning = _beginning("PATCH")
    return body.replace(beginning, f'{beginning}"httpHeaders": {json.dumps(dict(headers))}, ', 1)


def read_records_call(record_ids: Sequence[str], keys: Sequence[str]) -> Call:
    """Return the call that reads some opportunities with these fields."""
    return Call("POST", COLLECTION_READ, body=_read_body(record_ids, keys))


def split_rows(vendor: Vendor, response: HttpResponse, rows: Sequence[BatchRow]) -> list[RowAnswer]:
    """Return what the answer to a collection says about each row: its id, or its error.

    Raises:
        TransientError: The answer is not Salesforce's.
    """
    body = body_of(response)
    if not isinstance(body, list):
        raise record_error(vendor.display_name, response)
    return _results(vendor, body, [row.record_id for row in rows])


def split_rows_and_read(vendor: Vendor, response: HttpResponse, rows: Sequence[BatchRow]) -> list[RowAnswer]:
    """Return what each row holds after it was written, or its error; only its id if the read did not work.

    Raises:
        CrmError: The rows were refused as a whole.
        TransientError: The answer is not Salesforce's.
    """
    parts = {str(one.get("referenceId")): one for one in objects_of(member(body_of(response), "compositeResponse"))}
    write, read = parts.get(_WRITE, {}), parts.get(_READ, {})
    status, results = write.get("httpStatusCode"), write.get("body")
    if status != HTTPStatus.OK or not isinstance(results, list):
        error = part_error(vendor, results, status) if isinstance(status, int) else None
        raise error or record_error(vendor.display_name, response)
    answers = _results(vendor, results, [row.record_id for row in rows])
    records = items_of(read.get("body")) if read.get("httpStatusCode") == HTTPStatus.OK else []
    held = match_by_position(rows, [one if isinstance(one, dict) else None for one in records])
    return [_with_values(answer, record) for answer, record in zip(answers, held, strict=True)]


def split_records(vendor: Vendor, response: HttpResponse, record_ids: Sequence[str]) -> list[RowAnswer]:
    """Return the record of each id; null stands for one that does not exist, or that the user does not see.

    Raises:
        TransientError: The answer is not Salesforce's.
    """
    body = body_of(response)
    if not isinstance(body, list) or len(body) != len(record_ids):
        raise record_error(vendor.display_name, response)
    return [_record(vendor, one, record_id) for one, record_id in zip(body, record_ids, strict=True)]


def _part(method: str, url: str, name: str, body: str) -> str:
    return f'{_beginning(method)}"url": "{url}", "referenceId": "{name}", "body": {body}}}'


def _beginning(method: str) -> str:
    return f'{{"method": "{method}", '


def _read_body(record_ids: Sequence[str], keys: Sequence[str]) -> str:
    names = dict.fromkeys(("Id", *keys))
    return f'{{"ids": [{", ".join(map(_quoted, record_ids))}], "fields": [{", ".join(map(_quoted, names))}]}}'


def _results(vendor: Vendor, body: Sequence[Json], record_ids: Sequence[str]) -> list[RowAnswer]:
    answers = [_result(vendor, one) for one in body]
    return [
        {"Id": record_id} if isinstance(answer, dict) and "Id" not in answer else answer
        for answer, record_id in zip(match_by_position(record_ids, answers), record_ids, strict=True)
    ]


def _result(vendor: Vendor, result: Json) -> RowAnswer:
    if member(result, "success") is True:
        record_id = member(result, "id")
        return {"Id": canonical_id(record_id)} if isinstance(record_id, str) else None
    errors = objects_of(member(result, "errors"))
    return row_error(vendor, errors) if member(result, "success") is False and errors else None


def _with_values(answer: RowAnswer, record: RowAnswer) -> RowAnswer:
    """Return the record that a read has shown for a row that was written."""
    if not isinstance(answer, dict) or not isinstance(record, dict):
        return answer
    return record if record.get("Id") == answer.get("Id") else answer


def _record(vendor: Vendor, shown: Json, record_id: str) -> Record | RejectedError | None:
    if isinstance(shown, dict):
        return shown
    if shown is not None:
        return None
    status, code = HTTPStatus.NOT_FOUND, "NOT_FOUND"
    message = "no opportunity that the running user sees has this id"
    text = refusal_text(vendor.display_name, status, code=code, message=message, fields={})
    return RejectedError(text, vendor=vendor.name, status=status, code=code, record_id=record_id)
