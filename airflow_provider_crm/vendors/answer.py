"""What any vendor's HTTP answer has in common: a body that may not be JSON, ways to say "wait", and statuses."""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

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

    import requests

    from airflow_provider_crm.vendors import Json

_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
_TEXT_LENGTH = 300


def body_of(response: requests.Response) -> Json:
    """The JSON body, or None if there is none or it is something else (a proxy's HTML page, a cut answer)."""
    try:
        body: Json = response.json()
    except (ValueError, RecursionError):
        return None
    return body


def member(body: Json, key: str) -> Json:
    """One member of a JSON object; None if the body is no object or has no such member."""
    return body.get(key) if isinstance(body, dict) else None


def text_of(value: Json) -> str:
    """A vendor's message as one line of at most 300 characters."""
    return " ".join(str(value).split())[:_TEXT_LENGTH] if value not in (None, "") else ""


def number_of(value: object) -> float | None:
    """A plain number in a header or body, finite and not negative, or None."""
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
    """A number of a JSON body, also as text, as a decimal; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        return None
    return number if number.is_finite() else None


def retry_after(response: requests.Response, now: dt.datetime) -> float | None:
    """Seconds in a `Retry-After` header, which may hold seconds or an HTTP date."""
    value = response.headers.get("Retry-After", "")
    if (seconds := number_of(value)) is not None:
        return seconds
    moment = _http_date(value)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def date_of(response: requests.Response) -> dt.datetime | None:
    """The vendor's clock as its `Date` header shows it, in whole seconds; None without one."""
    return _http_date(response.headers.get("Date", ""))


def _http_date(value: str) -> dt.datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or dt.UTC)


_BY_STATUS: Mapping[int, type[CrmError]] = {
    401: AuthenticationError,
    402: ConfigurationError,
    403: AuthenticationError,
    405: ConfigurationError,
    408: TransientError,
    415: ConfigurationError,
    425: TransientError,
    429: RateLimitedError,
}


def error_class(status: int) -> type[CrmError]:
    """What a status means for the caller: stop, wait, or give up this row."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:  # noqa: PLR2004 - the HTTP classes
        return TransientError
    return RejectedError if status >= 400 else ConfigurationError  # noqa: PLR2004


def answered(title: str, status: int, *, code: str, message: str, fields: Mapping[str, str]) -> str:
    """The sentence that reports a vendor's refusal: `Close answered 400 VALIDATION: text (value: must be ...)`."""
    told = " ".join(part for part in (f"{title} answered {status}", code) if part)
    details = "; ".join(f"{name}: {text}" for name, text in fields.items())
    text = ": ".join(part for part in (told, message) if part)
    return f"{text} ({details})." if details else f"{text.rstrip('.')}."


def record_error(title: str, response: requests.Response) -> TransientError:
    """The error for a 2xx answer that is no record: a proxy's page or a cut body. Whether it landed is not known."""
    kind = response.headers.get("Content-Type", "no content type")
    return TransientError(
        f"{title} answered {response.status_code} without a record ({kind}, {len(response.content)} bytes).",
        status=response.status_code,
        code="NO_RECORD",
    )


def json_of(title: str, response: requests.Response) -> Json:
    """The JSON body of a 2xx answer.

    Raises:
        TransientError: If it is something else.
    """
    body = body_of(response)
    if body is None:
        raise record_error(title, response)
    return body
