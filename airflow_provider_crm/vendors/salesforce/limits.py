"""Read Salesforce's limit: the calls of the whole org, of all users and programs, in the last 24 hours.

Each answer names the calls used and the limit, and no end: the day slides. There is no limit per second.
"""

from __future__ import annotations

import datetime as dt
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.vendors import limit_headers
from airflow_provider_crm.vendors.answers import body_of, objects_of, text_of
from airflow_provider_crm.vendors.limits import Limits

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.response import HttpResponse

_USAGE = re.compile(r"(?:^|[;\s])api-usage=(\d{1,12})/(\d{1,12})", re.ASCII)
_DAY_TEXT = "TotalRequests"
# Calls of the last day end one by one; when enough of them will have ended is not known.
_DAY_WAIT = 900.0


def read_limits(response: HttpResponse, now: dt.datetime) -> tuple[Limits, ...]:
    """Return the limit of the day; and the wait of a 429, which only servers in front of Salesforce send.

    Args:
        response: The answer.
        now: The time on the clock of the server.
    """
    used_up = response.status_code == HTTPStatus.FORBIDDEN and _is_limit(response) and is_day_used_up(response)
    refused = response.status_code == HTTPStatus.TOO_MANY_REQUESTS
    used, limit = _usage(response)
    remaining = None if used is None or limit is None else max(limit - used, 0)
    day = Limits(wait=_DAY_WAIT if used_up else None, limit=limit, remaining=remaining, name="day", is_daily=True)
    return Limits(wait=limit_headers.retry_after(response, now) if refused else None, name="gateway"), day


def is_day_used_up(response: HttpResponse) -> bool:
    """Return whether a refusal by a limit is about the day: by the header, or by the text where there is no header.

    The limit may be exceeded for a while, so that used calls may be more than the limit.
    """
    used, limit = _usage(response)
    if used is not None and limit is not None:
        return used >= limit
    return any(_DAY_TEXT in text_of(one.get("message")) for one in objects_of(body_of(response)))


def _is_limit(response: HttpResponse) -> bool:
    return any(one.get("errorCode") == "REQUEST_LIMIT_EXCEEDED" for one in objects_of(body_of(response)))


def _usage(response: HttpResponse) -> tuple[int | None, int | None]:
    """Return the calls used and their limit; None twice without the header."""
    found = _USAGE.search(response.headers.get("Sforce-Limit-Info", ""))
    if found is None:
        return None, None
    return limit_headers.calls(found[1]), limit_headers.most_calls(found[2])
