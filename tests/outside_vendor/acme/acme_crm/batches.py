"""Write and read up to 100 deals in one call."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from acme_crm.errors import error_of, refusal
from airflow_provider_crm.vendors.answers import body_of, member, objects_of, record_error, text_of
from airflow_provider_crm.vendors.batches import match_by, with_members
from airflow_provider_crm.vendors.calls import BatchCall, BatchRead, BatchRow, Call, RowAnswer

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.response import HttpResponse

_NOT_FOUND, _REFUSED = 404, 422
_STATUS = {"not_found": _NOT_FOUND, "locked": 423, "unavailable": 503}


def join_rows(rows: Sequence[BatchRow]) -> str:
    """Return `{"deals": [{"id": "d1", "deal": {...}}, ...]}`; a row's own body is the object with `deal`."""
    items = (with_members(row.body, f'"id": {json.dumps(row.record_id)}') for row in rows)
    return f'{{"deals": [{", ".join(items)}]}}'


def split_rows(response: HttpResponse, rows: Sequence[BatchRow]) -> Sequence[RowAnswer]:
    """Return what the answer says about each row; None for a row that it does not name."""
    return _by_id(response, [row.record_id for row in rows])


def read_deals(record_ids: Sequence[str], keys: Sequence[str]) -> Call:
    """Ask for deals by their ids; each one comes with all of its keys."""
    return Call("POST", "/acme/v1/deals/read", body=json.dumps({"ids": list(record_ids)}))


def _by_id(response: HttpResponse, record_ids: Sequence[str]) -> Sequence[RowAnswer]:
    """Match the results to deals by their ids.

    Raises:
        TransientError: The body has no `results`, so it is not Acme's answer.
    """
    results = member(body_of(response), "results")
    if not isinstance(results, list):
        raise record_error("Acme CRM", response)
    answers: list[tuple[str, RowAnswer]] = []
    for result in objects_of(results):
        record_id, deal, error = text_of(result.get("id")), result.get("deal"), error_of(result)
        if error is not None:
            answers.append((record_id, refusal(_status(text_of(error.get("code"))), error)))
        elif isinstance(deal, dict):
            answers.append((record_id, deal))
    return match_by(record_ids, answers)


def _status(code: str) -> int:
    """Return the status that the call for the row alone would have got."""
    return _STATUS.get(code, _REFUSED)


WRITE = BatchCall("POST", "/acme/v1/deals/batch", 100, join_rows, split_rows)
READ = BatchRead(100, read_deals, _by_id)
