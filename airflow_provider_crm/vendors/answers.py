"""Read any vendor's HTTP answer: a body that may not be JSON, texts, numbers, and statuses."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_crm.exceptions import (
    AuthenticationError,
    ConfigurationError,
    CrmError,
    RateLimitedError,
    RejectedError,
    TransientError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json, Record
    from airflow_provider_crm.vendors.response import HttpResponse

FOREIGN_ANSWER = "FOREIGN_ANSWER"
"""Code of an error below 500 whose body is not in the vendor's shape: a proxy, a gateway or another host answered."""

_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
_TITLE = re.compile(rb"<title[^>]*>([^<]{1,1000})", re.IGNORECASE)
_TEXT_LENGTH, _NAME_LENGTH = 300, 80
_WORD = re.compile(r"[!-~]+", re.ASCII)
_PAGE_HEAD = 20_000
_DEEPEST = 50
_NESTED = frozenset({dict, list})
# NaN and Infinity, which JSON does not have, are read as text: they equal no number and no missing value.
_DECODER = json.JSONDecoder(parse_constant=str)
_NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")


def body_of(response: HttpResponse) -> Json:
    """Return the JSON body; None for an empty body and for anything else (a proxy's HTML page, a cut answer)."""
    try:
        text = _json_text(response)
        body: Json = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    may_be_deep = text.count("[") + text.count("{") > _DEEPEST
    return None if may_be_deep and _is_deep(body) else body


def _json_text(response: HttpResponse) -> str:
    """Decode as UTF-8, like all JSON; else in the charset that the answer names."""
    try:
        return response.content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return response.text


def _is_deep(body: Json) -> bool:
    """Return whether a body is nested deeper than any record: reading it takes recursion."""
    level: list[Any] = [body] if type(body) in _NESTED else []
    depth = 1
    while level and depth <= _DEEPEST:
        depth += 1
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in _NESTED
        ]
    return bool(level)


def member(body: Json, key: str) -> Json:
    """Return one member of a JSON object; None if the body is no object or lacks it."""
    return body.get(key) if isinstance(body, dict) else None


def items_of(value: Json) -> list[Json]:
    """Return the items of a JSON array; none if the value is something else."""
    return value if isinstance(value, list) else []


def objects_of(value: Json) -> list[Record]:
    """Return the objects in a JSON array."""
    return [item for item in items_of(value) if isinstance(item, dict)]


def text_of(value: Json) -> str:
    """Return a vendor's message as one line of at most 300 characters that logs and databases can hold."""
    if type(value) is str and len(value) <= _TEXT_LENGTH and _WORD.fullmatch(value):  # an id, as nearly always
        return value
    return _NO_TEXT.sub("\ufffd", " ".join(str(value).split())[:_TEXT_LENGTH]) if value not in (None, "") else ""


def number_of(value: object) -> float | None:
    """Read a plain number in a header or body, finite and not negative; None for anything else."""
    if isinstance(value, str):
        value = value.strip() if _NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if 0 <= number < math.inf else None


def exact_number(value: object) -> Decimal | None:
    """Read a number of a JSON body, also as text, as a decimal; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        return None
    return number if number.is_finite() else None


_BY_STATUS: Mapping[int, type[CrmError]] = {
    HTTPStatus.UNAUTHORIZED: AuthenticationError,
    HTTPStatus.PAYMENT_REQUIRED: ConfigurationError,
    HTTPStatus.FORBIDDEN: AuthenticationError,
    HTTPStatus.METHOD_NOT_ALLOWED: ConfigurationError,
    HTTPStatus.REQUEST_TIMEOUT: TransientError,
    HTTPStatus.CONFLICT: TransientError,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: ConfigurationError,
    HTTPStatus.MISDIRECTED_REQUEST: TransientError,
    HTTPStatus.LOCKED: TransientError,
    HTTPStatus.TOO_EARLY: TransientError,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimitedError,
}


def error_class(status: int) -> type[CrmError]:
    """Return what a status means in an answer of the vendor itself: stop, wait, or give up this row.

    A conflict (409) and a lock (423) are temporary: another program is writing the record at this moment.
    """
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return TransientError
    return RejectedError if status >= HTTPStatus.BAD_REQUEST else ConfigurationError


def refusal_text(title: str, status: int, *, code: str, message: str, fields: Mapping[str, str]) -> str:
    """Build the sentence that reports a refusal: `Close answered 400 VALIDATION: text (value: must be ...)`."""
    answer = " ".join(part for part in (f"{title} answered {status}", code) if part)
    details = "; ".join(f"{name}: {text}" for name, text in fields.items())
    text = ": ".join(part for part in (answer, message) if part)
    return f"{text} ({details})." if details else f"{text.rstrip('.')}."


def foreign_error(vendor: Vendor, response: HttpResponse, *, quoted: bool = True) -> TransientError:
    """Return the error for an answer that is not in the vendor's own shape.

    A proxy, a gateway or another server has sent it, so it says nothing about the row or the key. The call did not
    reach the vendor, and can succeed later. A 429 is a refusal by a rate limit, even one of a proxy.

    Args:
        vendor: The vendor that should have answered.
        response: The answer, of any status.
        quoted: Whether its title or message may be repeated; not where it may echo a secret that was sent.
    """
    status, described = response.status_code, _described(response, quoted=quoted)
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        message = f"{vendor.display_name} answered {status} with {described}."
        return _transient_class(status)(message, vendor=vendor.name, status=status, code=f"HTTP_{status}")
    host = urlsplit(response.url or "").netloc or f"The host of {vendor.display_name}"
    message = (
        f"{host} answered {status} with {described}, which is no answer of {vendor.display_name}: a proxy or gateway "
        "on the way has given it, or the connection's host is wrong."
    )
    return TransientError(message, vendor=vendor.name, status=status, code=FOREIGN_ANSWER)


def _transient_class(status: int) -> type[TransientError]:
    return RateLimitedError if status == HTTPStatus.TOO_MANY_REQUESTS else TransientError


def _described(response: HttpResponse, *, quoted: bool) -> str:
    """Describe an answer that is not the vendor's by title, message and server, which help to find its sender."""
    body, headers = body_of(response), response.headers
    page = _TITLE.search(response.content[:_PAGE_HEAD])
    text = page[1].decode("utf-8", "replace") if page else member(body, "message") or member(body, "error")
    name = text_of(text)[:_NAME_LENGTH] if quoted and isinstance(text, str) else ""
    kind = text_of(headers.get("Content-Type", "").partition(";")[0])[:_NAME_LENGTH] or "no content type"
    what = "an empty body" if not response.content else f"a body of {kind}"
    server = text_of(headers.get("Server", ""))[:_NAME_LENGTH]
    return "".join((what, f' that says "{name}"' if name else "", f" from server {server}" if server else ""))


def record_error(title: str, response: HttpResponse) -> TransientError:
    """Build the error for a 2xx answer without a record: a proxy's page or a cut body. The write may have landed."""
    kind = text_of(response.headers.get("Content-Type", "")) or "no content type"
    return TransientError(
        f"{title} answered {response.status_code} without a record ({kind}, {len(response.content)} bytes).",
        status=response.status_code,
        code="NO_RECORD",
    )


def json_of(title: str, response: HttpResponse) -> Json:
    """Return the JSON body of a 2xx answer.

    Raises:
        TransientError: If it is something else.
    """
    body = body_of(response)
    if body is None:
        raise record_error(title, response)
    return body
