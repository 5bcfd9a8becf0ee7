"""Salesforce's jobs of Bulk API 1.0: batches of JSON rows, written part by part, whenever one or its job is read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.salesforce.ids import numbered_id
from airflow_provider_crm.sandbox.salesforce.problems import RefusedRowError, failed_row, refuse
from airflow_provider_crm.sandbox.salesforce.rows import OBJECT, body_of, fields_of
from airflow_provider_crm.sandbox.salesforce.values import stamp
from airflow_provider_crm.sandbox.wire import AppliedChange, Json, RefusalError, Request, Response, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_crm.sandbox.api import ApiContext
    from airflow_provider_crm.sandbox.salesforce.switches import SalesforceSwitches
    from airflow_provider_crm.sandbox.salesforce.write import OpportunityWriter

_ROOT, _HEADER = "async", "x-sfdc-session"
_JOB, _BATCH = "750", "751"
_LARGEST_BATCH, _LARGEST_BYTES = 10_000, 10_000_000
_MODES = {"0": "Parallel", "1": "Serial"}
_CODES = {
    "INVALID_AUTH_HEADER": "InvalidSessionId",
    "INVALID_SESSION_ID": "InvalidSessionId",
    "JSON_PARSER_ERROR": "InvalidBatch",
    "REQUEST_LIMIT_EXCEEDED": "ExceededQuota",
}


@dataclass(kw_only=True)
class RowBatch:
    """One batch of a job.

    Attributes:
        rows: the rows, as they were sent.
        results: the result of each row that was tried, in order.
        error: why no row was tried; else empty.
    """

    id: str
    created: str
    rows: list[Mapping[str, Json]]
    results: list[Mapping[str, Json]] = field(default_factory=list)
    error: str = ""

    @property
    def state(self) -> str:
        """Return the state in Salesforce's words."""
        if self.error:
            return "Failed"
        if len(self.results) == len(self.rows):
            return "Completed"
        return "InProgress" if self.results else "Queued"

    @property
    def failed(self) -> int:
        """Return the number of refused rows."""
        return sum(not one["success"] for one in self.results)


@dataclass(kw_only=True)
class BatchJob:
    """One job, with its batches by id."""

    id: str
    created: str
    mode: str
    state: str = "Open"
    batches: dict[str, RowBatch] = field(default_factory=dict)


class BatchJobs:
    """Answer the calls below `/services/async/NN.0/job`, for updates with JSON.

    Args:
        context: the sandbox.
        writer: applies the writes.
    """

    def __init__(self, context: ApiContext[SalesforceSwitches], writer: OpportunityWriter) -> None:
        self._context = context
        self._writer = writer
        self._jobs: dict[str, BatchJob] = {}
        self._batches = 0
        self._routes: dict[tuple[str, str, int], Callable[[Request], Response]] = {
            ("POST", "job", 4): self._create,
            ("GET", "job", 5): self._show_job,
            ("POST", "job", 5): self._set_state,
            ("POST", "batch", 6): self._add_batch,
            ("GET", "batch", 7): self._show_batch,
            ("GET", "result", 8): self._results,
        }

    def answer(self, request: Request) -> Response:
        """Answer one call.

        Raises:
            RefusalError: no such path, or what is sent does not fit.
        """
        segments = request.segments
        name = segments[-1] if len(segments) % 2 == 0 else segments[-2]
        found = self._routes.get((request.method, name, len(segments)))
        if found is None or not re.fullmatch(r"\d\d\.0", segments[2]):
            raise refuse(HTTPStatus.NOT_FOUND, "NotFound", "The requested resource does not exist")
        return found(request)

    def _create(self, request: Request) -> Response:
        if not self._context.switches.salesforce_allows_jobs:
            raise _refused("FeatureNotEnabled", "Async API is not enabled for this user")
        body = body_of(request)
        wanted = (body.get("object"), body.get("operation"), body.get("contentType"))
        if wanted != (OBJECT, "update", "JSON"):
            raise _refused("InvalidJob", "Unsupported object, operation or content type")
        mode = str(body.get("concurrencyMode", "Parallel"))
        job_id = numbered_id(_JOB, len(self._jobs) + 1)
        job = BatchJob(id=job_id, created=stamp(request.at), mode=_MODES.get(mode, mode))
        self._jobs[job_id] = job
        return json_response(HTTPStatus.CREATED, _shown_job(job, request))

    def _show_job(self, request: Request) -> Response:
        """Write some rows of each batch, and answer the state of the job."""
        job = self._job(request)
        changes = tuple(change for one in job.batches.values() for change in self._go_on(job, one, request))
        return json_response(HTTPStatus.OK, _shown_job(job, request), changes=changes)

    def _set_state(self, request: Request) -> Response:
        job, wanted = self._job(request), body_of(request).get("state")
        if wanted not in ("Closed", "Aborted") or job.state != "Open":
            raise _refused("InvalidJobState", f"A job of state {job.state} cannot be set to {wanted}")
        job.state = str(wanted)
        return json_response(HTTPStatus.OK, _shown_job(job, request))

    def _add_batch(self, request: Request) -> Response:
        job, rows = self._job(request), request.body
        if job.state != "Open":
            raise _refused("InvalidJobState", f"The job is {job.state}")
        if not isinstance(rows, list) or not rows or not all(isinstance(one, dict) for one in rows):
            raise _refused("InvalidBatch", request.malformed or "The body is no list of objects")
        if len(rows) > _LARGEST_BATCH or len(request.raw) > _LARGEST_BYTES:
            raise _refused("ExceededQuota", f"At most {_LARGEST_BATCH} rows and {_LARGEST_BYTES} bytes in a batch")
        self._batches += 1
        batch = RowBatch(id=numbered_id(_BATCH, self._batches), created=stamp(request.at), rows=rows)
        batch.error = self._context.switches.salesforce_job_failure
        job.batches[batch.id] = batch
        return json_response(HTTPStatus.CREATED, _shown_batch(job, batch, request))

    def _show_batch(self, request: Request) -> Response:
        """Write some rows of a batch, and answer its state."""
        job, batch = self._batch(request)
        changes = self._go_on(job, batch, request)
        return json_response(HTTPStatus.OK, _shown_batch(job, batch, request), changes=changes)

    def _results(self, request: Request) -> Response:
        _, batch = self._batch(request)
        if batch.state != "Completed":
            raise _refused("InvalidBatch", f"Batch not completed: it is {batch.state}")
        return json_response(HTTPStatus.OK, batch.results)

    def _go_on(self, job: BatchJob, batch: RowBatch, request: Request) -> tuple[AppliedChange, ...]:
        """Write as many rows as the sandbox writes at once."""
        if batch.error or job.state == "Aborted":
            return ()
        begin = len(batch.results)
        at_once = self._context.switches.salesforce_job_rows or len(batch.rows)
        changes = list[AppliedChange]()
        for row in batch.rows[begin : begin + at_once]:
            try:
                stored = self._writer.existing(str(row.get("Id") or row.get("id") or ""))
                draft = self._writer.draft(stored, fields_of(row), request)
            except RefusedRowError as error:
                batch.results.append({"id": None, "created": False, **failed_row(error, None)})
                continue
            change = self._writer.commit(draft, request)
            changes += [] if change is None else [change]
            batch.results.append({"id": draft.record_id, "success": True, "created": False, "errors": []})
        return tuple(changes)

    def _job(self, request: Request) -> BatchJob:
        job = self._jobs.get(request.segments[4])
        if job is None:
            raise _refused("InvalidJob", f"Unable to find object: {request.segments[4]}")
        return job

    def _batch(self, request: Request) -> tuple[BatchJob, RowBatch]:
        job = self._job(request)
        batch = job.batches.get(request.segments[6])
        if batch is None:
            raise _refused("InvalidBatch", f"Unable to find object: {request.segments[6]}")
        return job, batch


def is_for_batches(request: Request) -> bool:
    """Return whether a call is one of Bulk API 1.0."""
    return request.segments[1:2] == (_ROOT,)


def with_bearer(request: Request) -> Request:
    """Return a call of Bulk API 1.0 with its session where the other calls have it."""
    token = request.headers.get(_HEADER, "")
    return replace(request, headers={**request.headers, "authorization": f"Bearer {token}"})


def batch_refusal(refusal: RefusalError) -> RefusalError:
    """Return a refusal in the form of Bulk API 1.0: one object, and 400 for a session that is not valid."""
    error: dict[str, Any] = refusal.payload[0]
    code = _CODES.get(error["errorCode"], error["errorCode"])
    status = HTTPStatus.BAD_REQUEST if code == "InvalidSessionId" else refusal.status
    payload = {"exceptionCode": code, "exceptionMessage": error["message"]}
    return RefusalError(status, payload, refusal.headers)


def _refused(code: str, message: str) -> RefusalError:
    return refuse(HTTPStatus.BAD_REQUEST, code, message)


def _shown_job(job: BatchJob, request: Request) -> dict[str, Json]:
    batches = job.batches.values()
    return {
        "apiVersion": float(request.segments[2]),
        "concurrencyMode": job.mode,
        "contentType": "JSON",
        "createdDate": job.created,
        "id": job.id,
        "numberBatchesCompleted": sum(one.state == "Completed" for one in batches),
        "numberBatchesFailed": sum(one.state == "Failed" for one in batches),
        "numberBatchesTotal": len(batches),
        "numberRecordsFailed": sum(one.failed for one in batches),
        "numberRecordsProcessed": sum(len(one.results) for one in batches),
        "object": OBJECT,
        "operation": "update",
        "state": job.state,
        "systemModstamp": stamp(request.at),
    }


def _shown_batch(job: BatchJob, batch: RowBatch, request: Request) -> dict[str, Json]:
    return {
        "createdDate": batch.created,
        "id": batch.id,
        "jobId": job.id,
        "numberRecordsFailed": batch.failed,
        "numberRecordsProcessed": len(batch.results),
        "state": batch.state,
        "stateMessage": batch.error or None,
        "systemModstamp": stamp(request.at),
    }
