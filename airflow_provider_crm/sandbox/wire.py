"""Requests, responses, and JSON with exact decimals."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = Any
"""Any value of JSON, or a value to be written as JSON."""

JSON_TYPE = "application/json"
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}.*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One call as it came over the wire.

    `path` keeps its percent-encoding; `segments` are its parts, each decoded exactly once, so an encoded slash
    stays inside its segment. `malformed` says why the body is no JSON; `body` is the parsed JSON, with fractions as
    `Decimal`. Of a name that the query repeats, `query` has the last value; `raw_query` is the text of the query.
    `stale` and `ignored` are faults that the handler itself has to act out.
    """

    vendor: str
    method: str
    path: str
    segments: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw: bytes
    body: Json
    malformed: str | None
    at: datetime
    raw_query: str = ""
    stale: bool = False
    ignored: bool = False

    @property
    def content_type(self) -> str:
        """Return the media type of the body in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, kw_only=True, slots=True)
class AppliedChange:
    """The effect of an applied write on one record, with the values as they were sent."""

    record_id: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """One answer, with the changes that the call made, one for each record."""

    status: int
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    changes: tuple[AppliedChange, ...] = ()


class RefusalError(Exception):
    """Refusal of a call, with its status and JSON payload."""

    def __init__(self, status: int, payload: Json, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, payload)
        self.status = status
        self.payload = payload
        self.headers = headers or {}


def split_path(raw_path: str) -> tuple[str, ...]:
    """Split a raw path at its literal slashes and decode each part once: `/a%2Fb/` gives `("a/b", "")`."""
    return tuple(unquote(part) for part in raw_path.split("/")[1:])


def parse_query(raw_query: str) -> dict[str, str]:
    """Read a query string; of a repeated name the last value counts."""
    return dict(parse_qsl(raw_query, keep_blank_values=True))


def parse_body(raw: bytes) -> tuple[Json, str | None]:
    """Read a JSON body: its value, and the error of a malformed one. An empty body is None, and well-formed."""
    if not raw:
        return None, None
    try:
        return json.loads(raw, parse_float=Decimal, parse_constant=_refuse_constant), None
    except (ValueError, RecursionError) as error:
        return None, str(error)


def encode(value: Json) -> str:  # noqa: PLR0911 - one line per type
    """Write JSON. A `Decimal` keeps all of its digits, which `json.dumps` has no way to do."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{encode(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(encode(item) for item in value) + "]"
    if isinstance(value, datetime):
        return json.dumps(value.isoformat())
    return json.dumps(value)


def json_response(
    status: int, payload: Json, *, headers: Mapping[str, str] | None = None, changes: tuple[AppliedChange, ...] = ()
) -> Response:
    """Build a JSON answer."""
    return Response(status=status, body=encode(payload).encode(), headers=headers or {}, changes=changes)


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 datetime, with `Z` or an offset or neither.

    Raises:
        ValueError: the text is no datetime.
    """
    if not _INSTANT.fullmatch(text):
        raise ValueError(f"{text!r} is not a datetime")
    return datetime.fromisoformat(text)


def parse_utc(text: str) -> datetime:
    """Read an ISO 8601 datetime; one without offset counts as UTC.

    Raises:
        ValueError: the text is no datetime.
    """
    instant = parse_instant(text)
    return instant if instant.utcoffset() is not None else instant.replace(tzinfo=UTC)


def _refuse_constant(name: str) -> None:
    message = f"{name} is not JSON"
    raise ValueError(message)
