"""Salesforce's jobs of Bulk API 2.0: a file of rows that is written part by part, whenever the job is looked at."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.sandbox.salesforce.ids import numbered_id
from airflow_provider_crm.sandbox.salesforce.problems import RefusedRowError, refuse
from airflow_provider_crm.sandbox.salesforce.rows import OBJECT, body_of
from airflow_provider_crm.sandbox.salesforce.values import stamp
from airflow_provider_crm.sandbox.wire import AppliedChange, Json, Request, Response, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_provider_crm.sandbox.api import ApiContext
    from airflow_provider_crm.sandbox.salesforce.account import SalesforceAccount
    from airflow_provider_crm.sandbox.salesforce.switches import SalesforceSwitches
    from airflow_provider_crm.sandbox.salesforce.write import OpportunityWriter

_JOB = "750"
_CSV_TYPE = "text/csv"
_NOTHING = "#N/A"
_LARGEST_BYTES = 150_000_000
_OPERATIONS = ("insert", "update")
_NEXT_STATES = {"Open": ("UploadComplete", "Aborted"), "UploadComplete": ("Aborted",), "InProgress": ("Aborted",)}
_ENDED = ("JobComplete", "Failed", "Aborted")


@dataclass(kw_only=True)
class IngestJob:
    """One job.

    Attributes:
        columns: names of the file's columns.
        rows: cells of each row, as they were sent.
        written: the id of each row that was written, by its position, and whether it was created.
        failed: why a row was refused, by its position.
        position: number of rows that were tried.
    """

    id: str
    operation: str
    created: str
    state: str = "Open"
    error: str = ""
    has_file: bool = False
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    written: dict[int, tuple[str, bool]] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    position: int = 0


class IngestJobs:
    """Answer the calls for jobs.

    Args:
        account: the org.
        context: the sandbox.
        writer: applies the writes.
    """

    def __init__(
        self, account: SalesforceAccount, context: ApiContext[SalesforceSwitches], writer: OpportunityWriter
    ) -> None:
        self._account = account
        self._context = context
        self._writer = writer
        self._jobs: dict[str, IngestJob] = {}
        self._results: dict[str, Callable[[IngestJob], str]] = {
            "successfulResults": _written_rows,
            "failedResults": _failed_rows,
            "unprocessedrecords": _untried_rows,
        }

    def create(self, request: Request) -> Response:
        """Open a job."""
        if not self._context.switches.salesforce_allows_jobs:
            raise refuse(HTTPStatus.BAD_REQUEST, "FEATURENOTENABLED", "Bulk API is not enabled for this user")
        body = body_of(request)
        operation = body.get("operation")
        if body.get("object") != OBJECT or operation not in _OPERATIONS or body.get("contentType", "CSV") != "CSV":
            message = "InvalidJob : Unsupported object, operation or content type"
            raise refuse(HTTPStatus.BAD_REQUEST, "INVALIDJOB", message)
        if body.get("lineEnding", "LF") != "LF" or body.get("columnDelimiter", "COMMA") != "COMMA":
            raise refuse(HTTPStatus.BAD_REQUEST, "INVALIDJOB", "InvalidJob : Unsupported delimiter or line ending")
        job = IngestJob(id=numbered_id(_JOB, len(self._jobs) + 1), operation=str(operation), created=stamp(request.at))
        self._jobs[job.id] = job
        return json_response(HTTPStatus.OK, self._shown(job, request))

    def show(self, request: Request) -> Response:
        """Write some rows of a job that has begun, and answer its state."""
        job = self._job(request.segments[-1])
        changes = self._go_on(job, request)
        return json_response(HTTPStatus.OK, self._shown(job, request), changes=changes)

    def set_state(self, request: Request) -> Response:
        """Begin or abort a job."""
        job = self._job(request.segments[-1])
        wanted = body_of(request).get("state")
        if wanted not in _NEXT_STATES.get(job.state, ()) or (wanted == "UploadComplete" and not job.has_file):
            message = f"InvalidJobState : A job of state {job.state} cannot be set to {wanted}"
            raise refuse(HTTPStatus.BAD_REQUEST, "INVALIDJOBSTATE", message)
        job.state = str(wanted)
        return json_response(HTTPStatus.OK, self._shown(job, request))

    def delete(self, request: Request) -> Response:
        """Delete a job that has ended."""
        job = self._job(request.segments[-1])
        if job.state not in _ENDED:
            raise refuse(HTTPStatus.BAD_REQUEST, "INVALIDJOBSTATE", f"InvalidJobState : The job is {job.state}")
        del self._jobs[job.id]
        return Response(status=HTTPStatus.NO_CONTENT)

    def upload(self, request: Request) -> Response:
        """Take the only file of a job."""
        job = self._job(request.segments[-2])
        if request.segments[-1] != "batches":
            raise refuse(HTTPStatus.NOT_FOUND, "NOT_FOUND", "The requested resource does not exist")
        if request.content_type != _CSV_TYPE:
            message = "Unsupported Media Type"
            raise refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)
        if job.has_file or job.state != "Open":
            message = f"InvalidBatch : The job is {job.state}, or has a file already"
            raise refuse(HTTPStatus.BAD_REQUEST, "INVALIDBATCH", message)
        if len(request.raw) > _LARGEST_BYTES:
            raise refuse(HTTPStatus.BAD_REQUEST, "CLIENTINPUTERROR", "Maximum size of a file: 150 MB")
        lines = list(csv.reader(io.StringIO(request.raw.decode())))
        job.columns, job.rows, job.has_file = lines[0] if lines else [], lines[1:], True
        return Response(status=HTTPStatus.CREATED)

    def results(self, request: Request) -> Response:
        """Answer the rows that were written, refused, or not tried, of a job that has ended."""
        job, write = self._job(request.segments[-2]), self._results.get(request.segments[-1])
        if write is None:
            raise refuse(HTTPStatus.NOT_FOUND, "NOT_FOUND", "The requested resource does not exist")
        if job.state not in _ENDED:
            raise refuse(HTTPStatus.BAD_REQUEST, "INVALIDJOBSTATE", f"InvalidJobState : The job is {job.state}")
        return Response(status=HTTPStatus.OK, body=write(job).encode(), content_type=_CSV_TYPE)

    def _job(self, job_id: str) -> IngestJob:
        job = self._jobs.get(job_id)
        if job is None:
            raise refuse(HTTPStatus.NOT_FOUND, "NOT_FOUND", "The requested resource does not exist")
        return job

    def _go_on(self, job: IngestJob, request: Request) -> tuple[AppliedChange, ...]:
        """Write as many rows as the sandbox writes at once."""
        if job.state not in ("UploadComplete", "InProgress"):
            return ()
        if problem := self._problem(job):
            job.state, job.error = "Failed", problem
            return ()
        at_once = self._context.switches.salesforce_job_rows or len(job.rows)
        changes = list[AppliedChange]()
        for position in range(job.position, min(job.position + at_once, len(job.rows))):
            changes += self._write(job, position, request)
            job.position += 1
        job.state = "JobComplete" if job.position == len(job.rows) else "InProgress"
        return tuple(changes)

    def _problem(self, job: IngestJob) -> str:
        """Return why no row of a job can be written; else an empty text."""
        if job.position:
            return ""
        if self._context.switches.salesforce_job_failure:
            return self._context.switches.salesforce_job_failure
        if not job.columns or (job.operation == "update" and "Id" not in job.columns):
            return "InvalidBatch : Field name not found : Id"
        visible = self._account.visible_fields(self._context.switches)
        unknown = [one for one in job.columns if one != "Id" and one not in visible]
        return f"InvalidBatch : Field name not found : {unknown[0]}" if unknown else ""

    def _write(self, job: IngestJob, position: int, request: Request) -> Iterable[AppliedChange]:
        cells = dict(zip(job.columns, job.rows[position], strict=False))
        values: dict[str, Json] = {
            name: None if text == _NOTHING else text for name, text in cells.items() if name != "Id" and text
        }
        is_new = job.operation == "insert"
        try:
            stored = self._account.blank(self._account.new_id()) if is_new else self._writer.existing(cells["Id"])
            draft = self._writer.draft(stored, values, request, is_new=is_new)
        except RefusedRowError as error:
            job.failed[position] = f"{error.code}:{error}:{','.join(error.fields)} --"
            return ()
        job.written[position] = (draft.record_id, is_new)
        change = self._writer.commit(draft, request)
        return () if change is None else (change,)

    def _shown(self, job: IngestJob, request: Request) -> Mapping[str, Json]:
        version = request.segments[2]
        error = {"errorMessage": job.error} if job.error else {}
        return {
            "id": job.id,
            "operation": job.operation,
            "object": OBJECT,
            "createdDate": job.created,
            "systemModstamp": stamp(request.at),
            "state": job.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(version.removeprefix("v")),
            "contentUrl": f"services/data/{version}/jobs/ingest/{job.id}/batches",
            "lineEnding": "LF",
            "columnDelimiter": "COMMA",
            "jobType": "V2Ingest",
            "numberRecordsProcessed": job.position,
            "numberRecordsFailed": len(job.failed),
            **error,
        }


def _written_rows(job: IngestJob) -> str:
    rows = ([record_id, str(is_new).lower(), *job.rows[at]] for at, (record_id, is_new) in job.written.items())
    return _table(["sf__Id", "sf__Created", *job.columns], rows)


def _failed_rows(job: IngestJob) -> str:
    return _table(
        ["sf__Id", "sf__Error", *job.columns], (["", error, *job.rows[at]] for at, error in job.failed.items())
    )


def _untried_rows(job: IngestJob) -> str:
    return _table(job.columns, job.rows[job.position :])


def _table(columns: list[str], rows: Iterable[list[str]]) -> str:
    text = io.StringIO()
    written = csv.writer(text, lineterminator="\n")
    written.writerow(columns)
    written.writerows(rows)
    return text.getvalue()
