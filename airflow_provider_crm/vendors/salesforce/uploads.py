"""Upload many opportunities as one file, by the jobs of Bulk API 2.0.

In such a file an empty cell leaves a field alone, and `#N/A` clears it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_crm.values.record_ids import path_segment
from airflow_provider_crm.vendors.answers import body_of, member, record_error, text_of
from airflow_provider_crm.vendors.calls import Call, UploadCalls, UploadState, UploadStatus
from airflow_provider_crm.vendors.salesforce.paths import DATA, OBJECT

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json
    from airflow_provider_crm.vendors.response import HttpResponse

_JOBS = f"{DATA}/jobs/ingest"
_NOTHING = "#N/A"
_STATES = {
    "Open": UploadState.OPEN,
    "UploadComplete": UploadState.RUNNING,
    "InProgress": UploadState.RUNNING,
    "JobComplete": UploadState.ENDED,
    "Failed": UploadState.ENDED,
    "Aborted": UploadState.ENDED,
}
_JOB = (
    f'{{"object": "{OBJECT}", "operation": "update", "contentType": "CSV", "columnDelimiter": "COMMA", '
    '"lineEnding": "LF"}'
)
# A job takes 150 MB, and 100 MB of text. A file that is sent, and its results, must come within one timeout.
_FEWEST, _LARGEST, _LARGEST_BYTES = 2_000, 100_000, 10_000_000


def upload_calls(vendor: Vendor) -> UploadCalls:
    """Return the calls for uploads."""
    return UploadCalls(
        fewest=_FEWEST,
        largest=_LARGEST,
        largest_bytes=_LARGEST_BYTES,
        opening=Call("POST", _JOBS, body=_JOB),
        status=partial(read_status, vendor),
        header=header,
        line=line,
        file=_file,
        begin=partial(_set_state, "UploadComplete"),
        ask=lambda job: Call("GET", f"{_JOBS}/{path_segment(job)}"),
        cancel=partial(_set_state, "Aborted"),
    )


def read_status(vendor: Vendor, response: HttpResponse) -> UploadStatus:
    """Read the state of a job.

    Raises:
        TransientError: The answer is not Salesforce's.
    """
    body = body_of(response)
    job, state = member(body, "id"), _STATES.get(text_of(member(body, "state")))
    if not isinstance(job, str) or not job or state is None:
        raise record_error(vendor.display_name, response)
    return UploadStatus(job, state, text_of(member(body, "errorMessage")))


def header(keys: list[str]) -> str:
    """Return the names of the columns."""
    return _cells(("Id", *keys))


def line(record_id: str, body: str, keys: list[str]) -> str | None:
    """Return the cells of a row; None if a text is what stands for no value."""
    values: dict[str, Json] = json.loads(body, parse_float=str, parse_int=str)
    keys += [key for key in values if key not in keys]
    if _NOTHING in values.values():
        return None
    return _cells((record_id, *(_cell(values[key]) if key in values else "" for key in keys)))


def _cell(value: Json) -> str:
    if value is None or value == "":
        return _NOTHING
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cells(texts: Iterable[str]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(texts)
    return written.getvalue()


def _file(job: str, text: str) -> Call:
    return Call("PUT", f"{_JOBS}/{path_segment(job)}/batches", body=text, content_type="text/csv; charset=UTF-8")


def _set_state(state: str, job: str) -> Call:
    return Call("PATCH", f"{_JOBS}/{path_segment(job)}", body=json.dumps({"state": state}))
