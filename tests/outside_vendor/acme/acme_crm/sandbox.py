"""A local Acme for tests: it answers as the real one is documented to, and imports nothing of the vendor."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_crm.sandbox import (
    ApiContext,
    AppliedChange,
    CallsLeft,
    Fault,
    Json,
    Limiter,
    Records,
    RefusalError,
    Request,
    Response,
    Rule,
    SandboxApi,
    Switches,
    json_response,
)

_STAGES = (("new", "New", "active"), ("offer", "Offer made", "active"), ("won", "Won", "won"), ("lost", "Lost", "lost"))
_BLANK = {"amount": None, "currency": "USD", "stage": "new", "won_on": None, "notes": None, "contact_email": None}
_LARGEST = 100
_ZONE = ZoneInfo("America/New_York")
_CODES = {401: "bad_key", 403: "bad_key", 404: "not_found", 423: "locked", 429: "rate_limited"}


@dataclass(frozen=True, kw_only=True)
class AcmeSwitches(Switches):
    """The switches of every API and those of Acme.

    | Acme | effect |
    |---|---|
    | `acme_limit`, `acme_window` | calls of a key per seconds; None: there is no limit |
    | `acme_poisoned` | writes to these ids are refused, and a batch with one of them and others as a whole |
    | `acme_left_out` | the answer to a batch leaves these ids out |
    | `acme_reversed` | the answer to a batch has the results in the reverse order |
    """

    acme_limit: int | None = None
    acme_window: float = 10.0
    acme_poisoned: frozenset[str] = frozenset()
    acme_left_out: frozenset[str] = frozenset()
    acme_reversed: bool = False


class AcmeAccount:
    """One account of Acme: its key and its deals."""

    def __init__(self, context: ApiContext[AcmeSwitches]) -> None:
        self.api_key = "acme_key_sandbox"
        self.records = Records()
        self._context = context

    def add_opportunity(self, id: str | None = None, **fields: Json) -> dict[str, Any]:  # noqa: A002 - the API's word
        """Add a deal as it stands."""
        with self._context.lock:
            unknown = sorted(fields.keys() - _BLANK.keys())
            if unknown:
                message = f"A deal has no field {', '.join(unknown)}; it has {', '.join(_BLANK)}."
                raise ValueError(message)
            record_id = id or f"deal_{len(self.records.ids()) + 1}"
            self.records.seed(record_id, {"id": record_id, **_BLANK, **fields})
            return self.opportunity(record_id)

    def opportunity(self, id: str) -> dict[str, Any]:  # noqa: A002 - the API's word
        """Return a deal."""
        with self._context.lock:
            stored = self.records.get(id)
            if stored is None:
                raise KeyError(id)
            return dict(stored)


class AcmeApi:
    """The API of one account."""

    def __init__(self, context: ApiContext[AcmeSwitches]) -> None:
        self.account = AcmeAccount(context)
        self._context = context
        self._limiter = Limiter()

    def connection(self, url: str, *, timezone: str) -> Mapping[str, Json]:
        """Return the connection with the account's key."""
        extra = {"timezone": timezone}
        return {"conn_type": "acme", "password": self.account.api_key, "host": url, "extra": extra}

    def handle(self, request: Request) -> Response:
        """Answer one call."""
        headers: dict[str, str] = {}
        try:
            if request.headers.get("authorization") != f"Bearer {self.account.api_key}":
                raise _refused(401, "bad_key", "The key is not valid")
            headers = self._counted(request)
            response = self._answer(request)
        except RefusalError as refusal:
            return json_response(refusal.status, refusal.payload, headers=headers | dict(refusal.headers))
        return replace(response, headers=headers)

    def fault(self, fault: Fault, request: Request) -> Response:
        """Answer with an injected status."""
        code = _CODES.get(fault.status, "unavailable" if fault.status >= 500 else "invalid")
        headers = {}
        if code == "rate_limited":
            left = CallsLeft(limit=100, remaining=0, reset=self._context.switches.throttle_seconds, allowed=False)
            headers = _limit_headers(left) | {"retry-after": str(math.ceil(left.reset))}
        return json_response(fault.status, _error(code, f"Injected by the sandbox: {fault.name}"), headers=headers)

    def _counted(self, request: Request) -> dict[str, str]:
        switches = self._context.switches
        rule = Rule(limit=switches.acme_limit, window=switches.acme_window)
        left = self._limiter.take([(rule, "key")], request.at.timestamp())
        if not left.allowed:
            wait = {"retry-after": str(math.ceil(left.reset))}
            raise RefusalError(429, _error("rate_limited", "Too many calls"), _limit_headers(left) | wait)
        return _limit_headers(left)

    def _answer(self, request: Request) -> Response:
        match request.method, request.segments[1:]:
            case "GET", ("v1", "account"):
                stages = [{"id": stage, "label": label, "type": kind} for stage, label, kind in _STAGES]
                return json_response(200, {"account": {"id": "acc_1", "stages": stages}})
            case "GET", ("v1", "deals"):
                return self._list(request)
            case "POST", ("v1", "deals", "batch"):
                return self._write_batch(request)
            case "POST", ("v1", "deals", "read"):
                return self._read_batch(request)
            case "GET", ("v1", "deals", record_id):
                return json_response(200, {"deal": self._read(record_id, request)})
            case "PATCH", ("v1", "deals", record_id):
                change, deal = self._write(record_id, request.body, request)
                return json_response(200, {"deal": deal}, changes=change)
        raise _refused(404, "not_found", "There is no such path")

    def _read(self, record_id: str, request: Request) -> dict[str, Any]:
        stored = self.account.records.read(record_id, request, self._context.switches)
        if stored is None:
            raise _refused(404, "not_found", "There is no such deal")
        return stored

    def _list(self, request: Request) -> Response:
        size, start = int(request.query.get("limit", "25")), int(request.query.get("after", "0"))
        ids = [one for one in self.account.records.ids() if self.account.records.get(one) is not None]
        end = start + size
        deals = [self._read(one, request) for one in ids[start:end]]
        return json_response(200, {"deals": deals, "next": str(end) if end < len(ids) else None})

    def _write(
        self, record_id: str, body: Json, request: Request
    ) -> tuple[tuple[AppliedChange, ...], dict[str, Any] | None]:
        """Write one deal; returns the change that took effect, and the deal."""
        stored = self.account.records.get(record_id)
        if stored is None:
            raise _refused(404, "not_found", "There is no such deal")
        sent, switches = _checked(body), self._context.switches
        if record_id in switches.acme_poisoned:
            raise _refused(422, "invalid", "This deal cannot be written")
        if request.ignored or record_id in switches.ignored_ids:
            return (), stored
        applied = {key: value for key, value in sent.items() if key not in switches.ignored_fields}
        if applied.get("stage") == "won" and stored["stage"] != "won" and not applied.get("won_on"):
            applied["won_on"] = request.at.astimezone(_ZONE).date().isoformat()
        self.account.records.write(record_id, stored | applied, request.at)
        shown = {key: value for key, value in sent.items() if key in applied}
        return (AppliedChange(record_id=record_id, fields=shown),), self.account.records.get(record_id)

    def _write_batch(self, request: Request) -> Response:
        switches, items = self._context.switches, _items(request.body, "deals")
        if len(items) > 1 and any(item["id"] in switches.acme_poisoned for item in items):
            raise _refused(422, "invalid", "One of the deals cannot be written")
        changes: list[AppliedChange] = []
        results: list[dict[str, Any]] = []
        for item in items:
            try:
                change, deal = self._write(item["id"], item, request)
            except RefusalError as refusal:
                results.append({"id": item["id"], **refusal.payload})
            else:
                changes += change
                results.append({"id": item["id"], "deal": deal})
        shown = [result for result in results if result["id"] not in switches.acme_left_out]
        shown = shown[::-1] if switches.acme_reversed else shown
        return json_response(207, {"results": shown}, changes=tuple(changes))

    def _read_batch(self, request: Request) -> Response:
        results: list[dict[str, Any]] = []
        for record_id in _items(request.body, "ids"):
            try:
                results.append({"id": record_id, "deal": self._read(record_id, request)})
            except RefusalError as refusal:
                results.append({"id": record_id, **refusal.payload})
        return json_response(207, {"results": results})


def _checked(body: Json) -> dict[str, Any]:
    """Return the keys of `{"deal": {...}}` if all values are valid."""
    sent = body.get("deal") if isinstance(body, dict) else None
    if not isinstance(sent, dict) or not sent:
        raise _refused(422, "invalid", "Send an object 'deal' with at least one key")
    for key, value in sent.items():
        if key not in _BLANK:
            raise _refused(422, "unknown_field", "A deal has no such key", key)
        problem = _problem(key, value)
        if problem:
            raise _refused(422, "invalid", problem, key)
    return sent


def _problem(key: str, value: Json) -> str | None:
    if key == "stage":
        return None if value in [stage for stage, _, _ in _STAGES] else "There is no such stage"
    if key == "currency":
        return None if isinstance(value, str) and len(value) == 3 else "A currency has three letters"
    if value is None:
        return None
    if key == "amount":
        is_number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
        return None if is_number and value >= 0 else "An amount is a number that is not negative"
    if not isinstance(value, str):
        return "It has to be text"
    return "A date is YYYY-MM-DD" if key == "won_on" and not _is_date(value) else None


def _is_date(text: str) -> bool:
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _items(body: Json, name: str) -> list[Any]:
    items = body.get(name) if isinstance(body, dict) else None
    if not isinstance(items, list) or not 0 < len(items) <= _LARGEST:
        raise _refused(422, "invalid", f"Send a list {name!r} of 1 to {_LARGEST} items")
    return items


def _error(code: str, message: str, field: str | None = None) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **({"field": field} if field else {})}}


def _refused(status: int, code: str, message: str, field: str | None = None) -> RefusalError:
    return RefusalError(status, _error(code, message, field))


def _limit_headers(left: CallsLeft) -> dict[str, str]:
    numbers = {"limit": left.limit, "remaining": left.remaining, "reset": math.ceil(left.reset)}
    return {f"ratelimit-{name}": str(number) for name, number in numbers.items()}


ACME = SandboxApi(
    name="acme",
    display_name="Acme CRM",
    roots=("acme",),
    base_path="/acme/v1/deals/",
    switches=AcmeSwitches,
    build=AcmeApi,
    example=lambda number: {"amount": 100 * number},
)
