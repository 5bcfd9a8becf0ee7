"""The ASGI application: it reads a call, lets the vendor answer it, acts out the fault, and writes the audit."""

from __future__ import annotations

from dataclasses import replace
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_crm.sandbox.web_pages import refused_to_pages
from airflow_provider_crm.sandbox.wire import Request, Response, parse_body, parse_query, split_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping
    from contextlib import AbstractContextManager

    from airflow_provider_crm.sandbox.api import ServedApi
    from airflow_provider_crm.sandbox.audit import Audit
    from airflow_provider_crm.sandbox.clock import SandboxClock
    from airflow_provider_crm.sandbox.faults import Fault, FaultPlan
    from airflow_provider_crm.sandbox.switches import Panel

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_PAGE = b"<!DOCTYPE html><html><head><title>Sandbox</title></head><body><h1>This is not the API</h1></body></html>"


class Link(Protocol):
    """The server, as far as the application needs it: connections and time."""

    async def pause(self, seconds: float) -> None:
        """Wait in real time, but no longer than the server runs."""

    def reset(self, client: tuple[str, int]) -> None:
        """Cut a connection with a TCP reset."""

    def hang_up(self, client: tuple[str, int]) -> None:
        """Close a connection after what was written so far."""


class App:
    """APIs, each by its roots, and the control routes behind one port."""

    def __init__(
        self,
        *,
        apis: Mapping[str, ServedApi],
        roots: Mapping[str, str],
        control: Callable[[Request], Response],
        audit: Audit,
        clock: SandboxClock,
        panel: Panel,
        plan: FaultPlan,
        lock: AbstractContextManager[Any],
    ) -> None:
        self._apis = apis
        self._roots = roots
        self._control = control
        self._audit = audit
        self._clock = clock
        self._panel = panel
        self._plan = plan
        self._lock = lock
        self.link: Link | None = None
        """Set by the server before the first call."""

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request (ASGI)."""
        raw = await _read(receive)
        request = self._request(scope, raw)
        if (refused := refused_to_pages(request)) is not None:
            await self._send(send, refused)
            return
        if not request.vendor:
            with self._lock:
                response = self._control(request)
            await self._send(send, response)
            return
        fault = self._fault(request)
        if fault is not None and fault.kind == "late":
            await self._link.pause(self._panel.current.slow_seconds)
            request = replace(request, at=self._clock.now())
        with self._lock:
            response = self._answer(request, fault)
            status = None if fault is not None and fault.kind == "reset" else response.status
            name = None if fault is None else fault.name
            self._audit.record(request, status=status, fault=name, changes=response.changes)
        await self._deliver(scope["client"], send, response, fault)

    @property
    def _link(self) -> Link:
        if self.link is None:
            message = "The application needs a link to its server."
            raise RuntimeError(message)
        return self.link

    def _request(self, scope: Mapping[str, Any], raw: bytes) -> Request:
        path = scope["raw_path"].decode("latin-1")
        segments = split_path(path)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body, malformed = parse_body(raw)
        raw_query = scope["query_string"].decode("latin-1")
        return Request(
            vendor=self._roots.get(segments[0], ""),
            method=scope["method"],
            path=path,
            segments=segments,
            query=parse_query(raw_query) if raw_query else {},
            headers=headers,
            raw=raw,
            body=body,
            malformed=malformed,
            at=self._clock.now(),
            raw_query=raw_query,
        )

    def _fault(self, request: Request) -> Fault | None:
        switches = self._panel.current
        rated = switches.fault_rates
        if switches.fault_methods is not None and request.method not in switches.fault_methods:
            rated = {}
        if switches.fault_vendors is not None and request.vendor not in switches.fault_vendors:
            rated = {}
        with self._lock:
            return self._plan.choose(request.vendor, request.method, request.path, rates=rated)

    def _answer(self, request: Request, fault: Fault | None) -> Response:
        """Let the vendor answer, unless the fault comes first, then put the fault's answer in its place."""
        api = self._apis[request.vendor]
        if fault is None:
            return api.handle(request)
        request = replace(request, ignored=fault.kind == "ignore", stale=fault.kind == "stale")
        response = api.handle(request) if fault.applied else Response(status=0)
        if fault.kind == "http":
            return replace(api.fault(fault, request), changes=response.changes)
        if fault.kind == "html":
            return Response(status=fault.status, body=_PAGE, content_type="text/html", changes=response.changes)
        if fault.kind == "redirect":
            target = self._panel.current.redirect_to or f"http://localhost:{_port(request)}{request.path}"
            return Response(status=fault.status, headers={"location": target})
        return response

    async def _deliver(self, client: tuple[str, int], send: Send, response: Response, fault: Fault | None) -> None:
        kind = None if fault is None else fault.kind
        if kind == "reset":
            self._link.reset(client)
            return
        if kind == "slow":
            await self._link.pause(self._panel.current.slow_seconds)
        await self._send(send, response, cut=kind == "truncated")
        if kind == "truncated":
            self._link.hang_up(client)

    async def _send(self, send: Send, response: Response, *, cut: bool = False) -> None:
        """Send an answer. A cut one announces its whole length and stops half-way."""
        headers = [
            (b"date", format_datetime(self._clock.now(), usegmt=True).encode()),
            (b"content-type", response.content_type.encode()),
            (b"content-length", str(len(response.body)).encode()),
        ]
        headers += [(name.encode(), value.encode("latin-1")) for name, value in response.headers.items()]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        body = response.body[: len(response.body) // 2] if cut else response.body
        await send({"type": "http.response.body", "body": body, "more_body": cut})


async def _read(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


def _port(request: Request) -> str:
    return request.headers.get("host", "").rpartition(":")[2]
