"""Raze's rate limit: the counters of each key, its documented headers, and other forms by switch."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.sandbox.limit_texts import policy_headers, reset_text, retry_after_headers
from airflow_provider_crm.sandbox.rate_limit import DAY, CallsLeft, Limiter, Rule
from airflow_provider_crm.sandbox.raze.fields import error
from airflow_provider_crm.sandbox.wire import RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_provider_crm.sandbox.limit_texts import ResetForm
    from airflow_provider_crm.sandbox.raze.account import RazeKey
    from airflow_provider_crm.sandbox.raze.switches import RazeSwitches


class RazeLimits:
    """Counters of every authenticated call of a key: of its window, and of the day."""

    def __init__(self) -> None:
        self._limiter = Limiter()

    def rule(self, key: RazeKey, switches: RazeSwitches) -> Rule:
        """Return the limit of a key: its own, else the switch's."""
        limit = switches.raze_limit if key.limit is None else key.limit
        return Rule(limit=limit, window=switches.raze_window, kind=switches.raze_limit_kind)

    def take(self, key: RazeKey, now: datetime, switches: RazeSwitches) -> dict[str, str]:
        """Count a call and return the headers with the calls left.

        Raises:
            RefusalError: 429, one of the counters is used up.
        """
        rules = [(self.rule(key, switches), key.key)]
        day = Rule(limit=switches.raze_day_limit, window=DAY, kind=switches.raze_day_kind)
        if day.limit is not None:
            rules.append((day, f"day {key.key}"))
        at = now.timestamp()
        allowance = self._limiter.take(rules, at)
        headers = limit_headers(allowance, now, switches)
        if day.limit is not None and switches.raze_limit_headers:
            burst, left_today = self._limiter.look(rules, at)
            # The standard header knows seconds only.
            form: ResetForm = "absent" if switches.raze_reset == "absent" else "whole"
            headers = limit_headers(burst, now, switches)
            headers |= policy_headers({"day": (day, left_today)}, form, now)
        if not allowance.allowed:
            raise too_many(allowance, headers, now, switches)
        return headers


def limit_headers(left: CallsLeft, now: datetime, switches: RazeSwitches) -> dict[str, str]:
    """Return the documented headers with the calls left; none if the switch says so."""
    if not switches.raze_limit_headers:
        return {}
    headers = {"x-ratelimit-limit": str(left.limit), "x-ratelimit-remaining": str(left.remaining)}
    reset = reset_text(left.reset, switches.raze_reset, now)
    return headers if reset is None else headers | {"x-ratelimit-reset": reset}


def too_many(left: CallsLeft, headers: Mapping[str, str], now: datetime, switches: RazeSwitches) -> RefusalError:
    """Build the 429, with the wait in the body, and in a header only if a switch says so."""
    form = "seconds" if switches.raze_retry_after_header else switches.raze_retry_after
    payload = error("RATE_LIMIT_EXCEEDED", "Rate limit exceeded")
    if switches.raze_body_wait:
        payload["error"]["retry_after"] = math.ceil(left.reset)
    return RefusalError(
        HTTPStatus.TOO_MANY_REQUESTS, payload, {**headers, **retry_after_headers(left.reset, form, now)}
    )
