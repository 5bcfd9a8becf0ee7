"""The HubSpot API over HTTP: `/crm/...`, `/account-info/...` and `/oauth/...`.

| calls | paths; `deals` may be `0-3` |
|---|---|
| deals | `/crm/objects/2026-03/deals...`, the same with `2026-09` or `v3`, and `/crm/v3/objects/deals...` |
| properties, pipelines | `/crm/properties/2026-03/deals` and `/crm/v3/properties/deals`; and so `pipelines` |
| owners | `/crm/v3/owners`, `/crm/owners/2026-03` |
| the account | `/account-info/v3/details`, and with `2026-03` or `2026-09` |
| tokens | `POST /oauth/v1/token` |

HubSpot's documents say nothing about some cases, for which the sandbox makes these choices:

- An address has at most 8,192 bytes; a longer one is a 414.
- A datetime without an offset is refused.
- Every write of a deal sets `hs_lastmodifieddate`, also one that changes nothing.
- A lock, like a poisoned row, refuses its whole batch.
- A merged record takes from the other one only the values that it lacks, and keeps its own id.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.sandbox.api import ApiContext, SandboxApi
from airflow_provider_crm.sandbox.hubspot.account import HubSpotAccount
from airflow_provider_crm.sandbox.hubspot.batch import DealBatches
from airflow_provider_crm.sandbox.hubspot.deals import SingleDeals
from airflow_provider_crm.sandbox.hubspot.limits import ROLLING, HubSpotLimits, limit_headers, too_many
from airflow_provider_crm.sandbox.hubspot.lookup import DealLookup
from airflow_provider_crm.sandbox.hubspot.problems import error_body, refuse
from airflow_provider_crm.sandbox.hubspot.schema import HubSpotSchema
from airflow_provider_crm.sandbox.hubspot.search import DealSearch
from airflow_provider_crm.sandbox.hubspot.switches import HubSpotSwitches
from airflow_provider_crm.sandbox.hubspot.tokens import (
    READ_DEALS,
    READ_OWNERS,
    READ_SCHEMA,
    WRITE_DEALS,
    require,
)
from airflow_provider_crm.sandbox.hubspot.write import DealWriter
from airflow_provider_crm.sandbox.rate_limit import CallsLeft
from airflow_provider_crm.sandbox.wire import RefusalError, Request, Response, json_response

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.faults import Fault
    from airflow_provider_crm.sandbox.wire import Json

Route = tuple[str | None, Callable[[Request], Response]]

DATED = ("2026-03", "2026-09")
_DEALS = ("deals", "deal", "0-3")
_MOVING = 477
_LONGEST_ADDRESS = 8_192
_CATEGORIES: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "INVALID_AUTHENTICATION",
    HTTPStatus.FORBIDDEN: "MISSING_SCOPES",
    HTTPStatus.NOT_FOUND: "OBJECT_NOT_FOUND",
    HTTPStatus.CONFLICT: "CONFLICT",
    HTTPStatus.LOCKED: "LOCKED",
}
_PAGE = b"<!DOCTYPE html><html><head><title>Error</title></head><body><h1>The page cannot be shown</h1></body></html>"


class HubSpotApi:
    """The API of one account."""

    def __init__(self, context: ApiContext[HubSpotSwitches]) -> None:
        self.account = HubSpotAccount(clock=context.clock, lock=context.lock)
        self._context = context
        self._limits = HubSpotLimits()
        lookup, writer = DealLookup(self.account, context), DealWriter(self.account, context)
        deals = SingleDeals(self.account, context, writer, lookup)
        schema, search = HubSpotSchema(self.account), DealSearch(self.account, context)
        self._routes: dict[tuple[str, ...], Route] = {
            ("GET", "details"): (None, schema.details),
            ("GET", "properties", "deals"): (READ_SCHEMA, schema.properties),
            ("GET", "properties", "deals", ""): (READ_SCHEMA, schema.one_property),
            ("GET", "pipelines", "deals"): (READ_SCHEMA, schema.pipelines),
            ("GET", "pipelines", "deals", ""): (READ_SCHEMA, schema.one_pipeline),
            ("GET", "owners"): (READ_OWNERS, schema.owners),
            ("GET", "owners", ""): (READ_OWNERS, schema.one_owner),
            ("GET", "objects", "deals"): (READ_DEALS, deals.page),
            ("POST", "objects", "deals"): (WRITE_DEALS, deals.create),
            ("GET", "objects", "deals", ""): (READ_DEALS, deals.show),
            ("PATCH", "objects", "deals", ""): (WRITE_DEALS, deals.update),
            ("DELETE", "objects", "deals", ""): (WRITE_DEALS, deals.archive),
            ("POST", "objects", "deals", "search"): (READ_DEALS, search),
            ("POST", "objects", "deals", "merge"): (WRITE_DEALS, deals.merge),
        }
        for verb, batch in DealBatches(self.account, context, writer, lookup).routes.items():
            scope = READ_DEALS if verb == "read" else WRITE_DEALS
            self._routes["POST", "objects", "deals", "batch", verb] = (scope, batch)

    def connection(self, url: str, *, timezone: str) -> Mapping[str, Json]:
        """Return the connection with the token of the private app that has all scopes."""
        token = self.account.access_token
        return {"conn_type": "hubspot", "password": token, "host": url, "extra": {"timezone": timezone}}

    def handle(self, request: Request) -> Response:
        """Answer one call."""
        headers: dict[str, str] = {}
        try:
            request, parts = _parts(request)
            self._refuse_while_moving(request)
            if parts == ("token",):
                return self.account.tokens.handle(request, rotates=self._context.switches.hubspot_rotates_refresh_token)
            scope, route = self._route(request, parts)
            token = self.account.tokens.of(request)
            headers = self._limits.take(
                token,
                is_search=parts[-1] == "search" and request.method == "POST",
                now=request.at,
                zone=self.account.time_zone,
                switches=self._context.switches,
            )
            if scope is not None:
                require(token, scope)
            return replace(route(request), headers=headers)
        except RefusalError as refusal:
            headers = {**headers, **refusal.headers}
            if refusal.payload is None:
                return Response(status=refusal.status, body=_PAGE, content_type="text/html", headers=headers)
            return json_response(refusal.status, refusal.payload, headers=headers)

    def fault(self, fault: Fault, _request: Request) -> Response:
        """Answer with an injected status, in the shape that HubSpot would use.

        No header of a 429 names a wait, so the window that an injected one announces is `throttle_seconds` long.
        """
        switches = self._context.switches
        if fault.status == HTTPStatus.TOO_MANY_REQUESTS:
            wait, limit = switches.throttle_seconds, switches.hubspot_limit or 100
            left = CallsLeft(limit=limit, remaining=limit // 2 if fault.remaining else 0, reset=wait, allowed=False)
            headers = {} if fault.bare else limit_headers(left, None, switches, window=wait)
            refusal = too_many(ROLLING, wait, headers, switches)
            return json_response(refusal.status, refusal.payload, headers=refusal.headers)
        if fault.status == _MOVING:
            return self._moving(switches.throttle_seconds)
        category = _CATEGORIES.get(fault.status, "VALIDATION_ERROR" if fault.status < 500 else "INTERNAL_ERROR")
        return json_response(fault.status, error_body(f"Injected by the sandbox: {fault.name}", category=category))

    def _route(self, request: Request, parts: tuple[str, ...]) -> Route:
        found = self._routes.get((request.method, *parts)) or self._routes.get((request.method, *parts[:-1], ""))
        if found is not None and parts[-1]:
            return found
        paths = {path[1:] for path in self._routes}
        if parts in paths or (*parts[:-1], "") in paths:
            raise refuse(HTTPStatus.METHOD_NOT_ALLOWED, "HTTP 405 Method Not Allowed")
        raise refuse(HTTPStatus.NOT_FOUND, "resource not found")

    def _refuse_while_moving(self, request: Request) -> None:
        seconds = self._context.switches.hubspot_moves_until - request.at.timestamp()
        if seconds > 0:
            moving = self._moving(seconds)
            raise RefusalError(moving.status, error_body("The account is being moved"), moving.headers)

    @staticmethod
    def _moving(seconds: float) -> Response:
        body = error_body("The account is being moved to another data centre")
        return json_response(_MOVING, body, headers={"retry-after": str(math.ceil(seconds))})


def _parts(request: Request) -> tuple[Request, tuple[str, ...]]:
    """Return the call without a slash at the end, and its path without the version, the same in all forms.

    Raises:
        RefusalError: 400 for another type of object, 414 for an address that is too long.
    """
    if len(request.path) + len(request.raw_query) > _LONGEST_ADDRESS:
        raise RefusalError(HTTPStatus.REQUEST_URI_TOO_LONG, None)
    segments = request.segments if request.segments[-1] else request.segments[:-1]
    request = replace(request, segments=segments)
    root, *rest = segments
    if root == "oauth":
        return request, ("token",) if rest == ["v1", "token"] else ("",)
    if root == "account-info":
        return request, ("details",) if rest in [[one, "details"] for one in (*DATED, "v3")] else ("",)
    family, version = _family_and_version(rest)
    if version not in (*DATED, "v3") or family not in ("objects", "properties", "pipelines", "owners"):
        return request, ("",)
    if family == "owners":
        return request, ("owners", *rest[2:])
    kind = rest[2] if len(rest) > 2 else ""
    if kind not in _DEALS:
        raise refuse(HTTPStatus.BAD_REQUEST, f"Unable to infer object type from: {kind}")
    return request, (family, "deals", *rest[3:])


def _family_and_version(rest: list[str]) -> tuple[str, str]:
    first, second = (*rest, "", "")[:2]
    return (second, first) if first == "v3" else (first, second)


HUBSPOT: SandboxApi[HubSpotSwitches] = SandboxApi(
    name="hubspot",
    display_name="HubSpot",
    roots=("crm", "account-info", "oauth"),
    base_path="/crm/objects/2026-03/deals",
    switches=HubSpotSwitches,
    build=HubSpotApi,
    example=lambda number: {"dealname": f"Customer {number}", "amount": str(100 * number)},
)
