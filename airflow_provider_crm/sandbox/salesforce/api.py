"""The Salesforce API over HTTP: `/services/data/vNN.0/...`, `/services/async/NN.0/...`, `/services/oauth2/token`.

| calls | paths below `/services/data/vNN.0` |
|---|---|
| one opportunity | `sobjects/Opportunity`, `sobjects/Opportunity/{id}`, `sobjects/Opportunity/{Key__c}/{value}` |
| several | `composite/sobjects`, `composite/sobjects/Opportunity`, `composite/sobjects/Opportunity/{Key__c}` |
| several calls in one | `composite` |
| definitions | `sobjects/Opportunity/describe` |
| queries | `query`, `query/{locator}` |
| jobs of Bulk API 2.0 | `jobs/ingest`, `jobs/ingest/{job}`, `.../batches`, `.../successfulResults` and its like |
| limits | `limits` |

`GET /services/data` needs no token and lists the versions. Updates by jobs of Bulk API 1.0 with JSON batches are below
`/services/async/NN.0/job`; their session is in the header `X-SFDC-Session`.

Salesforce's documents say nothing about some cases, for which the sandbox makes these choices:

- `/composite` has no references from one call to another, and does not roll calls back.
- A call of `/composite` counts as one call, whatever is in it.
- A flow changes a record in the transaction of the write, so that reads after it show the change.
- The rows of a job, or of a batch, are written when its state is asked for, `salesforce_job_rows` at a time.
- All rows of a collection are checked before any of them is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_crm.sandbox.api import ApiContext, SandboxApi
from airflow_provider_crm.sandbox.salesforce.account import SalesforceAccount
from airflow_provider_crm.sandbox.salesforce.batch_jobs import BatchJobs, batch_refusal, is_for_batches, with_bearer
from airflow_provider_crm.sandbox.salesforce.collection_calls import OpportunityCollections
from airflow_provider_crm.sandbox.salesforce.ingest_jobs import IngestJobs
from airflow_provider_crm.sandbox.salesforce.limits import SalesforceLimits
from airflow_provider_crm.sandbox.salesforce.problems import malformed, refuse
from airflow_provider_crm.sandbox.salesforce.query import Queries
from airflow_provider_crm.sandbox.salesforce.rows import OBJECT, RecordView, SingleRows, body_of
from airflow_provider_crm.sandbox.salesforce.switches import SalesforceSwitches
from airflow_provider_crm.sandbox.salesforce.write import OpportunityWriter
from airflow_provider_crm.sandbox.wire import (
    AppliedChange,
    RefusalError,
    Request,
    Response,
    encode,
    json_response,
    parse_query,
    split_path,
)

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.faults import Fault
    from airflow_provider_crm.sandbox.wire import Json

Route = Callable[[Request], Response]

VERSIONS = {
    "60.0": "Spring '24",
    "62.0": "Winter '25",
    "66.0": "Spring '26",
    "67.0": "Summer '26",
    "68.0": "Winter '27",
}
_MOST_CALLS, _MOST_LARGE_CALLS = 25, 5
_INHERITED = ("accept", "authorization")
_CODES: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "INVALID_OPERATION",
    HTTPStatus.UNAUTHORIZED: "INVALID_SESSION_ID",
    HTTPStatus.FORBIDDEN: "INSUFFICIENT_ACCESS",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.TOO_MANY_REQUESTS: "REQUEST_LIMIT_EXCEEDED",
    HTTPStatus.SERVICE_UNAVAILABLE: "SERVER_UNAVAILABLE",
}


class SalesforceApi:
    """The API of one org."""

    def __init__(self, context: ApiContext[SalesforceSwitches]) -> None:
        self.account = SalesforceAccount(clock=context.clock, lock=context.lock)
        self._context = context
        self._limits = SalesforceLimits()
        writer, view = OpportunityWriter(self.account, context), RecordView(self.account, context)
        rows = SingleRows(self.account, writer, view)
        lists = OpportunityCollections(self.account, context, writer, view)
        queries = Queries(self.account, context, view)
        jobs = IngestJobs(self.account, context, writer)
        self._batches = BatchJobs(context, writer)
        self._routes: dict[tuple[str, ...], Route] = {
            ("GET", "limits"): self._all_limits,
            ("GET", "query"): queries.first,
            ("GET", "query", "*"): queries.more,
            ("GET", "sobjects", OBJECT, "describe"): self._describe,
            ("POST", "sobjects", OBJECT): rows.create,
            ("GET", "sobjects", OBJECT, "*"): rows.show,
            ("PATCH", "sobjects", OBJECT, "*"): rows.update,
            ("DELETE", "sobjects", OBJECT, "*"): rows.delete,
            ("PATCH", "sobjects", OBJECT, "*", "*"): rows.upsert,
            ("PATCH", "composite", "sobjects"): lists.update,
            ("POST", "composite", "sobjects"): lists.create,
            ("DELETE", "composite", "sobjects"): lists.delete,
            ("POST", "composite", "sobjects", OBJECT): lists.read,
            ("PATCH", "composite", "sobjects", OBJECT, "*"): lists.upsert,
            ("POST", "composite"): self._composite,
            ("POST", "jobs", "ingest"): jobs.create,
            ("GET", "jobs", "ingest", "*"): jobs.show,
            ("PATCH", "jobs", "ingest", "*"): jobs.set_state,
            ("DELETE", "jobs", "ingest", "*"): jobs.delete,
            ("PUT", "jobs", "ingest", "*", "*"): jobs.upload,
            ("GET", "jobs", "ingest", "*", "*"): jobs.results,
        }

    def connection(self, url: str, *, timezone: str) -> Mapping[str, Json]:
        """Return the connection with the token of a session that does not end."""
        token = self.account.access_token
        return {"conn_type": "crm_salesforce", "password": token, "host": url, "extra": {"timezone": timezone}}

    def handle(self, request: Request) -> Response:
        """Answer one call."""
        headers: dict[str, str] = {}
        try:
            if request.segments[1:] == ("oauth2", "token"):
                return self.account.tokens.handle(
                    request, rotates=self._context.switches.salesforce_rotates_refresh_token
                )
            if request.method == "GET" and "".join(request.segments[1:]) == "data":
                return json_response(HTTPStatus.OK, _versions())
            self.account.tokens.check(with_bearer(request) if is_for_batches(request) else request)
            self._refuse_next()
            headers = self._limits.take(request.at, self._context.switches)
            return replace(self._answer(request), headers=headers)
        except RefusalError as error:
            refusal = batch_refusal(error) if is_for_batches(request) else error
            return json_response(refusal.status, refusal.payload, headers={**headers, **refusal.headers})

    def fault(self, fault: Fault, request: Request) -> Response:
        """Answer with an injected status, in the shape that Salesforce would use.

        Salesforce itself documents no 429; one that is injected names its wait as servers in front of an API do.
        """
        code = _CODES.get(fault.status, "UNKNOWN_EXCEPTION")
        refusal = refuse(fault.status, code, f"Injected by the sandbox: {fault.name}")
        refusal = batch_refusal(refusal) if is_for_batches(request) else refusal
        wait = self._context.switches.throttle_seconds
        is_bare = fault.status != HTTPStatus.TOO_MANY_REQUESTS or fault.bare
        headers = {} if is_bare else {"retry-after": str(-int(-wait // 1))}
        return json_response(refusal.status, refusal.payload, headers=headers)

    def _refuse_next(self) -> None:
        """Refuse a call, if that was asked for."""
        if self.account.refusals:
            code, message = self.account.refusals.pop(0)
            raise refuse(HTTPStatus.FORBIDDEN, code, message)

    def _answer(self, request: Request) -> Response:
        if is_for_batches(request):
            return self._batches.answer(request)
        segments = request.segments[:-1] if request.segments[-1] == "" else request.segments
        _, root, version, *rest = (*segments, "", "", "")
        if root != "data" or not re.fullmatch(r"v\d\d\.0", version):
            raise _not_found()
        request = replace(request, segments=segments)
        parts = tuple(one for one in rest if one)
        found = self._routes.get((request.method, *parts))
        for stars in range(1, 3):
            wild = (*parts[:-stars], *("*",) * stars)
            found = found or self._routes.get((request.method, *wild))
        if found is not None and len(parts) == len(segments) - 3:
            return found(request)
        raise _not_found()

    def _composite(self, request: Request) -> Response:
        """Answer several calls, one after another."""
        body = body_of(request)
        calls = body.get("compositeRequest")
        if not isinstance(calls, list) or not calls or not all(isinstance(one, dict) for one in calls):
            raise malformed("compositeRequest is no list of calls")
        large = [one for one in calls if re.search(r"/(composite/sobjects|query)", str(one.get("url")))]
        if len(calls) > _MOST_CALLS or len(large) > _MOST_LARGE_CALLS or body.get("allOrNone"):
            message = f"At most {_MOST_CALLS} calls, {_MOST_LARGE_CALLS} of them large, and not allOrNone"
            raise refuse(HTTPStatus.BAD_REQUEST, "LIMIT_EXCEEDED", message)
        parts, changes = list[str](), list[AppliedChange]()
        for one in calls:
            answer = self._part(one, request)
            changes += answer.changes
            name = encode(one.get("referenceId"))
            shown = f'"httpHeaders":{{}},"httpStatusCode":{answer.status},"referenceId":{name}'
            parts.append(f'{{"body":{answer.body.decode() or "null"},{shown}}}')
        text = f'{{"compositeResponse":[{",".join(parts)}]}}'
        return Response(status=HTTPStatus.OK, body=text.encode(), changes=tuple(changes))

    def _part(self, call: Mapping[str, Json], request: Request) -> Response:
        parts = urlsplit(str(call.get("url")))
        method = str(call.get("method"))
        inherited = {name: request.headers[name] for name in _INHERITED if name in request.headers}
        headers = {**inherited, "content-type": "application/json"}
        for name, value in (call.get("httpHeaders") or {}).items():
            headers[str(name).lower()] = str(value)
        inner = replace(
            request,
            method=method,
            path=parts.path,
            segments=split_path(parts.path),
            query=parse_query(parts.query),
            raw_query=parts.query,
            headers=headers,
            body=call.get("body"),
        )
        try:
            if inner.segments[-1] == "composite":
                raise malformed("A call of composite cannot be composite itself")
            return self._answer(inner)
        except RefusalError as refusal:
            return json_response(refusal.status, refusal.payload)

    def _describe(self, _request: Request) -> Response:
        visible = self.account.visible_fields(self._context.switches)
        body = {
            "name": OBJECT,
            "label": OBJECT,
            "keyPrefix": "006",
            "createable": True,
            "updateable": True,
            "deletable": True,
            "fields": [one.described() for one in visible.values()],
            "recordTypeInfos": [],
        }
        return json_response(HTTPStatus.OK, body)

    def _all_limits(self, request: Request) -> Response:
        switches = self._context.switches
        if not switches.salesforce_limits_permission:
            message = "You do not have access to this resource"
            raise refuse(HTTPStatus.FORBIDDEN, "INSUFFICIENT_ACCESS", message)
        most = switches.salesforce_daily_limit or 1_000_000
        used = self._limits.used(request.at, switches)
        return json_response(HTTPStatus.OK, {"DailyApiRequests": {"Max": most, "Remaining": max(most - used, 0)}})


def _versions() -> list[dict[str, str]]:
    versions = VERSIONS.items()
    return [{"label": label, "url": f"/services/data/v{one}", "version": one} for one, label in versions]


def _not_found() -> RefusalError:
    return refuse(HTTPStatus.NOT_FOUND, "NOT_FOUND", "The requested resource does not exist")


SALESFORCE: SandboxApi[SalesforceSwitches] = SandboxApi(
    name="salesforce",
    display_name="Salesforce",
    roots=("services",),
    base_path="/services/data/v62.0/sobjects/Opportunity",
    switches=SalesforceSwitches,
    build=SalesforceApi,
    example=lambda number: {"Name": f"Customer {number}", "Amount": 100 * number},
)
