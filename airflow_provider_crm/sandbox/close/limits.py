"""Close's rate limit: two counters for each call, and every spelling of its headers on record."""

from __future__ import annotations

import math
from datetime import timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.rate_limit import CallsLeft, Limiter, Rule
from airflow_provider_crm.sandbox.wire import RefusalError

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_crm.sandbox.close.switches import CloseSwitches

_ORGANIZATION_FACTOR = 3


class CloseLimits:
    """Counters of every authenticated call, by key and endpoint group, and by organization and endpoint group."""

    def __init__(self) -> None:
        self._limiter = Limiter()

    def take(self, *, key: str, group: str, now: datetime, switches: CloseSwitches) -> dict[str, str]:
        """Count a call and return the headers with the calls left.

        Raises:
            RefusalError: 429, one of the counters is used up.
        """
        limit, window, kind = switches.close_limit, switches.close_window, switches.close_limit_kind
        by_key = Rule(limit=limit, window=window, kind=kind)
        by_organization = Rule(limit=None if limit is None else limit * _ORGANIZATION_FACTOR, window=window, kind=kind)
        rules = [(by_key, f"{key} {group}"), (by_organization, f"organization {group}")]
        allowance = self._limiter.take(rules, now.timestamp())
        if not allowance.allowed:
            raise too_many(allowance, group=group, now=now, switches=switches)
        return limit_headers(allowance, switches)


def limit_headers(allowance: CallsLeft, switches: CloseSwitches) -> dict[str, str]:
    """Return the headers with the calls left, in the chosen spelling."""
    reset = _seconds(allowance.reset, whole=switches.close_integer_reset)
    limit, remaining = str(allowance.limit), str(allowance.remaining)
    match switches.close_rate_limit_header:
        case "comma":
            return {"ratelimit": f"limit={limit}, remaining={remaining}, reset={reset}"}
        case "semicolon":
            return {"ratelimit": f"limit={limit}; remaining={remaining}; reset={reset}"}
        case "x-rate-limit":
            return {"x-rate-limit-limit": limit, "x-rate-limit-remaining": remaining, "x-rate-limit-reset": reset}
        case "ratelimit-reset":
            return {"ratelimit-limit": limit, "ratelimit-remaining": remaining, "ratelimit-reset": reset}
    return {}


def too_many(allowance: CallsLeft, *, group: str, now: datetime, switches: CloseSwitches) -> RefusalError:
    """Build the 429 for a limit that is used up, or is said to be."""
    headers = limit_headers(allowance, switches)
    wait = math.ceil(allowance.reset)
    if switches.close_retry_after == "seconds":
        headers["retry-after"] = str(wait)
    elif switches.close_retry_after == "date":
        at = now + timedelta(seconds=allowance.reset)
        rounded_up = (at + timedelta(microseconds=999_999)).replace(microsecond=0)
        headers["retry-after"] = format_datetime(rounded_up, usegmt=True)
    payload: dict[str, Any] = {"error": "Too many requests"}
    if switches.close_old_429_body:
        payload["error"] = {
            "message": "API call count exceeded for this second",
            "rate_reset": float(_seconds(allowance.reset, whole=False)),
            "rate_limit": allowance.limit,
            "rate_window": switches.close_window,
            "rate_limit_type": "key",
            "rate_endpoint_group": group,
        }
    return RefusalError(HTTPStatus.TOO_MANY_REQUESTS, payload, headers)


def _seconds(value: float, *, whole: bool) -> str:
    """Write seconds rounded up, to milliseconds or to whole ones, without needless zeros."""
    if whole:
        return str(math.ceil(value))
    return f"{math.ceil(value * 1000 - 1e-6) / 1000:.3f}".rstrip("0").rstrip(".")
