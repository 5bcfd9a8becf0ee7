"""The APIs of Batchly over HTTP, one for each way in which a vendor may answer batches.

| API | form of its answers | its records |
|---|---|---|
| `batchly` | rows named by id and trace; a write shows the record | deals with stages |
| `batchly_mute` | rows in order; a write shows nothing; each row that is written costs a unit more | the same |
| `batchly_flat` | as `batchly` | subscriptions, which have no stages |

| call, below `/<API>/v1` | |
|---|---|
| `GET /account`, `/schema`, `/pipelines` | the account, its properties, its stages |
| `GET /records?limit&after&properties` | a page; `paging.next.after` is the cursor of the next one |
| `GET /records/<id>?properties`, `PATCH /records/<id>` | one record; a body of `{"properties": {...}}` |
| `POST /records/batch/read` | `{"inputs": [{"id"}], "properties": [...]}` |
| `POST /records/batch/update` | `{"inputs": [{"id", "traceId", "properties"}]}` |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from airflow_provider_crm.sandbox import (
    ApiContext,
    AppliedChange,
    Fault,
    RefusalError,
    Request,
    Response,
    Rule,
    SandboxApi,
    json_response,
)
from airflow_provider_crm.sandbox.wire import Json
from tests.fake.account import READ, WRITE, FakeAccount, canonical
from tests.fake.answers import Form, NamedForm, OrderedForm, Problem, RowResult
from tests.fake.calls import cursor_of, id_of, items, number, position_of, properties_of
from tests.fake.limits import BURST, FakeLimits, bare_refusal, too_many
from tests.fake.properties import describe_pipelines
from tests.fake.rows import NO_RECORD, Draft, RowWriter
from tests.fake.switches import switches_of

LARGEST_BATCH, LARGEST_BODY, LARGEST_PAGE = 100, 1_000_000, 100
_POISONED = Problem("VALIDATION", "The request could not be processed.")
_STATUSES = {"NOT_FOUND": HTTPStatus.NOT_FOUND, "LOCKED": HTTPStatus.LOCKED}
_CODES = {
    HTTPStatus.UNAUTHORIZED: "AUTHENTICATION",
    HTTPStatus.FORBIDDEN: "MISSING_SCOPES",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.CONFLICT: "CONFLICT",
    HTTPStatus.LOCKED: "LOCKED",
}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The parts in which the APIs differ.

    Attributes:
        form: The form of its answers.
        has_stages: Whether its records move through stages.
        cost_per_row: Units that each written row costs beyond the one of its call.
    """

    name: str
    display_name: str
    form: Form
    has_stages: bool = True
    cost_per_row: int = 0


class BatchlyApi:
    """One of the APIs, with its account."""

    def __init__(self, variant: Variant, context: ApiContext[Any]) -> None:
        self.account = FakeAccount(context, has_stages=variant.has_stages)
        self._variant = variant
        self._form = variant.form
        self._context = context
        self._limits = FakeLimits(lambda: bool(self._switch("silent_limits")))
        self._rows = RowWriter(self.account, self._switch, lambda: context.switches)
        self._routes: dict[tuple[str, ...], tuple[str | None, Callable[[Request], Response]]] = {
            ("GET", "account"): (None, self._account),
            ("GET", "schema"): (READ, self._schema),
            ("GET", "pipelines"): (READ, self._pipelines),
            ("GET", "records"): (READ, self._list),
            ("GET", "records", ""): (READ, self._show),
            ("PATCH", "records", ""): (WRITE, self._update),
            ("POST", "records", "batch", "read"): (READ, self._batch_read),
            ("POST", "records", "batch", "update"): (WRITE, self._batch_update),
        }

    def connection(self, url: str, *, timezone: str) -> Mapping[str, Json]:
        """Return the connection with the full-access key."""
        own = {"conn_type": self._variant.name, "password": self.account.api_key, "host": url}
        return {**own, "extra": {"timezone": timezone}}

    def handle(self, request: Request) -> Response:
        """Answer one call."""
        headers: dict[str, str] = {}
        try:
            scope, answer = self._route(request)
            scopes = self._scopes(request)
            headers = self._limited(request)
            _check(request, scope, scopes)
            response = answer(request)
        except RefusalError as refusal:
            body = self._form.error(refusal.payload)
            return json_response(refusal.status, body, headers={**headers, **refusal.headers})
        return replace(response, headers=headers)

    def fault(self, fault: Fault, request: Request) -> Response:
        """Answer with an injected status."""
        if fault.status == 429:
            headers = self._counted(request, 0) | ({} if fault.remaining else {"x-batchly-remaining": "0"})
            wait = self._context.switches.throttle_seconds
            refusal = bare_refusal() if fault.bare else too_many(BURST, wait, headers)
            return json_response(refusal.status, self._form.error(refusal.payload), headers=refusal.headers)
        code = _CODES.get(HTTPStatus(fault.status), "VALIDATION" if fault.status < 500 else "INTERNAL")
        return json_response(fault.status, self._form.error(Problem(code, f"Injected by the sandbox: {fault.name}")))

    def _switch(self, name: str) -> Any:
        return getattr(self._context.switches, f"{self._variant.name}_{name}")

    def _route(self, request: Request) -> tuple[str | None, Callable[[Request], Response]]:
        segments = request.segments[2:]
        pattern = segments if segments[1:2] in ((), ("batch",)) else (*segments[:1], "", *segments[2:])
        route = self._routes.get((request.method, *pattern)) if request.segments[1:2] == ("v1",) else None
        if route is None or (pattern == ("pipelines",) and not self._variant.has_stages):
            raise RefusalError(HTTPStatus.NOT_FOUND, Problem("NOT_FOUND", f"There is no {request.path}."))
        return route

    def _scopes(self, request: Request) -> frozenset[str]:
        key = self.account.keys.get(request.headers.get("x-batchly-token", ""))
        if key is None:
            raise RefusalError(HTTPStatus.UNAUTHORIZED, Problem("AUTHENTICATION", "The token is missing or wrong."))
        return key.scopes

    def _limited(self, request: Request) -> dict[str, str]:
        rows = items(request.body, self._form.rows)
        written = len(rows) if request.segments[-1] == "update" else 1 if request.method == "PATCH" else 0
        return self._counted(request, 1 + self._variant.cost_per_row * written)

    def _counted(self, request: Request, cost: int) -> dict[str, str]:
        group = "list" if request.method == "GET" and request.segments[-1] == "records" else ""
        return self._limits.take(
            counter=f"{request.headers.get('x-batchly-token', '')} {group}",
            cost=cost,
            now=request.at,
            zone=self.account.time_zone,
            rule=Rule(limit=self._switch("limit"), window=self._switch("window"), kind=self._switch("limit_kind")),
            daily_limit=self._switch("daily_limit"),
        )

    def _account(self, _request: Request) -> Response:
        return json_response(HTTPStatus.OK, self.account.describe())

    def _schema(self, _request: Request) -> Response:
        return json_response(HTTPStatus.OK, {"results": [one.describe() for one in self.account.properties.values()]})

    def _pipelines(self, _request: Request) -> Response:
        return json_response(HTTPStatus.OK, {"results": describe_pipelines()})

    def _list(self, request: Request) -> Response:
        limit, skip = number(request.query.get("limit", "10")), position_of(request.query.get("after"))
        if limit is None or not 1 <= limit <= LARGEST_PAGE or skip is None:
            raise RefusalError(HTTPStatus.BAD_REQUEST, Problem("VALIDATION", "limit or after is out of range."))
        stored = [one for record_id in self.account.records.ids() if (one := self._read(record_id, request))]
        names = self._names(request.query.get("properties"))
        body: dict[str, Any] = {"results": [self.account.shown(one, names) for one in stored[skip : skip + limit]]}
        if skip + limit < len(stored):
            body["paging"] = {"next": {"after": cursor_of(skip + limit)}}
        return json_response(HTTPStatus.OK, body)

    def _show(self, request: Request) -> Response:
        stored = self._read(canonical(request.segments[-1]), request)
        if stored is None:
            raise RefusalError(HTTPStatus.NOT_FOUND, NO_RECORD)
        return json_response(HTTPStatus.OK, self.account.shown(stored, self._names(request.query.get("properties"))))

    def _read(self, record_id: str, request: Request) -> dict[str, Any] | None:
        return self.account.records.read(record_id, request, self._context.switches)

    def _names(self, named: str | list[str] | None) -> list[str]:
        """Return the properties that a read shows."""
        names = named.split(",") if isinstance(named, str) else named
        return names or self.account.by_default()

    def _update(self, request: Request) -> Response:
        record_id = canonical(request.segments[-1])
        if self._rows.is_poisoned(record_id):
            raise RefusalError(HTTPStatus.BAD_REQUEST, _POISONED)
        draft = self._rows.draft(record_id, properties_of(request.body), request, alone=True)
        result, change = self._rows.commit(draft, request)
        if result.problem is not None:
            raise RefusalError(_STATUSES.get(result.problem.code, HTTPStatus.BAD_REQUEST), result.problem)
        changes = () if change is None else (change,)
        if not self._form.shows_values:
            return Response(status=HTTPStatus.NO_CONTENT, changes=changes)
        return json_response(HTTPStatus.OK, result.record, changes=changes)

    def _batch_read(self, request: Request) -> Response:
        names = request.body.get("properties") if isinstance(request.body, dict) else None
        results = []
        for record_id in map(id_of, self._inputs(request)):
            stored = self._read(record_id, request)
            record = None if stored is None else self.account.shown(stored, self._names(names))
            problem = NO_RECORD if record is None else None
            results.append(RowResult(record_id=record_id, trace="", record=record, problem=problem))
        return self._batch_answer(results, (), request, self._form.records)

    def _batch_update(self, request: Request) -> Response:
        inputs = self._inputs(request)
        ids = list(map(id_of, inputs))
        twice = sorted(one for one, times in Counter(ids).items() if times > 1)
        if twice:
            raise RefusalError(HTTPStatus.BAD_REQUEST, Problem("DUPLICATE_ID", f"Ids must be unique: {twice}."))
        if any(map(self._rows.is_poisoned, ids)):
            raise RefusalError(HTTPStatus.BAD_REQUEST, _POISONED)
        drafts = [self._draft(one, request, alone=len(inputs) == 1) for one in inputs]
        self._refuse_untraced(drafts)
        results, changes = [], list[AppliedChange]()
        for draft in drafts:
            result, change = self._rows.commit(draft, request)
            changes += [] if change is None else [change]
            if not self._rows.left_out(result.record_id):
                results.append(result)
        return self._batch_answer(results, tuple(changes), request, self._form.results)

    def _draft(self, one: Mapping[str, Json], request: Request, *, alone: bool) -> Draft:
        draft = self._rows.draft(id_of(one), properties_of(one), request, alone=alone)
        return replace(draft, trace=str(one.get("traceId") or ""))

    def _refuse_untraced(self, drafts: list[Draft]) -> None:
        """Refuse the whole call for the fault of a row that its error could not name: it has no trace."""
        if self._form.in_order:
            return
        problems = [one.problem for one in drafts if one.problem and one.problem.code != "NOT_FOUND" and not one.trace]
        if problems:
            raise RefusalError(HTTPStatus.BAD_REQUEST, problems[0])

    def _inputs(self, request: Request) -> list[dict[str, Json]]:
        """Return the rows of a call; a body without them is a call for no row, as with other vendors."""
        inputs = items(request.body, self._form.rows)
        if len(inputs) > LARGEST_BATCH:
            problem = Problem("VALIDATION", f"A call takes {LARGEST_BATCH} records, not {len(inputs)}.")
            raise RefusalError(HTTPStatus.BAD_REQUEST, problem)
        if not all(isinstance(one, dict) and isinstance(one.get("id"), str) for one in inputs):
            raise RefusalError(HTTPStatus.BAD_REQUEST, Problem("MALFORMED", "Each record is an object with an id."))
        return inputs

    def _batch_answer(
        self,
        results: list[RowResult],
        changes: tuple[AppliedChange, ...],
        request: Request,
        form: Callable[..., Json],
    ) -> Response:
        failed = any(one.problem is not None for one in results)
        status = {"207": 207, "200": 200}.get(
            self._switch("status"), 207 if failed and not self._form.in_order else 200
        )
        said = self._switch("results")
        if said == "no_body" and request.segments[-1] == "update":
            return Response(status=HTTPStatus.OK, changes=changes)
        if said == "no_results" and request.segments[-1] == "update":
            results = []
        if self._switch("shuffled") and not self._form.in_order:
            self._rows.shuffle(results)
        return json_response(status, form(results, request.at), changes=changes)


def _check(request: Request, scope: str | None, scopes: frozenset[str]) -> None:
    """Refuse a call without the scope that it needs, and one whose body cannot be read."""
    if scope is not None and scope not in scopes:
        raise RefusalError(HTTPStatus.FORBIDDEN, Problem("MISSING_SCOPES", f"The key needs the scope {scope}."))
    if request.malformed is not None or len(request.raw) > LARGEST_BODY:
        reason = request.malformed or f"The body has more than {LARGEST_BODY} bytes."
        raise RefusalError(HTTPStatus.BAD_REQUEST, Problem("MALFORMED", reason))


def _described(variant: Variant) -> SandboxApi[Any]:
    return SandboxApi(
        name=variant.name,
        display_name=variant.display_name,
        roots=(variant.name,),
        base_path=f"/{variant.name}/v1/records",
        switches=switches_of(variant.name),
        build=lambda context: BatchlyApi(variant, context),
        example=lambda number: {"name": f"Customer {number}", "amount": str(100 * number)},
    )


BATCHLY = _described(Variant(name="batchly", display_name="Batchly", form=NamedForm()))
BATCHLY_MUTE = _described(Variant(name="batchly_mute", display_name="Batchly Mute", form=OrderedForm(), cost_per_row=1))
BATCHLY_FLAT = _described(Variant(name="batchly_flat", display_name="Batchly Flat", form=NamedForm(), has_stages=False))
APIS = (BATCHLY, BATCHLY_MUTE, BATCHLY_FLAT)
"""All of them, for `Sandbox(apis=...)`."""
