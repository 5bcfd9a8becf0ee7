"""Exchange a request and its answer over a connection that is open already, without the layers of `requests`.

Those layers take more time than all other work on a row. Most calls need none of them: the connection is open, no proxy
is on the way, and the answer is short, plain and complete at the first look. Whatever is not so plain is left to
`http.client` and urllib3, which then read the very same bytes: a body in chunks or packed, a long body, a connection
that was cut, and anything that may be no HTTP.
"""

from __future__ import annotations

import http.client
import logging
import re
import ssl
import time
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.exceptions import ProtocolError, ReadTimeoutError, SSLError

from airflow_provider_crm.client.connections import BoundedConnection, BoundedSocket
from airflow_provider_crm.client.plain_answers import goes_on, plain_answer

if TYPE_CHECKING:
    import socket

    import requests
    from urllib3 import HTTPConnectionPool

    from airflow_provider_crm.client.connections import Bounds
    from airflow_provider_crm.client.plain_answers import PlainAnswer

_AT_ONCE = 65_536  # bytes
_PARTS = 3
_SENT_HEADERS = re.compile(r"(?:[!-9;-~]+: [\t -~\x80-\xff]*\r\n)*")
_TARGET = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]+|%[0-9A-F]{2})*")  # which urllib3 sends as it is
_log = logging.getLogger("urllib3.connectionpool")


def exchange(
    pool: HTTPConnectionPool, host: str, request: requests.PreparedRequest, bounds: Bounds
) -> PlainAnswer | HTTPResponse | None:
    """Send a request over a connection of the pool that is open.

    Args:
        pool: The connections to the server, with no proxy in between.
        host: The `Host` header.
        request: The signed request.
        bounds: The bounds of the answer.

    Returns:
        The answer, or one whose body is not read yet; None if nothing was sent: no connection is open, or the request
        is not as usual.

    Raises:
        urllib3.exceptions.HTTPError: There is no answer, as urllib3 reports it.
        AnswerTooLargeError: The answer has more bytes than its bounds allow.
    """
    message = _message(request, host)
    if message is None or _log.isEnabledFor(logging.DEBUG):  # urllib3 logs its calls then
        return None
    connection: Any = pool._get_conn()  # noqa: SLF001 - a pool has no other way to its connections
    if not _is_open(connection):
        pool._put_conn(connection)  # noqa: SLF001
        return None
    try:
        return _answer(pool, connection, request, message, bounds)
    except BaseException as err:
        connection.close()
        pool._put_conn(None)  # noqa: SLF001 - the place of the connection
        reported = _as_urllib3_reports(err, pool)
        if reported is err:
            raise
        raise reported from err


def _is_open(connection: object) -> bool:
    return isinstance(connection, BoundedConnection) and connection.sock is not None


def _message(request: requests.PreparedRequest, host: str) -> bytes | None:
    """Return the bytes that urllib3 would send; None for a request that it would complete or refuse."""
    headers, body, target = request.headers.items(), request.body, f"/{(request.url or '').split('/', 3)[-1]}"
    if not _are_complete(tuple([name for name, _ in headers]), with_body=body is not None):
        return None
    try:
        lines = "".join([part for name, value in headers for part in (name, ": ", value, "\r\n")])
        if not (_SENT_HEADERS.fullmatch(lines) and _TARGET.fullmatch(target)):
            return None
        head = f"{request.method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode("latin-1")
    except (TypeError, UnicodeEncodeError):
        return None
    if body is None:
        return head if request.method == "GET" else None
    return head + body if isinstance(body, bytes) else None


@lru_cache(maxsize=64)
def _are_complete(names: tuple[str, ...], *, with_body: bool) -> bool:
    """Return whether urllib3 would add no header to these but `Host`."""
    given = {name.lower() for name in names}
    needed = {"user-agent", "accept-encoding", *(("content-length",) if with_body else ())}
    return needed <= given and given.isdisjoint(("host", "transfer-encoding"))


def _answer(
    pool: HTTPConnectionPool,
    connection: Any,  # noqa: ANN401 - a `BoundedConnection` of urllib3
    request: requests.PreparedRequest,
    message: bytes,
    bounds: Bounds,
) -> PlainAnswer | HTTPResponse:
    """Send, and read the answer, or its head only if it is not plain."""
    sock, ends_at = connection.sock, time.monotonic() + bounds.seconds
    sock.settimeout(bounds.seconds)
    with suppress(BrokenPipeError, ConnectionResetError):  # the server may have answered before it had read it all
        sock.sendall(message)
    begin = sock.recv(_AT_ONCE)
    plain = plain_answer(request, begin, bounds.size)
    if plain is None and goes_on(begin):
        begin += _rest(sock, begin, ends_at)
        plain = plain_answer(request, begin, bounds.size)
    if plain is not None:
        pool._put_conn(connection)  # noqa: SLF001
        return plain
    source: Any = BoundedSocket(sock, bounds, begin, ends_at)
    original = http.client.HTTPResponse(source, method=request.method)
    try:
        original.begin()
    except BaseException:
        original.close()
        raise
    if original.will_close:
        connection.close()  # the answer keeps its socket
    return HTTPResponse(
        body=original,
        headers=HTTPHeaderDict(original.msg.items()),
        status=original.status,
        version=original.version,
        reason=original.reason,
        preload_content=False,
        decode_content=False,
        original_response=original,
        pool=pool,
        connection=connection,
        enforce_content_length=True,
        request_method=request.method,
    )


def _rest(sock: socket.socket, begin: bytes, ends_at: float) -> bytes:
    """Return some of the parts that follow the first one of a short answer, up to its end if it comes in a few."""
    rest = b""
    for _ in range(_PARTS):
        seconds = ends_at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        sock.settimeout(seconds)
        part = sock.recv(_AT_ONCE)
        rest += part
        if not part or not goes_on(begin + rest):
            break
    return rest


def _as_urllib3_reports(err: BaseException, pool: HTTPConnectionPool) -> BaseException:
    """Return the error that urllib3 makes of one of the socket or of `http.client`."""
    if isinstance(err, ssl.SSLError) and not isinstance(err, TimeoutError):
        return SSLError(err)
    if isinstance(err, TimeoutError):
        return ReadTimeoutError(pool, "", "Read timed out.")
    if isinstance(err, (OSError, http.client.HTTPException)):
        return ProtocolError("Connection aborted.", err)
    return err
