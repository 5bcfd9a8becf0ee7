"""HubSpot's limits: the last seconds by token, the day of the account, and searches per second."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from airflow_provider_crm.sandbox.hubspot.problems import error_body
from airflow_provider_crm.sandbox.rate_limit import UNLIMITED, CallsLeft, Limiter, Rule
from airflow_provider_crm.sandbox.wire import RefusalError

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.hubspot.switches import HubSpotSwitches
    from airflow_provider_crm.sandbox.hubspot.tokens import HubSpotToken

ROLLING, DAILY, SECONDLY = "TEN_SECONDLY_ROLLING", "DAILY", "SECONDLY"
_PREFIX = "x-hubspot-ratelimit"


@dataclass(frozen=True, kw_only=True)
class DayLeft:
    """What is left of a day: calls, and the seconds until it ends."""

    remaining: int
    seconds: float


class HubSpotLimits:
    """The counters of every authenticated call."""

    def __init__(self) -> None:
        self._limiter = Limiter()
        self._day = ""
        self._used_today = 0

    def take(
        self, token: HubSpotToken, *, is_search: bool, now: datetime, zone: str, switches: HubSpotSwitches
    ) -> dict[str, str]:
        """Count a call and return the headers with the calls left.

        Raises:
            RefusalError: 429, a limit is used up; nothing is counted.
        """
        if is_search:
            rule = Rule(limit=switches.hubspot_search_limit, window=1.0, kind="sliding")
            policy, counter = SECONDLY, "search"
        else:
            rule = Rule(limit=switches.hubspot_limit, window=switches.hubspot_window, kind="sliding")
            policy, counter = ROLLING, token.name
        counts_daily = token.is_private and (not is_search or switches.hubspot_search_counts_daily)
        day = self._today(now, zone, switches)
        if counts_daily and switches.hubspot_daily_limit is not None and not day.remaining:
            burst = self._limiter.look([(rule, counter)], now.timestamp())[0]
            headers = {} if is_search else limit_headers(burst, day, switches)
            raise too_many(DAILY, day.seconds, headers, switches)
        burst = self._limiter.take([(rule, counter)], now.timestamp())
        if burst.allowed and counts_daily:
            self._used_today += 1
            day = DayLeft(remaining=day.remaining - 1, seconds=day.seconds)
        headers = {} if is_search else limit_headers(burst, day if token.is_private else None, switches)
        if not burst.allowed:
            raise too_many(policy, burst.reset, headers, switches)
        return headers

    def _today(self, now: datetime, zone: str, switches: HubSpotSwitches) -> DayLeft:
        local = now.astimezone(ZoneInfo(zone))
        day = local.date().isoformat()
        if day != self._day:
            self._day, self._used_today = day, 0
        midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        remaining = max(_daily(switches) - self._used_today, 0)
        return DayLeft(remaining=remaining, seconds=midnight.timestamp() - now.timestamp())


def limit_headers(
    burst: CallsLeft, day: DayLeft | None, switches: HubSpotSwitches, *, window: float | None = None
) -> dict[str, str]:
    """Return the headers with the calls left. No header says when there are more.

    Args:
        burst: the calls of the last seconds.
        day: those of the day; None for a token whose calls the day does not count.
        switches: as they are set.
        window: seconds that the headers name; by default those of the switch.
    """
    if not switches.hubspot_limit_headers:
        return {}
    headers = {
        f"{_PREFIX}-max": str(burst.limit),
        f"{_PREFIX}-remaining": str(burst.remaining),
        f"{_PREFIX}-interval-milliseconds": str(round((window or switches.hubspot_window) * 1000)),
    }
    if switches.hubspot_secondly_headers:
        per_second = max(burst.limit // 10, 1)
        headers |= {f"{_PREFIX}-secondly": str(per_second), f"{_PREFIX}-secondly-remaining": str(per_second - 1)}
    if day is not None and switches.hubspot_daily_headers:
        headers |= {f"{_PREFIX}-daily": str(_daily(switches)), f"{_PREFIX}-daily-remaining": str(day.remaining)}
    return headers


def too_many(policy: str, seconds: float, headers: dict[str, str], switches: HubSpotSwitches) -> RefusalError:
    """Build the 429 for a limit that is used up, or is said to be."""
    body = error_body(f"You have reached your {policy.lower()} limit.", category="RATE_LIMITS")
    body |= {"errorType": "RATE_LIMIT", "policyName": policy}
    if switches.hubspot_bare_429:
        headers = {}
    if switches.hubspot_retry_after != "absent":
        factor = 1000 if switches.hubspot_retry_after == "milliseconds" else 1
        headers = headers | {"retry-after": str(math.ceil(seconds * factor))}
    return RefusalError(HTTPStatus.TOO_MANY_REQUESTS, body, headers)


def _daily(switches: HubSpotSwitches) -> int:
    return UNLIMITED if switches.hubspot_daily_limit is None else switches.hubspot_daily_limit
