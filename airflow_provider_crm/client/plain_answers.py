"""Read an answer of plain form from its bytes: whole, short, and written as servers mostly do it."""

from __future__ import annotations

import datetime as dt
import re
import zlib
from functools import cached_property
from http import HTTPStatus

import requests
from requests.cookies import RequestsCookieJar

from airflow_provider_crm.client.quick_headers import QuickHeaders

_HEAD = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) ([ -~]*)\r\n((?:[!-9;-~]+:[\t -~\x80-\xff]*\r\n){1,99})\r\n")
_HEADER = re.compile(r"([^:]+):[\t ]*([^\r]*)\r\n")
_LENGTH = re.compile(r"\d{1,5}", re.ASCII)
_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,5})\r\n")
_CUT_SIZE = re.compile(rb"[0-9A-Fa-f]{1,5}\r?")
_LINE_END, _LAST_CHUNK = b"\r\n", b"0\r\n\r\n"


class PlainAnswer(requests.Response):
    """An answer that was read at once; what only few readers ask for is made when they do.

    Args:
        request: Its request.
        status: HTTP status.
        reason: The text after it.
        headers: The headers.
        body: The body.
    """

    def __init__(
        self, request: requests.PreparedRequest, status: int, reason: str, headers: QuickHeaders, body: bytes
    ) -> None:
        self.request = request
        self.url = request.url or ""
        self.status_code = status
        self.reason = reason
        self.headers = headers
        self.raw = None
        self._content, self._content_consumed = body, True
        self._next = None

    @cached_property
    def encoding(self) -> str | None:  # type: ignore[override]
        """The charset that the answer names."""
        return requests.utils.get_encoding_from_headers(self.headers)

    @cached_property
    def cookies(self) -> RequestsCookieJar:  # type: ignore[override]
        """No cookie: none are kept."""
        return RequestsCookieJar()

    @cached_property
    def history(self) -> list[requests.Response]:  # type: ignore[override]
        """No redirect: none are followed."""
        return []

    @cached_property
    def elapsed(self) -> dt.timedelta:  # type: ignore[override]
        """No time: it is not measured, as for other answers to this package."""
        return dt.timedelta()


def goes_on(begin: bytes) -> bool:
    """Return whether these are whole headers, and a part of a body that is not long."""
    head = _HEAD.match(begin)
    if head is None:
        return False
    headers, body = _headers(head[3].decode("latin-1")), begin[head.end() :]
    if "chunked" in headers.get("transfer-encoding", ""):
        return _is_cut(_chunks(body)[1])
    length = headers.get("content-length", "")
    return _LENGTH.fullmatch(length) is not None and len(body) < int(length)


def plain_answer(request: requests.PreparedRequest, answer: bytes, size: int) -> PlainAnswer | None:
    """Return the answer if these bytes are all of it, and it leaves the connection open; else None.

    Args:
        request: Its request.
        answer: Its bytes so far.
        size: Bytes of the body at most, as it is sent and as it is decoded.
    """
    head = _HEAD.match(answer)
    if head is None:
        return None
    status, headers = int(head[1]), _headers(head[3].decode("latin-1"))
    if status in _WITHOUT_BODY or headers.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    body = _body(headers, answer[head.end() :], size)
    return None if body is None else PlainAnswer(request, status, head[2].decode().strip(), headers, body)


def _body(headers: QuickHeaders, sent: bytes, size: int) -> bytes | None:
    """Return the decoded body; None if it is not whole, too large, or written in another way than most are."""
    framing, length = headers.get("transfer-encoding"), headers.get("content-length", "")
    if framing is None:
        body = sent if _LENGTH.fullmatch(length) and int(length) == len(sent) else None
    else:
        body = _of_chunks(sent) if framing == "chunked" and not length else None
    encoding = headers.get("content-encoding")
    if body is not None and encoding is not None:
        body = _unpacked(body, size) if encoding == "gzip" else None
    return None if body is None or len(body) > size else body


def _of_chunks(sent: bytes) -> bytes | None:
    """Return the body of which these are all chunks, without trailers; else None."""
    body, rest = _chunks(sent)
    return body if rest == _LAST_CHUNK else None


def _chunks(sent: bytes) -> tuple[bytes, bytes]:
    """Return the content of the whole chunks, and what follows them."""
    body, at = b"", 0
    while (chunk := _CHUNK.match(sent, at)) is not None and (size := int(chunk[1], 16)):
        end = chunk.end() + size
        if sent[end : end + len(_LINE_END)] != _LINE_END:
            break
        body += sent[chunk.end() : end]
        at = end + len(_LINE_END)
    return body, sent[at:]


def _is_cut(rest: bytes) -> bool:
    """Return whether bytes are the beginning of a chunk, or of the last one without trailers."""
    chunk = _CHUNK.match(rest)
    if chunk is None or not int(chunk[1], 16):
        return rest != _LAST_CHUNK and (_LAST_CHUNK.startswith(rest) or _CUT_SIZE.fullmatch(rest) is not None)
    sent = rest[chunk.end() :]
    missing = int(chunk[1], 16) - len(sent)
    return missing > -len(_LINE_END) and (missing >= 0 or sent.endswith(_LINE_END[:1]))


def _unpacked(packed: bytes, size: int) -> bytes | None:
    """Return what was packed by gzip; None if that is not whole, or larger than so many bytes."""
    unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        body = unpacking.decompress(packed, size + 1)
    except zlib.error:
        return None
    return body if unpacking.eof and not unpacking.unused_data else None


def _headers(lines: str) -> QuickHeaders:
    """Read header lines; the values of one name are joined, as urllib3 does it."""
    headers: dict[str, tuple[str, str]] = {}
    for name, value in _HEADER.findall(lines):
        key = name.lower()
        headers[key] = (headers[key][0], f"{headers[key][1]}, {value}") if key in headers else (name, value)
    return QuickHeaders(headers)
