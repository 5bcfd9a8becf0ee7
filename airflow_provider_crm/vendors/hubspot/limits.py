"""Read HubSpot's rate limits: calls in the last ten seconds, by token, and calls of the account's day.

A window of ten seconds slides, so its headers name a length and no end. The day ends at midnight in the portal's zone,
which no header names. Apps that sign in by OAuth get no headers about the day. Searches have a limit of their own, and
no headers at all.
"""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.vendors import limit_headers
from airflow_provider_crm.vendors.answers import body_of, member, text_of
from airflow_provider_crm.vendors.limits import Limits

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.response import HttpResponse

_PREFIX = "X-HubSpot-RateLimit"
_DAILY, _SECONDLY = "DAILY", "SECONDLY"
_HOUR, _SECOND = 3600.0, 1.0


def read_limits(response: HttpResponse, now: dt.datetime, timezone: str | None) -> tuple[Limits, ...]:
    """Return the two limits.

    `Retry-After` of a 429 is not read: HubSpot documents none, and clients have seen milliseconds in it.

    Args:
        response: The answer.
        now: The time on HubSpot's clock.
        timezone: IANA zone of the portal, if it is known.
    """
    headers = response.headers
    policy = text_of(member(body_of(response), "policyName")) if _is_refusal(response) else ""
    milliseconds = limit_headers.seconds(headers.get(f"{_PREFIX}-Interval-Milliseconds"))
    length = None if milliseconds is None else milliseconds / 1000
    burst = Limits(
        wait=_burst_wait(policy, length) if _is_refusal(response) else None,
        limit=limit_headers.most_calls(headers.get(f"{_PREFIX}-Max")),
        remaining=limit_headers.calls(headers.get(f"{_PREFIX}-Remaining")),
        length=length,
        name="burst",
    )
    return burst, _day(response, policy, now, timezone)


def _is_refusal(response: HttpResponse) -> bool:
    return response.status_code == HTTPStatus.TOO_MANY_REQUESTS


def _burst_wait(policy: str, length: float | None) -> float | None:
    """Return the seconds after which a call surely finds room: all of the window."""
    if policy == _DAILY:
        return None
    return _SECOND if policy == _SECONDLY else length


def _day(response: HttpResponse, policy: str, now: dt.datetime, timezone: str | None) -> Limits:
    """Return the limit of the day.

    Until the session has read the portal's zone, the end of the day is not known. Then only a refusal counts, and the
    next call waits until the next hour begins: days end at the beginning of one, or of a quarter.
    """
    end = limit_headers.seconds_to_midnight(now, timezone)
    wait = limit_headers.first_known(end, _HOUR - now.timestamp() % _HOUR) if policy == _DAILY else None
    if end is None:
        return Limits(wait=wait, name="day", is_daily=True)
    headers = response.headers
    return Limits(
        wait=wait,
        limit=limit_headers.most_calls(headers.get(f"{_PREFIX}-Daily")),
        remaining=limit_headers.calls(headers.get(f"{_PREFIX}-Daily-Remaining")),
        reset=end,
        name="day",
        is_daily=True,
        grain=_SECOND,
    )
