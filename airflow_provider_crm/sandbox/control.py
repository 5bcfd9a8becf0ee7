"""The control routes under `/sandbox/`, for use from other processes. They are neither limited nor audited.

| call | effect |
|---|---|
| `GET /sandbox/` | what the sandbox is, its switches and its time |
| `GET /sandbox/audit`, `DELETE /sandbox/audit` | counts by vendor and method, writes in order; forget them |
| `PUT /sandbox/switches`, `DELETE /sandbox/switches` | set some; put all back |
| `POST /sandbox/script` | `{"vendor", "method", "path", "faults": [...]}` |
| `PUT /sandbox/clock` | `{"now": "2026-03-08T12:00:00Z"}`, or null for real time |
| `POST /sandbox/{vendor}/opportunities` | add one, or a list of them |
| `GET /sandbox/{vendor}/opportunities/{id}` | the full record |
"""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.api import CONTROL_ROOT
from airflow_provider_crm.sandbox.wire import Json, Request, Response, json_response, parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_crm.sandbox.state import SandboxState


class Control:
    """The control routes of one sandbox."""

    def __init__(self, sandbox: SandboxState, url: Callable[[], str]) -> None:
        self._sandbox = sandbox
        self._url = url
        self._routes: dict[tuple[str, str], Callable[[Json], Json]] = {
            ("GET", ""): self._describe,
            ("GET", "audit"): lambda _: sandbox.audit.summary(),
            ("DELETE", "audit"): lambda _: sandbox.audit.clear(),
            ("PUT", "switches"): lambda body: sandbox.set(**body),
            ("DELETE", "switches"): lambda _: sandbox.reset_switches(),
            ("POST", "script"): lambda body: {"left": sandbox.script(**body).left},
            ("PUT", "clock"): self._set_clock,
        }

    def __call__(self, request: Request) -> Response:
        """Answer one control call; a 400 says what is wrong with it."""
        parts = tuple(part for part in request.segments if part)
        if parts[:1] != (CONTROL_ROOT,):
            return json_response(HTTPStatus.NOT_FOUND, {"error": f"No vendor here has {request.path}. See /sandbox/."})
        if request.malformed is not None:
            return json_response(HTTPStatus.BAD_REQUEST, {"error": request.malformed})
        try:
            return json_response(HTTPStatus.OK, self._answer(request, parts[1:]) or {})
        except LookupError as error:
            return json_response(
                HTTPStatus.NOT_FOUND, {"error": f"There is no {request.method} {request.path} ({error})"}
            )
        except (ValueError, TypeError) as error:
            return json_response(HTTPStatus.BAD_REQUEST, {"error": str(error)})

    def _answer(self, request: Request, parts: tuple[str, ...]) -> Json:
        match (request.method, *parts):
            case ("POST", vendor, "opportunities"):
                account, body = self._sandbox.account(vendor), request.body
                if isinstance(body, list):
                    return [account.add_opportunity(**one) for one in body]
                return account.add_opportunity(**(body or {}))
            case ("GET", vendor, "opportunities", record_id):
                return self._sandbox.account(vendor).opportunity(record_id)
        return self._routes[request.method, "/".join(parts)](request.body)

    def _set_clock(self, body: dict[str, Any]) -> dict[str, Any]:
        now = body["now"]
        self._sandbox.clock.set(None if now is None else parse_instant(now))
        return {"now": self._sandbox.clock.now()}

    def _describe(self, _body: object) -> dict[str, Any]:
        sandbox, url = self._sandbox, self._url()
        switches = {
            name: sorted(value) if isinstance(value, frozenset) else value
            for name, value in asdict(sandbox.switches).items()
        }
        apis = {
            name: {"url": url + api.base_path, "opportunities": len(sandbox.account(name).records.ids())}
            for name, api in sandbox.apis.items()
        }
        return {
            "name": f"A local {sandbox.display_names}",
            **apis,
            "now": sandbox.clock.now(),
            "switches": switches,
            "control": [line.strip() for line in (__doc__ or "").splitlines() if line.startswith("| `")],
        }
