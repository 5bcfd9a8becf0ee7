"""Read the rate limit from answers: counts, waits and moments, in every spelling on record for any vendor.

A number that no limit can have becomes None, as if it was missing: the numbers end in sleeps, deferrals, dates and
the columns of a database.
"""

from __future__ import annotations

import datetime as dt
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from airflow_provider_crm.vendors.answers import number_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_crm.vendors.response import HttpResponse


_Number = TypeVar("_Number", int, float)

MOST_CALLS = 1_000_000_000
"""A number of calls per window above this is not read as a limit."""
LONGEST_WAIT = 31 * 86_400.0
"""Seconds: no vendor counts by more than a month."""

# Seconds, milli-, micro- and nanoseconds. Of one moment of our time only one of them is near to now.
_EPOCH_UNITS = (1.0, 1e3, 1e6, 1e9)
# Clocks differ, and an answer can be late.
_LONGEST_PAST = 86_400.0
_LONGEST_HEADER = 1_000
_ITEM = re.compile(r'((?:"[^"]*"|[^,;"])*)(?:([,;])|$)')


class Quota(NamedTuple):
    """One limit as one answer shows it; None for each part that is missing.

    Attributes:
        limit: Calls per window.
        remaining: Calls left in this window.
        reset: Seconds until the window ends.
        length: Seconds that a window lasts.
    """

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
    length: float | None = None


def calls(value: object) -> int | None:
    """Read a number of calls; None if it is larger than any limit."""
    number = number_of(value)
    return None if number is None or number > MOST_CALLS else int(number)


def most_calls(value: object) -> int | None:
    """Read a number of calls per window, which is at least one."""
    return calls(value) or None


def seconds(value: object) -> float | None:
    """Read seconds to wait; None if they are more than any vendor asks for."""
    number = number_of(value)
    return None if number is None or number > LONGEST_WAIT else number


def seconds_until(value: object, now: dt.datetime) -> float | None:
    """Return the seconds until a moment that is given as seconds, milliseconds or less since 1970.

    None if the moment is not near to now.

    Args:
        value: The moment; one that has just passed is now.
        now: The time on the clock of the server that wrote it.
    """
    number = number_of(value)
    if number is None:
        return None
    waits = (number / unit - now.timestamp() for unit in _EPOCH_UNITS)
    return next((max(wait, 0.0) for wait in waits if -_LONGEST_PAST <= wait <= LONGEST_WAIT), None)


def retry_after(response: HttpResponse, now: dt.datetime) -> float | None:
    """Read a `Retry-After` header, which holds seconds or an HTTP date, as seconds."""
    value = response.headers.get("Retry-After", "")
    if number_of(value) is not None:
        return seconds(value)
    moment = _http_date(value)
    return None if moment is None else seconds(max(0.0, (moment - now).total_seconds()))


def date_of(response: HttpResponse) -> dt.datetime | None:
    """Read the vendor's clock from its `Date` header, in whole seconds; None without one."""
    return _http_date(response.headers.get("Date", ""))


def first_known(*values: _Number | None) -> _Number | None:
    """Return the first value that is not None."""
    return next((value for value in values if value is not None), None)


def standard_quota(headers: Mapping[str, str]) -> Quota:
    """Read the standard `RateLimit` header in all of its drafts, from the oldest to the one of 2025.

    These are `limit=100, remaining=50, reset=30`, with commas or semicolons; three headers of one number each; and
    named policies, `"default";r=50;t=30` with `RateLimit-Policy: "default";q=100;w=60`. Of several policies the first
    complete one counts, so that it is the same one in every answer, unless another one is used up.
    """
    items = _items(headers.get("RateLimit", ""))
    flat = {name: value for item in items for name, value in item.items()}
    if "r" in flat:
        return _named(items, _items(headers.get("RateLimit-Policy", "")))
    return Quota(
        first_known(most_calls(flat.get("limit")), most_calls(headers.get("RateLimit-Limit"))),
        first_known(calls(flat.get("remaining")), calls(headers.get("RateLimit-Remaining"))),
        first_known(seconds(flat.get("reset")), seconds(headers.get("RateLimit-Reset"))),
    )


def _named(items: list[dict[str, str]], policies: list[dict[str, str]]) -> Quota:
    limits = {item[""]: most_calls(item.get("q")) for item in policies}
    lengths = {item[""]: seconds(item.get("w")) or None for item in policies}
    quotas = [
        Quota(limits.get(item[""]), calls(item.get("r")), seconds(item.get("t")), lengths.get(item[""]))
        for item in items
    ]
    used_up = [quota for quota in quotas if quota.remaining == 0 and quota.reset is not None]
    if used_up:
        return max(used_up, key=lambda quota: quota.reset or 0.0)
    return next((quota for quota in quotas if None not in (quota.limit, quota.remaining, quota.reset)), quotas[0])


def _items(header: str) -> list[dict[str, str]]:
    """Read the items of a list, each with its parameters by name; the item itself is under the empty name."""
    items, item = [], {"": ""}
    for part, end in _ITEM.findall(header[:_LONGEST_HEADER]):
        name, equals, value = part.partition("=")
        item[name.strip().lower() if equals else ""] = (value if equals else name).strip()
        if end != ";":
            items.append(item)
            item = {"": ""}
    return items


def _http_date(value: str) -> dt.datetime | None:
    try:
        moment = parsedate_to_datetime(value[:_LONGEST_HEADER])
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or dt.UTC)
