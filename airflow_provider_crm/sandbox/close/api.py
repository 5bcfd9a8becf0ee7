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
from datetime import timezone
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from airflow_provider_crm.sandbox.api import ApiContext, SandboxApi
from airflow_provider_crm.sandbox.close.account import CloseAccount, CloseKey
from airflow_provider_crm.sandbox.close.calls import allow, json_object, overridden
from airflow_provider_crm.sandbox.close.fields import FieldError
from airflow_provider_crm.sandbox.close.limits import CloseLimits, limit_headers, too_many
from airflow_provider_crm.sandbox.close.list import list_page, trimmed
from airflow_provider_crm.sandbox.close.organization import ADMIN_ROLE
from airflow_provider_crm.sandbox.close.switches import CloseSwitches
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
from airflow_provider_crm.sandbox.wire import AppliedChange, RefusalError, Request, Response, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_crm.sandbox.faults import Fault
    from airflow_provider_crm.sandbox.records import Fields
    from airflow_provider_crm.sandbox.wire import Json

Answer = tuple[Any, "AppliedChange | None"]

_NOT_FOUND = {"error": "Not Found"}
_NO_SUCH = {"error": "Empty query: Opportunity matching query does not exist."}
_TOKEN_USER = "user_ada"  # noqa: S105 - a user's id
_READS = ("GET", "HEAD")


class CloseApi:
    """The API of one organization."""

    def __init__(self, context: ApiContext[CloseSwitches]) -> None:
        self.account = CloseAccount(clock=context.clock, lock=context.lock)
        self._context = context
        self._limits = CloseLimits()
        self._plain_routes: dict[tuple[str, ...], Callable[[Request], Any]] = {
            ("me",): self._me,
            ("status", "opportunity"): self._statuses,
            ("pipeline",): self._pipelines,
            ("custom_field", "opportunity"): self._custom_fields,
            ("custom_fields", "opportunity"): self._custom_fields,
            ("custom_field_schema", "opportunity"): self._custom_field_schema,
        }

    def connection(self, url: str, *, timezone: str) -> Mapping[str, Json]:
        """Return the connection with the full-access key."""
        return {"conn_type": "close", "password": self.account.api_key, "host": url, "extra": {"timezone": timezone}}

    def handle(self, request: Request) -> Response:
        """Answer one call."""
        headers: dict[str, str] = {}
        try:
            if request.segments[0] == "oauth2":
                return self.account.oauth.handle(request)
            parts = self._parts(request) or ("",)
            key = self._authenticate(request)
            request = overridden(request)
            group = f"{parts[0]} {'read' if request.method in _READS else 'write'}"
            headers = self._limits.take(key=key.name, group=group, now=request.at, switches=self._context.switches)
            payload, change = self._route(request, parts, key)
        except RefusalError as refusal:
            return json_response(refusal.status, refusal.payload, headers=headers | dict(refusal.headers))
        return json_response(HTTPStatus.OK, payload, headers=headers, changes=() if change is None else (change,))

    def fault(self, fault: Fault, request: Request) -> Response:
        """Answer with an injected status, in the shape that Close would use."""
        switches = self._context.switches
        if fault.status == HTTPStatus.TOO_MANY_REQUESTS:
            if fault.bare:
                return json_response(fault.status, {"error": "Too many requests"})
            wait = switches.throttle_seconds
            allowance = CallsLeft(limit=100, remaining=50 if fault.remaining else 0, reset=wait, allowed=False)
            headers = limit_headers(allowance, request.at, switches)
            refusal = too_many(allowance, headers, group="sandbox", now=request.at, switches=switches)
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
            if not password and user in self.account.keys:
                return self.account.keys[user]
        if scheme.lower() == "bearer" and self.account.oauth.accepts(credentials):
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
        allow(request, "GET")
        return answer(request), None

    def _collection(self, request: Request, key: CloseKey) -> Answer:
        allow(request, "GET", "POST")
        if request.method == "POST":
            return self._create(request, key)
        ids = self.account.records.ids()
        records = [fields for one in ids if (fields := self._read(one, request)) is not None]
        switches = self._context.switches
        zone = timezone(tz_offset(request.headers, switches))
        return list_page(records, request.query, account=self.account, switches=switches, zone=zone), None

    def _record(self, request: Request, record_id: str, key: CloseKey) -> Answer:
        allow(request, "GET", "PUT", "DELETE")
        if request.method == "GET":
            stored = self._read(record_id, request)
            if stored is None:
                raise RefusalError(HTTPStatus.NOT_FOUND, _NO_SUCH)
            return trimmed(represent(stored, self.account), request.query), None
        stored = self.account.records.get(record_id)
        if stored is None:
            raise RefusalError(HTTPStatus.NOT_FOUND, _NO_SUCH)
        if request.method == "PUT":
            return self._update(request, stored, key)
        if self._is_ignored(request, record_id):
            return {}, None
        self.account.records.write(record_id, None, request.at)
        return {}, AppliedChange(record_id=record_id, fields={"deleted": True})

    def _update(self, request: Request, stored: Fields, key: CloseKey) -> Answer:
        caller = self._caller(request, key)
        draft = drafted(stored, json_object(request), caller)
        _finish(draft, stored, caller)
        if self._is_ignored(request, stored["id"]):
            return represent(stored, self.account), None
        self.account.records.write(stored["id"], draft.fields, request.at)
        return represent(draft.fields, self.account), AppliedChange(record_id=stored["id"], fields=draft.accepted)

    def _create(self, request: Request, key: CloseKey) -> Answer:
        account = self.account
        sent = json_object(request)
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
        pipeline = self.account.pipelines.get(sent.get("pipeline_id") or "")
        if pipeline is None and sent.get("pipeline_id") is not None:
            draft.errors["pipeline_id"] = FieldError(message="The pipeline does not exist.")
        elif pipeline is not None and "status_id" not in draft.accepted:
            draft.fields["status_id"] = pipeline.statuses[0].id
        elif pipeline is not None and draft.fields["status_id"] not in {one.id for one in pipeline.statuses}:
            draft.errors["status_id"] = FieldError(message="The status belongs to another pipeline.")

    def _caller(self, request: Request, key: CloseKey) -> Caller:
        switches = self._context.switches
        offset = tz_offset(request.headers, switches)
        return Caller(key=key, account=self.account, switches=switches, now=request.at, offset=offset)

    def _read(self, record_id: str, request: Request) -> Fields | None:
        return self.account.records.read(record_id, request, self._context.switches)

    def _is_ignored(self, request: Request, record_id: str) -> bool:
        return request.ignored or record_id in self._context.switches.ignored_ids

    def _me(self, request: Request) -> dict[str, Any]:
        key = self._authenticate(request)
        user, organization = self.account.users[key.user_id], self.account.organization
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
                "organization_id": self.account.organization_id,
            }
            for status in self.account.statuses.values()
        ]
        return {"data": statuses, "has_more": False}

    def _pipelines(self, _request: Request) -> dict[str, Any]:
        account = self.account
        created = "2026-01-01T00:00:00.000000+00:00"
        pipelines = [account.describe_pipeline(one, created) for one in account.pipelines.values()]
        return {"data": pipelines, "has_more": False}

    def _custom_fields(self, _request: Request) -> dict[str, Any]:
        return {"data": self._described(shared=False), "has_more": False}

    def _custom_field_schema(self, _request: Request) -> dict[str, Any]:
        return {"object_type": "opportunity", "fields": self._described(shared=True)}

    def _described(self, *, shared: bool) -> list[dict[str, Any]]:
        account = self.account
        fields = account.custom_fields.values()
        return [one.describe(account.organization_id) for one in fields if shared or not one.shared]


def _finish(draft: Draft, before: Fields | None, caller: Caller) -> None:
    """Run the rules, refuse what is wrong, and stamp the record."""
    apply_status_rules(draft, before, caller)
    refuse_errors(draft.errors, caller.switches)
    draft.fields["date_updated"] = caller.now
    draft.fields["updated_by"] = caller.key.user_id


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


CLOSE = SandboxApi(
    name="close",
    display_name="Close",
    roots=("api", "oauth2"),
    base_path="/api/v1/",
    switches=CloseSwitches,
    build=CloseApi,
    example=lambda number: {"value": 10_000 * number},
)
