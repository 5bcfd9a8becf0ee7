"""The Raze API over HTTP: `/external/v1/...` and `/health`.

The vendor's documents say nothing about some cases, for which the sandbox makes these choices. Null clears, an unknown
field is ignored, and an update without any known field is 400 "No fields to update". Negative money is accepted, and a
user id is not checked.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.api import ApiContext, SandboxApi
from airflow_provider_crm.sandbox.rate_limit import CallsLeft
from airflow_provider_crm.sandbox.raze.account import RazeAccount, RazeKey
from airflow_provider_crm.sandbox.raze.fields import CREATABLE, SOURCES, STATUSES, UPDATABLE, checked, error
from airflow_provider_crm.sandbox.raze.limits import RazeLimits, limit_headers, too_many
from airflow_provider_crm.sandbox.raze.list import list_page
from airflow_provider_crm.sandbox.raze.stage import read_stage, staged
from airflow_provider_crm.sandbox.raze.switches import RazeSwitches
from airflow_provider_crm.sandbox.raze.view import STAGE_KEYS, UPDATE_KEYS, shown_fields
from airflow_provider_crm.sandbox.wire import JSON_TYPE, AppliedChange, RefusalError, Request, Response, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_crm.sandbox.faults import Fault
    from airflow_provider_crm.sandbox.records import Fields
    from airflow_provider_crm.sandbox.wire import Json

_CODES: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "VALIDATION_ERROR",
    HTTPStatus.UNAUTHORIZED: "INVALID_API_KEY",
    HTTPStatus.FORBIDDEN: "INSUFFICIENT_PERMISSIONS",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.CONFLICT: "CONFLICT",
}
_CONTACT_FIELDS = ("name", "email", "phone", "company")
_MONEY = ("deal_value", "deal_currency")


class RazeApi:
    """The API of one account."""

    def __init__(self, context: ApiContext[RazeSwitches]) -> None:
        self.account = RazeAccount(context)
        self._context = context
        self._limits = RazeLimits()
        self._routes: dict[tuple[str, str], tuple[str | None, Callable[..., Response]]] = {
            ("GET", ""): (None, self._index),
            ("GET", "opportunities"): ("opportunities:read", self._list),
            ("POST", "opportunities"): ("opportunities:write", self._create),
            ("GET", "opportunities/:id"): ("opportunities:read", self._show),
            ("PUT", "opportunities/:id"): ("opportunities:write", self._update),
            ("DELETE", "opportunities/:id"): ("opportunities:delete", self._delete),
            ("PATCH", "opportunities/:id/stage"): ("opportunities:write", self._stage),
        }

    def connection(self, url: str, *, timezone: str) -> Mapping[str, Json]:
        """Return the connection with the key that has every permission."""
        return {"conn_type": "raze", "password": self.account.api_key, "host": url, "extra": {"timezone": timezone}}

    def handle(self, request: Request) -> Response:
        """Answer one call. Unknown routes and malformed bodies are answered without the envelope, as Express does."""
        if request.segments == ("health",):
            return json_response(HTTPStatus.OK, {"status": "ok", "timestamp": request.at.isoformat()})
        if request.malformed is not None and request.content_type == JSON_TYPE:
            return json_response(HTTPStatus.BAD_REQUEST, {"success": False, "message": request.malformed})
        pattern, record_id = _pattern(request.segments)
        route = self._routes.get((request.method, pattern))
        if route is None:
            return json_response(HTTPStatus.NOT_FOUND, {"success": False, "message": "Route not found"})
        headers: dict[str, str] = {}
        permission, answer = route
        try:
            key = self._authenticate(request)
            headers = self._limits.take(key, request.at, self._context.switches)
            _check_permission(key, permission)
            response = answer(request) if record_id is None else answer(request, self._find(request, record_id))
        except RefusalError as refusal:
            return json_response(refusal.status, refusal.payload, headers=headers | dict(refusal.headers))
        return replace(response, headers=headers)

    def fault(self, fault: Fault, request: Request) -> Response:
        """Answer with an injected status, in the envelope that Raze would use."""
        switches = self._context.switches
        if fault.status == HTTPStatus.TOO_MANY_REQUESTS:
            if fault.bare:
                return json_response(fault.status, error("RATE_LIMIT_EXCEEDED", "Rate limit exceeded"))
            remaining = 50 if fault.remaining else 0
            wait = switches.throttle_seconds
            allowance = CallsLeft(limit=100, remaining=remaining, reset=wait, allowed=False)
            headers = limit_headers(allowance, request.at, switches)
            refusal = too_many(allowance, headers, request.at, switches)
            return json_response(HTTPStatus.TOO_MANY_REQUESTS, refusal.payload, headers=refusal.headers)
        code = _CODES.get(fault.status, "INTERNAL_ERROR")
        return json_response(fault.status, error(code, f"Injected by the sandbox: {fault.name}"))

    def _authenticate(self, request: Request) -> RazeKey:
        sent = request.headers.get("x-api-key")
        if sent is None:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            sent = token if scheme.lower() == "bearer" else request.query.get("api_key")
        if not sent:
            raise RefusalError(HTTPStatus.UNAUTHORIZED, error("MISSING_API_KEY", "An API key is required"))
        key = self.account.keys.get(sent)
        if key is None:
            raise RefusalError(HTTPStatus.UNAUTHORIZED, error("INVALID_API_KEY", "The API key is not valid"))
        if key.expires_at is not None and key.expires_at <= request.at:
            code = "INVALID_API_KEY" if self._context.switches.raze_expired_is_invalid else "EXPIRED_API_KEY"
            raise RefusalError(HTTPStatus.UNAUTHORIZED, error(code, "The API key has expired"))
        return key

    def _find(self, request: Request, record_id: str) -> Fields:
        switches, records = self._context.switches, self.account.records
        if switches.raze_uuid_ids:
            record_id = _uuid(record_id)
        stored = self._read(record_id, request) if request.method == "GET" else records.get(record_id)
        if stored is None:
            raise RefusalError(HTTPStatus.NOT_FOUND, error("NOT_FOUND", "Opportunity not found"))
        return stored

    def _read(self, record_id: str, request: Request) -> Fields | None:
        return self.account.records.read(record_id, request, self._context.switches)

    def _index(self, request: Request) -> Response:
        key = self._authenticate(request)
        rule = self._limits.rule(key, self._context.switches)
        endpoints = [f"{method} /external/v1/{pattern}" for method, pattern in self._routes]
        limit = {"limit": rule.announced, "window": f"{rule.window:g} seconds"}
        body = {"message": "Raze sandbox", "version": "v1", "endpoints": endpoints, "rate_limit": limit}
        return json_response(HTTPStatus.OK, {"success": True, **body})

    def _list(self, request: Request) -> Response:
        switches = self._context.switches
        records = [fields for one in self.account.records.ids() if (fields := self._read(one, request)) is not None]
        return json_response(HTTPStatus.OK, list_page(records, request.query, account=self.account, switches=switches))

    def _show(self, _request: Request, stored: Fields) -> Response:
        return _success(HTTPStatus.OK, self.account.shown(stored))

    def _create(self, request: Request) -> Response:
        sent = {name: value for name, value in _object(request).items() if name in CREATABLE}
        if sent.get("name") is None:
            details = {"fields": {"name": "name is required"}}
            raise RefusalError(HTTPStatus.BAD_REQUEST, error("VALIDATION_ERROR", "Invalid field values", details))
        for name, values, code in (("status", STATUSES, "INVALID_STATUS"), ("source", SOURCES, "INVALID_SOURCE")):
            if name in sent and sent[name] not in values:
                raise RefusalError(HTTPStatus.BAD_REQUEST, error(code, f"{name} must be one of {', '.join(values)}"))
        account = self.account
        record_id = account.new_id("opp")
        fields = account.blank(record_id, request.at) | checked(sent)
        fields = staged(fields | {"status": "new"}, fields["status"], request.at, self._context.switches)
        account.records.write(record_id, fields, request.at)
        shown = account.shown(fields)
        return _success(HTTPStatus.CREATED, shown, AppliedChange(record_id=record_id, fields=sent))

    def _update(self, request: Request, stored: Fields) -> Response:
        switches = self._context.switches
        body = _object(request)
        sent = {name: value for name, value in body.items() if name in UPDATABLE}
        if switches.raze_ignores_deal_value:
            sent = {name: value for name, value in sent.items() if name not in _MONEY}
        if not sent:
            raise RefusalError(HTTPStatus.BAD_REQUEST, error("VALIDATION_ERROR", "No fields to update"))
        values = checked(sent)
        applied = {name: value for name, value in values.items() if name not in switches.ignored_fields}
        if self._is_ignored(request, stored):
            applied = {}
        fields = stored | applied | {"updated_at": request.at}
        self.account.records.write(stored["id"], fields, request.at)
        if switches.raze_shared_contacts:
            self._update_contact(stored, applied, request)
        change = AppliedChange(record_id=stored["id"], fields={name: sent[name] for name in applied})
        return _success(HTTPStatus.OK, shown_fields(fields, UPDATE_KEYS, switches), change)

    def _update_contact(self, stored: Fields, applied: Mapping[str, Any], request: Request) -> None:
        """Write the contact's fields to every other opportunity of the same contact."""
        shared = {name: value for name, value in applied.items() if name in _CONTACT_FIELDS}
        records = self.account.records
        for other_id in records.ids():
            other = records.get(other_id)
            if other and shared and other_id != stored["id"] and other["contact_id"] == stored["contact_id"]:
                records.write(other_id, other | shared, request.at)

    def _stage(self, request: Request, stored: Fields) -> Response:
        switches = self._context.switches
        body = _object(request)
        stage = read_stage(body, stored, switches)
        if self._is_ignored(request, stored) or "status" in switches.ignored_fields:
            return _success(HTTPStatus.OK, shown_fields(stored, STAGE_KEYS, switches) | dict(stage.extra))
        fields = staged(stored, stage.status, request.at, switches)
        self.account.records.write(stored["id"], fields, request.at)
        shown = shown_fields(fields, STAGE_KEYS, switches) | dict(stage.extra)
        return _success(HTTPStatus.OK, shown, AppliedChange(record_id=stored["id"], fields=dict(body)))

    def _delete(self, request: Request, stored: Fields) -> Response:
        payload = {"success": True, "message": "Opportunity deleted"}
        if self._is_ignored(request, stored):
            return json_response(HTTPStatus.OK, payload)
        self.account.records.write(stored["id"], None, request.at)
        return json_response(
            HTTPStatus.OK, payload, changes=(AppliedChange(record_id=stored["id"], fields={"deleted": True}),)
        )

    def _is_ignored(self, request: Request, stored: Fields) -> bool:
        return request.ignored or stored["id"] in self._context.switches.ignored_ids


def _pattern(segments: tuple[str, ...]) -> tuple[str, str | None]:
    """Return the route of a path, and the record id in it. One last slash makes no difference."""
    if segments[:2] != ("external", "v1"):
        return "unknown", None
    parts = segments[2:-1] if segments[-1] == "" else segments[2:]
    match parts:
        case ("opportunities", record_id) if record_id:
            return "opportunities/:id", record_id
        case ("opportunities", record_id, "stage") if record_id:
            return "opportunities/:id/stage", record_id
        case () | ("opportunities",):
            return "/".join(parts), None
    return "unknown", None


def _check_permission(key: RazeKey, permission: str | None) -> None:
    if permission is not None and not key.may(permission):
        details = {"required_permission": permission, "current_permissions": sorted(key.permissions)}
        raise RefusalError(
            HTTPStatus.FORBIDDEN, error("INSUFFICIENT_PERMISSIONS", f"The key lacks {permission}", details)
        )


def _object(request: Request) -> dict[str, Any]:
    """Read the body as an object; a body of another content type is not read, and an array has no fields."""
    readable = request.content_type == JSON_TYPE and isinstance(request.body, dict)
    return request.body if readable else {}


def _success(status: int, data: dict[str, Any], change: AppliedChange | None = None) -> Response:
    return json_response(status, {"success": True, "data": data}, changes=() if change is None else (change,))


def _uuid(text: str) -> str:
    """Write an id as the database does, which takes a UUID in any case, in braces and without hyphens."""
    try:
        return str(uuid.UUID(text))
    except ValueError as err:
        raise RefusalError(HTTPStatus.INTERNAL_SERVER_ERROR, error("INTERNAL_ERROR", "Internal server error")) from err


RAZE = SandboxApi(
    name="raze",
    display_name="Raze",
    roots=("external", "health"),
    base_path="/external/v1/",
    switches=RazeSwitches,
    build=RazeApi,
    example=lambda number: {"name": f"Customer {number}", "deal_value": Decimal(100 * number)},
)
