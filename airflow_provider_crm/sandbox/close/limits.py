"""Close's rate limit: the counters of each call, and every spelling of its headers on record."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.limit_texts import policy_headers, reset_text, retry_after_headers
from airflow_provider_crm.sandbox.rate_limit import DAY, CallsLeft, Limiter, Rule
from airflow_provider_crm.sandbox.wire import RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_provider_crm.sandbox.close.switches import CloseSwitches
    from airflow_provider_crm.sandbox.limit_texts import ResetForm

_ORGANIZATION_FACTOR = 3
_BURST, _DAY = "burst", "day"


class CloseLimits:
    """Counters of every authenticated call: by key and group, by organization and group, and of the day."""

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
        day = Rule(limit=switches.close_day_limit, window=DAY, kind=switches.close_day_kind)
        if day.limit is not None:
            rules.append((day, _DAY))
        at = now.timestamp()
        allowance = self._limiter.take(rules, at)
        if day.limit is None:
            headers = limit_headers(allowance, now, switches)
        else:
            burst, _, left_today = self._limiter.look(rules, at)
            headers = _named({_BURST: (by_key, burst), _DAY: (day, left_today)}, now, switches)
        if not allowance.allowed:
            raise too_many(allowance, headers, group=group, now=now, switches=switches)
        return headers


def limit_headers(left: CallsLeft, now: datetime, switches: CloseSwitches) -> dict[str, str]:
    """Return the headers with the calls left of one limit, in the chosen spelling."""
    spelling = switches.close_rate_limit_header
    if spelling == "named":
        rule = Rule(limit=left.limit, window=switches.close_window)
        return _named({_BURST: (rule, left)}, now, switches)
    parts = {"limit": str(left.limit), "remaining": str(left.remaining)}
    reset = reset_text(left.reset, _reset_form(switches), now)
    if reset is not None:
        parts["reset"] = reset
    window = f"{left.limit};w={math.ceil(switches.close_window)}"
    policy = {"ratelimit-policy": window} if switches.close_names_window else {}
    match spelling:
        case "comma":
            return {"ratelimit": ", ".join(f"{name}={value}" for name, value in parts.items())} | policy
        case "semicolon":
            return {"ratelimit": "; ".join(f"{name}={value}" for name, value in parts.items())} | policy
        case "x-rate-limit":
            return {f"x-rate-limit-{name}": value for name, value in parts.items()}
        case "ratelimit-reset":
            return {f"ratelimit-{name}": value for name, value in parts.items()} | policy
    return {}


def too_many(
    left: CallsLeft, headers: Mapping[str, str], *, group: str, now: datetime, switches: CloseSwitches
) -> RefusalError:
    """Build the 429 for a limit that is used up, or is said to be.

    Args:
        left: the limit.
        headers: those with the calls left.
        group: the endpoint group of the call.
        now: aware, on Close's clock.
        switches: as they are set.
    """
    wait = retry_after_headers(left.reset, switches.close_retry_after, now)
    payload: dict[str, Any] = {"error": "Too many requests"}
    if switches.close_old_429_body:
        payload["error"] = {
            "message": "API call count exceeded for this second",
            "rate_reset": float(reset_text(left.reset, "decimal", now) or 0),
            "rate_limit": left.limit,
            "rate_window": switches.close_window,
            "rate_limit_type": "key",
            "rate_endpoint_group": group,
        }
    return RefusalError(HTTPStatus.TOO_MANY_REQUESTS, payload, {**headers, **wait})


def _named(limits: Mapping[str, tuple[Rule, CallsLeft]], now: datetime, switches: CloseSwitches) -> dict[str, str]:
    if switches.close_rate_limit_header == "absent":
        return {}
    names_window = switches.close_names_window or _DAY in limits
    return policy_headers(limits, _reset_form(switches), now, names_window=names_window)


def _reset_form(switches: CloseSwitches) -> ResetForm:
    return "whole" if switches.close_integer_reset and switches.close_reset == "decimal" else switches.close_reset
