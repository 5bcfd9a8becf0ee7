"""The Close API over HTTP: `/api/v1/...` and `/oauth2/...`.

The vendor's documents say nothing about some cases, for which the sandbox makes these choices:

- An absent `x-tz-offset` is UTC.
- An update may move an opportunity to another pipeline by its status.
- `pipeline_id` and `date_lost` can't be updated, and negative values are accepted.
- A multi-value field takes only a list, and adding a value that is there changes nothing.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from datetime import timedelta, timezone
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from airflow_provider_crm.sandbox.close.account import CloseAccount, CloseKey
from airflow_provider_crm.sandbox.close.fields import FieldError
from airflow_provider_crm.sandbox.close.limits import CloseLimits, too_many
from airflow_provider_crm.sandbox.close.list import list_page, trimmed
from airflow_provider_crm.sandbox.close.organization import ADMIN_ROLE
from airflow_provider_crm.sandbox.close.update import (
    Caller,
    Draft,
    apply_status_rules,
    drafted,
    refuse_errors,
    tz_offset,
)
from airflow_provider_crm.sandbox.close.view import represent
from airflow_provider_crm.sandbox.rate_limit import CallsLeft
from airflow_provider_crm.sandbox.wire import JSON_TYPE, AppliedChange, RefusalError, Request, Response, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_crm.sandbox.faults import Fault
    from airflow_provider_crm.sandbox.records import Fields
    from airflow_provider_crm.sandbox.switches import Panel

Answer = tuple[Any, "AppliedChange | None"]

_NOT_FOUND = {"error": "Not Found"}
_NO_SUCH = {"error": "Empty query: Opportunity matching query does not exist."}
_TOKEN_USER = "user_ada"  # noqa: S105 - a user's id
_READS = ("GET", "HEAD")


class CloseApi:
    """The API of one organization."""

    def __init__(self, account: CloseAccount, panel: Panel) -> None:
        self._account = account
        self._panel = panel
        self._limits = CloseLimits()
        self._plain_routes: dict[tuple[str, ...], Callable[[Request], Any]] = {
            ("me",): self._me,
            ("status", "opportunity"): self._statuses,
            ("pipeline",): self._pipelines,
            ("custom_field", "opportunity"): self._custom_fields,
            ("custom_fields", "opportunity"): self._custom_fields,
            ("custom_field_schema", "opportunity"): self._custom_field_schema,
        }

    def handle(self, request: Request) -> Response:
        """Answer one call."""
        headers: dict[str, str] = {}
        try:
            if request.segments[0] == "oauth2":
                return self._account.oauth.handle(request)
            parts = self._parts(request) or ("",)
            key = self._authenticate(request)
            request = _overridden(request)
            group = f"{parts[0]} {'read' if request.method in _READS else 'write'}"
            headers = self._limits.take(key=key.name, group=group, now=request.at, switches=self._panel.current)
            payload, change = self._route(request, parts, key)
        except RefusalError as refusal:
            return json_response(refusal.status, refusal.payload, headers=headers | dict(refusal.headers))
        return json_response(HTTPStatus.OK, payload, headers=headers, change=change)

    def fault(self, fault: Fault, request: Request) -> Response:
        """Answer with an injected status, in the shape that Close would use."""
        switches = self._panel.current
        if fault.status == HTTPStatus.TOO_MANY_REQUESTS:
            wait = switches.throttle_seconds
            allowance = CallsLeft(limit=100, remaining=50 if fault.remaining else 0, reset=wait, allowed=False)
            refusal = too_many(allowance, group="sandbox", now=request.at, switches=switches)
            return json_response(HTTPStatus.TOO_MANY_REQUESTS, refusal.payload, headers=refusal.headers)
        return json_response(fault.status, {"error": _phrase(fault.status)})

    def _parts(self, request: Request) -> tuple[str, ...]:
        """Split the path below `/api/v1/`; a path without its last slash is redirected for GET, else unknown."""
        if request.segments[-1] != "":
            if request.method not in _READS:
                raise RefusalError(HTTPStatus.NOT_FOUND, _NOT_FOUND)
            query = f"?{urlencode(request.query)}" if request.query else ""
            raise RefusalError(HTTPStatus.MOVED_PERMANENTLY, {}, {"location": f"{request.path}/{query}"})
        if request.segments[:2] != ("api", "v1"):
            raise RefusalError(HTTPStatus.NOT_FOUND, _NOT_FOUND)
        return request.segments[2:-1]

    def _authenticate(self, request: Request) -> CloseKey:
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                user, password = "", ""
            if not password and user in self._account.keys:
                return self._account.keys[user]
        if scheme.lower() == "bearer" and self._account.oauth.accepts(credentials):
            return CloseKey(name="oauth", user_id=_TOKEN_USER, role=ADMIN_ROLE)
        raise RefusalError(HTTPStatus.UNAUTHORIZED, {"error": "Unauthorized"})

    def _route(self, request: Request, parts: tuple[str, ...], key: CloseKey) -> Answer:
        if parts == ("opportunity",):
            return self._collection(request, key)
        if len(parts) == 2 and parts[0] == "opportunity" and parts[1]:
            return self._record(request, parts[1], key)
        answer = self._plain_routes.get(parts)
        if answer is None:
            raise RefusalError(HTTPStatus.NOT_FOUND, _NOT_FOUND)
        _allow(request, "GET")
        return answer(request), None

    def _collection(self, request: Request, key: CloseKey) -> Answer:
        _allow(request, "GET", "POST")
        if request.method == "POST":
            return self._create(request, key)
        ids = self._account.records.ids()
        records = [fields for one in ids if (fields := self._read(one, request)) is not None]
        switches = self._panel.current
        zone = timezone(tz_offset(request.headers, switches))
        return list_page(records, request.query, account=self._account, switches=switches, zone=zone), None

    def _record(self, request: Request, record_id: str, key: CloseKey) -> Answer:
        _allow(request, "GET", "PUT", "DELETE")
        if request.method == "GET":
            stored = self._read(record_id, request)
            if stored is None:
                raise RefusalError(HTTPStatus.NOT_FOUND, _NO_SUCH)
            return trimmed(represent(stored, self._account), request.query), None
        stored = self._account.records.get(record_id)
        if stored is None:
            raise RefusalError(HTTPStatus.NOT_FOUND, _NO_SUCH)
        if request.method == "PUT":
            return self._update(request, stored, key)
        if self._is_ignored(request, record_id):
            return {}, None
        self._account.records.write(record_id, None, request.at)
        return {}, AppliedChange(record_id=record_id, fields={"deleted": True})

    def _update(self, request: Request, stored: Fields, key: CloseKey) -> Answer:
        caller = self._caller(request, key)
        draft = drafted(stored, _object(request), caller)
        _finish(draft, stored, caller)
        if self._is_ignored(request, stored["id"]):
            return represent(stored, self._account), None
        self._account.records.write(stored["id"], draft.fields, request.at)
        return represent(draft.fields, self._account), AppliedChange(record_id=stored["id"], fields=draft.accepted)

    def _create(self, request: Request, key: CloseKey) -> Answer:
        account = self._account
        sent = _object(request)
        blank = account.blank(request.at) | {"user_id": key.user_id, "created_by": key.user_id}
        caller = self._caller(request, key)
        draft = drafted(blank, sent, caller)
        self._choose_pipeline(draft, sent)
        _finish(draft, None, caller)
        record_id = account.new_id("oppo")
        lead_id = draft.fields.get("lead_id") or account.new_lead("Untitled")
        fields = draft.fields | {"id": record_id, "lead_id": lead_id}
        account.records.write(record_id, fields, request.at)
        return represent(fields, account), AppliedChange(record_id=record_id, fields=draft.accepted)

    def _choose_pipeline(self, draft: Draft, sent: dict[str, Any]) -> None:
        """Honour the pipeline named in a create: its first status, and no status of another pipeline."""
        pipeline = self._account.pipelines.get(sent.get("pipeline_id") or "")
        if pipeline is None and sent.get("pipeline_id") is not None:
            draft.errors["pipeline_id"] = FieldError(message="The pipeline does not exist.")
        elif pipeline is not None and "status_id" not in draft.accepted:
            draft.fields["status_id"] = pipeline.statuses[0].id
        elif pipeline is not None and draft.fields["status_id"] not in {one.id for one in pipeline.statuses}:
            draft.errors["status_id"] = FieldError(message="The status belongs to another pipeline.")

    def _caller(self, request: Request, key: CloseKey) -> Caller:
        switches = self._panel.current
        offset = tz_offset(request.headers, switches)
        return Caller(key=key, account=self._account, switches=switches, now=request.at, offset=offset)

    def _read(self, record_id: str, request: Request) -> Fields | None:
        records, lag = self._account.records, self._panel.current.stale_seconds
        if request.stale:
            return records.before(record_id)
        return records.at(record_id, request.at - timedelta(seconds=lag)) if lag else records.get(record_id)

    def _is_ignored(self, request: Request, record_id: str) -> bool:
        return request.ignored or record_id in self._panel.current.ignored_ids

    def _me(self, request: Request) -> dict[str, Any]:
        key = self._authenticate(request)
        user, organization = self._account.users[key.user_id], self._account.organization
        permissions = ["edit_own_opportunities", "edit_all_opportunities"]
        membership = {"organization_id": organization["id"], "role_id": key.role, "permissions_granted": permissions}
        record = {
            "id": user.id,
            "email": user.email,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "last_used_timezone": "America/New_York",
            "memberships": [membership],
            "organizations": [organization],
        }
        return trimmed(record, request.query)

    def _statuses(self, _request: Request) -> dict[str, Any]:
        statuses = [
            {
                "id": status.id,
                "label": status.label,
                "type": status.type,
                "pipeline_id": status.pipeline_id,
                "organization_id": self._account.organization_id,
            }
            for status in self._account.statuses.values()
        ]
        return {"data": statuses, "has_more": False}

    def _pipelines(self, _request: Request) -> dict[str, Any]:
        account = self._account
        created = "2026-01-01T00:00:00.000000+00:00"
        pipelines = [account.describe_pipeline(one, created) for one in account.pipelines.values()]
        return {"data": pipelines, "has_more": False}

    def _custom_fields(self, _request: Request) -> dict[str, Any]:
        return {"data": self._described(shared=False), "has_more": False}

    def _custom_field_schema(self, _request: Request) -> dict[str, Any]:
        return {"object_type": "opportunity", "fields": self._described(shared=True)}

    def _described(self, *, shared: bool) -> list[dict[str, Any]]:
        account = self._account
        fields = account.custom_fields.values()
        return [one.describe(account.organization_id) for one in fields if shared or not one.shared]


def _finish(draft: Draft, before: Fields | None, caller: Caller) -> None:
    """Run the rules, refuse what is wrong, and stamp the record."""
    apply_status_rules(draft, before, caller)
    refuse_errors(draft.errors, caller.switches)
    draft.fields["date_updated"] = caller.now
    draft.fields["updated_by"] = caller.key.user_id


def _object(request: Request) -> dict[str, Any]:
    """Read the body of a write, which must be a JSON object sent as JSON; a missing body counts as an empty one."""
    if request.raw and request.content_type != JSON_TYPE:
        raise RefusalError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, {"error": HTTPStatus.UNSUPPORTED_MEDIA_TYPE.phrase})
    if request.malformed is not None:
        raise RefusalError(
            HTTPStatus.BAD_REQUEST, {"error": f"The request body is not valid JSON: {request.malformed}"}
        )
    body = {} if not request.raw else request.body
    if not isinstance(body, dict):
        raise RefusalError(HTTPStatus.BAD_REQUEST, {"error": "The request body must be a JSON object."})
    return body


def _overridden(request: Request) -> Request:
    """Read a POST with `x-http-method-override: GET` as a GET with the parameters in the body's `_params`."""
    if request.method != "POST" or request.headers.get("x-http-method-override", "").upper() != "GET":
        return request
    parameters = _object(request).get("_params", {})
    if not isinstance(parameters, dict):
        raise RefusalError(HTTPStatus.BAD_REQUEST, {"error": "_params must be a JSON object."})
    return replace(request, method="GET", query=parameters)


def _allow(request: Request, *methods: str) -> None:
    if request.method not in methods:
        raise RefusalError(
            HTTPStatus.METHOD_NOT_ALLOWED,
            {"error": HTTPStatus.METHOD_NOT_ALLOWED.phrase},
            {"allow": ", ".join(methods)},
        )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
