"""Bound the answers of a vendor's server: the time from the request to the last byte, and the bytes.

The timeouts of `requests`, urllib3 and `http.client` apply to each part of an answer, so a server that sends a byte now
and then is never given up. Here the bound is checked where the bytes of the socket are read. So it applies to status
line and headers, to informational answers, to sizes of chunks and trailers, and to a proxy's answer to CONNECT.
"""

# ruff: noqa: ANN401 - the methods that override those of requests and urllib3 have their arguments

from __future__ import annotations

import http.client
import io
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse


_PLAIN_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*(:\d+)?")
_DEFAULT_PORTS = (80, 443)


class Bounds(NamedTuple):
    """The bounds of one answer.

    Attributes:
        seconds: From the request until the last byte; and as long for making the connection.
        size: Bytes, as they are sent and as they are decoded.
    """

    seconds: float
    size: int


class AnswerTooLargeError(Exception):
    """An answer has more bytes than its bounds allow."""


_BOUNDS: ContextVar[Bounds | None] = ContextVar("bounds of answers", default=None)


@contextmanager
def bounded(bounds: Bounds) -> Iterator[None]:
    """Bound the answers to requests that are sent in this context; those to others have the usual timeouts only."""
    reset = _BOUNDS.set(bounds)
    try:
        yield
    finally:
        _BOUNDS.reset(reset)


class _BoundedReader(io.RawIOBase):
    """A reader of the socket of one answer, whose first bytes may have been read before."""

    def __init__(self, sock: socket.socket, bounds: Bounds, begin: bytes, ends_at: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._ends_at = ends_at
        self._begin = begin
        self._left = bounds.size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read the bytes that are there, waiting for some until the time is over."""
        if self._begin:
            count = min(len(buffer), len(self._begin))
            buffer[:count], self._begin = self._begin[:count], self._begin[count:]
            self._left -= count
            return count
        seconds = self._ends_at - time.monotonic()
        if seconds <= 0:
            msg = "the time for the whole answer is over"
            raise TimeoutError(msg)
        if self._left < 0:
            raise AnswerTooLargeError
        self._sock.settimeout(seconds)
        received = self._raw.readinto(buffer)
        self._left -= received or 0
        return received

    def close(self) -> None:
        """Give the socket back: it is closed when its connection has closed it, too."""
        self._raw.close()
        super().close()


class BoundedSocket:
    """The part of a socket that `http.client` needs to read an answer.

    Args:
        sock: The socket.
        bounds: The bounds of the answer.
        begin: Bytes of the answer that were read already.
        ends_at: Monotonic seconds until which it may be read.
    """

    def __init__(self, sock: socket.socket, bounds: Bounds, begin: bytes, ends_at: float) -> None:
        self._sock = sock
        self._bounds = bounds
        self._begin = begin
        self._ends_at = ends_at

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the bytes of the answer."""
        return io.BufferedReader(_BoundedReader(self._sock, self._bounds, self._begin, self._ends_at))


class _BoundedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        bounds = _BOUNDS.get()
        ends_at = time.monotonic() + bounds.seconds if bounds is not None else 0.0
        source: Any = sock if bounds is None else BoundedSocket(sock, bounds, b"", ends_at)
        super().__init__(source, *args, **kwargs)


class BoundedConnection:
    """A mark of urllib3's own connections, to which this module has added bounds."""

    sock: socket.socket | None


@cache
def _bounded_class(connection_class: Any) -> Any:
    """Return a class of connections with bounds; a class that a test put in place of urllib3's, as it is."""
    if connection_class.__module__ != "urllib3.connection":
        return connection_class

    class Connection(connection_class, BoundedConnection):  # type: ignore[misc]
        response_class = _BoundedResponse

        def connect(self) -> None:
            """Connect, to all addresses of the host in turn and with the handshakes, within the timeout of one."""
            began, bounds = time.monotonic(), _BOUNDS.get()
            super().connect()
            if bounds is not None and time.monotonic() - began > bounds.seconds:
                self.close()  # a call sent now could land after its time was over
                msg = f"connecting to {self.host} took more than {bounds.seconds:g} seconds"
                raise ConnectTimeoutError(self, msg)

    return Connection


class _Pool(HTTPConnectionPool):
    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802 - urllib3's name
        """The class of connections, chosen for each of them, so that a test can put another in place of urllib3's."""
        return _bounded_class(HTTPConnectionPool.ConnectionCls)


class _TlsPool(HTTPSConnectionPool):
    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802 - urllib3's name
        """The class of connections, chosen for each of them."""
        return _bounded_class(HTTPSConnectionPool.ConnectionCls)


_POOLS = {"http": _Pool, "https": _TlsPool}


def _host_header(origin: str) -> str | None:
    parts = urlsplit(origin)
    return parts.netloc if _PLAIN_HOST.fullmatch(parts.netloc) and parts.port not in _DEFAULT_PORTS else None


class _OriginRoute(NamedTuple):
    """The route of requests to the own origin, as long as the session's settings do not change."""

    verify: Any
    cert: Any
    proxies: dict[str, str]
    pool: HTTPConnectionPool
    prefix: str


class Adapter(HTTPAdapter):
    """The adapter of one account: with its timeout on every request that names none, and without cookies.

    `requests` determines proxy, certificates and pool again for each request. They are the same for all requests to the
    origin, so they are determined once here.

    Args:
        origin: Scheme, host and port of most calls, as `requests` writes it.
        timeout: Seconds.
        pool_size: Maximum number of connections that are kept.
    """

    def __init__(self, origin: str, timeout: float, pool_size: int) -> None:
        self._origin = f"{origin}/"
        self._host_header = _host_header(origin)
        self._timeout = timeout
        self._route: _OriginRoute | None = None
        super().__init__(pool_connections=1, pool_maxsize=pool_size)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make pools of connections that have bounds."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Make pools of bounded connections for a proxy; those of a SOCKS proxy are its library's own."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send as `requests` does, with a timeout."""
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self._timeout
        return super().send(request, *args, **kwargs)

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> HTTPConnectionPool:
        """Return the pool for a request."""
        route, own = self._route, (request.url or "").startswith(self._origin)
        if own and route is not None and (route.verify, route.cert, route.proxies) == (verify, cert, proxies or {}):
            return route.pool
        made = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        pool = cast("HTTPConnectionPool", made)
        if own:
            super().cert_verify(pool, request.url, verify, cert)  # type: ignore[no-untyped-call, unused-ignore]
            url = super().request_url(request, proxies)
            prefix = self._origin if url.startswith("http") else "/"
            self._route = _OriginRoute(verify, cert, dict(proxies or {}), pool, prefix)
        return pool

    def cert_verify(self, conn: Any, *args: Any) -> None:
        """Set the certificates of a pool, unless that was done when it was chosen."""
        if self._route is None or conn is not self._route.pool:
            super().cert_verify(conn, *args)  # type: ignore[no-untyped-call, unused-ignore]

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """Return the path, or for a plain proxy the whole address."""
        url, route = request.url or "", self._route
        known = route is not None and route.proxies == (proxies or {}) and url.startswith(self._origin)
        if route is not None and known and "#" not in url:
            return route.prefix + url.removeprefix(self._origin)
        return super().request_url(request, proxies)

    def direct_route(
        self, request: requests.PreparedRequest, session: requests.Session
    ) -> tuple[HTTPConnectionPool, str] | None:
        """Return the pool of connections to the origin and their `Host` header, if no proxy is on the way.

        Args:
            request: The request.
            session: Its session, with its settings.

        Returns:
            None also before the first request, and for a host that `http.client` writes in its own way.
        """
        route, host = self._route, self._host_header
        if route is None or host is None or route.pool.proxy is not None:
            return None
        settings = session.verify, session.cert, session.proxies
        same = (route.verify, route.cert, route.proxies) == settings and (request.url or "").startswith(self._origin)
        return (route.pool, host) if same else None

    def close(self) -> None:
        """Close the pools; the next request makes new ones."""
        self._route = None
        super().close()  # type: ignore[no-untyped-call, unused-ignore]

    def build_response(self, req: requests.PreparedRequest, resp: BaseHTTPResponse) -> requests.Response:
        """Return the answer without its cookies, which are not kept here."""
        response = requests.Response()
        response.status_code = resp.status
        response.headers = requests.structures.CaseInsensitiveDict(resp.headers)
        response.encoding = requests.utils.get_encoding_from_headers(response.headers)
        response.raw = resp
        response.reason = resp.reason or ""
        response.url = req.url or ""
        response.request = req
        response.connection = self
        return response
