"""Batchly's two limits: a burst in a window that slides, and a day of the account."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from zoneinfo import ZoneInfo

from airflow_provider_crm.sandbox import CallsLeft, Limiter, RefusalError, Rule
from tests.fake.answers import Problem

UNLIMITED = 1_000_000
BURST, DAILY = "BURST", "DAILY"


class FakeLimits:
    """Counters of every authenticated call, in the units that it costs.

    Args:
        is_silent: Returns whether answers say nothing about limits.
    """

    def __init__(self, is_silent: Callable[[], bool]) -> None:
        self._is_silent = is_silent
        self._limiter = Limiter()
        self._day = ""
        self._used_today = 0

    def take(
        self, *, counter: str, cost: int, now: datetime, zone: str, rule: Rule, daily_limit: int | None
    ) -> dict[str, str]:
        """Count a call, and return the headers of its answer.

        Raises:
            RefusalError: 429, one of the limits is used up; nothing is counted.
        """
        try:
            headers = self._take(counter=counter, cost=cost, now=now, zone=zone, rule=rule, daily_limit=daily_limit)
        except RefusalError as refusal:
            raise bare_refusal() if self._is_silent() else refusal from None
        return {} if self._is_silent() else headers

    def _take(
        self, *, counter: str, cost: int, now: datetime, zone: str, rule: Rule, daily_limit: int | None
    ) -> dict[str, str]:
        left_today, end_of_day = self._today(now, zone, daily_limit)
        if left_today < cost:
            burst = self._limiter.look([(rule, counter)], now.timestamp(), cost)[0]
            headers = limit_headers(burst, rule.window, daily_limit, left_today, end_of_day)
            raise too_many(DAILY, end_of_day, headers)
        burst = self._limiter.take([(rule, counter)], now.timestamp(), cost)
        if burst.allowed:
            self._used_today += cost
            left_today -= cost
        headers = limit_headers(burst, rule.window, daily_limit, left_today, end_of_day)
        if not burst.allowed:
            raise too_many(BURST, burst.reset, headers)
        return headers

    def _today(self, now: datetime, zone: str, daily_limit: int | None) -> tuple[int, float]:
        """Return the units that are left of this day, and the seconds until its end."""
        local = now.astimezone(ZoneInfo(zone))
        day = local.date().isoformat()
        if day != self._day:
            self._day, self._used_today = day, 0
        midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        allowed = UNLIMITED if daily_limit is None else daily_limit
        return max(allowed - self._used_today, 0), midnight.timestamp() - now.timestamp()


def limit_headers(
    burst: CallsLeft, window: float, daily_limit: int | None, left_today: int, end_of_day: float
) -> dict[str, str]:
    """Return the headers of both limits. Of the burst they name the length of its window, which has no end."""
    return {
        "x-batchly-limit": str(burst.limit),
        "x-batchly-remaining": str(burst.remaining),
        "x-batchly-interval-milliseconds": str(round(window * 1000)),
        "x-batchly-daily-limit": str(UNLIMITED if daily_limit is None else daily_limit),
        "x-batchly-daily-remaining": str(left_today),
        "x-batchly-daily-reset": f"{end_of_day:.3f}",
    }


def bare_refusal() -> RefusalError:
    """Build a 429 that names neither limit nor wait."""
    return RefusalError(HTTPStatus.TOO_MANY_REQUESTS, Problem("RATE_LIMIT", "Too many requests."), {})


def too_many(policy: str, seconds: float, headers: dict[str, str]) -> RefusalError:
    """Build the 429 for a limit that is used up, or is said to be."""
    message = f"You have reached your {policy.lower()} limit."
    problem = Problem("RATE_LIMIT", message, detail={"policyName": policy, "retryAfterMs": round(seconds * 1000 + 0.5)})
    return RefusalError(HTTPStatus.TOO_MANY_REQUESTS, problem, headers)
