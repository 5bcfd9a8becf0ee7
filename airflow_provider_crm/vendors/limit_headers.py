"""Read the rate limit from answers: counts, waits and moments, in every spelling on record for any vendor.

A number that no limit can have becomes None, as if it was missing: the numbers end in sleeps, deferrals, dates and
the columns of a database.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_crm.values.time_zones import local_date, zone
from airflow_provider_crm.vendors.answers import number_of
from airflow_provider_crm.vendors.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_crm.vendors.response import HttpResponse


_Number = TypeVar("_Number", int, float)

MOST_CALLS = 1_000_000_000
"""A number of calls per window above this is not read as a limit."""
LONGEST_WAIT = 31 * 86_400.0
"""Seconds: no vendor counts by more than a month."""

DAY = 86_400.0
"""Seconds of the window of a daily limit."""

# Seconds, milli-, micro- and nanoseconds. Of one moment of our time only one of them is near to now.
_EPOCH_UNITS = (1.0, 1e3, 1e6, 1e9)
# The year 5138 in seconds is 1973 in milliseconds.
_LARGEST_EPOCH = 1e11
# Clocks differ, and an answer can be late.
_LONGEST_PAST = 86_400.0
_LONGEST_HEADER = 1_000
_ITEM = re.compile(r'((?:"[^"]*"|[^,;"])*)(?:([,;])|$)')


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


def seconds_left(value: object, now: dt.datetime) -> float | None:
    """Return the seconds from now on that a text or number stands for, however a vendor writes them.

    It is a number of seconds, or the moment at which they are over: an HTTP date, or a number since 1970. A number is
    read as a moment where it is more seconds than any vendor asks for. None if it is nothing of that.

    Args:
        value: The text or number.
        now: The time on the clock of the server that wrote it.
    """
    number = number_of(value)
    if number is not None:
        return number if number <= LONGEST_WAIT else seconds_until(number, now)
    moment = _http_date(value) if isinstance(value, str) else None
    return None if moment is None else seconds(max(0.0, (moment - now).total_seconds()))


def seconds_to_midnight(now: dt.datetime, timezone: str | None) -> float | None:
    """Return the seconds until the day ends in an IANA zone, right on both sides of a clock change; None without one.

    Args:
        now: The time, aware.
        timezone: The zone.
    """
    if timezone is None:
        return None
    tomorrow = local_date(now, timezone) + dt.timedelta(days=1)
    return (dt.datetime.combine(tomorrow, dt.time(), tzinfo=zone(timezone)) - now).total_seconds()


def grain(value: object) -> float | None:
    """Return the seconds that the last digit stands for in what `seconds_left` reads, such as 1.0 or 0.001."""
    number = number_of(value)
    if number is None:
        return 1.0 if isinstance(value, str) and _http_date(value) is not None else None
    unit = 1.0
    if number > LONGEST_WAIT:
        unit = next((unit for unit in _EPOCH_UNITS if number / unit < _LARGEST_EPOCH), _EPOCH_UNITS[-1])
    return 10.0 ** -len(str(value).strip().partition(".")[2]) / unit


def retry_after(response: HttpResponse, now: dt.datetime) -> float | None:
    """Read a `Retry-After` header, which holds seconds or an HTTP date, as seconds."""
    return seconds_left(response.headers.get("Retry-After"), now)


def date_of(response: HttpResponse) -> dt.datetime | None:
    """Read the vendor's clock from its `Date` header, in whole seconds; None without one."""
    return _http_date(response.headers.get("Date", ""))


def first_known(*values: _Number | None) -> _Number | None:
    """Return the first value that is not None."""
    return next((value for value in values if value is not None), None)


def name_limits(headers: Mapping[str, str]) -> bool:
    """Return whether any header may be about a rate limit: most answers of a vendor without one have none to read."""
    names = " ".join(headers).lower()
    return "ratelimit" in names or "rate-limit" in names


def standard_limits(headers: Mapping[str, str], now: dt.datetime) -> tuple[Limits, ...]:
    """Read the standard `RateLimit` header in all of its drafts, from the oldest to the one of 2025.

    These are `limit=100, remaining=50, reset=30`, with commas or semicolons; three headers of one number each; and
    named policies, `"default";r=50;t=30` with `RateLimit-Policy: "default";q=100;w=60`.

    Args:
        headers: Those of an answer.
        now: The time on the clock of the server.

    Returns:
        Each limit that the headers name, that of the shortest window first; at least one, which may be empty. None of
        them has a `wait`, see `refused`.
    """
    items, policies = _items(headers.get("RateLimit")), _items(headers.get("RateLimit-Policy"))
    flat = {name: value for item in items for name, value in item.items()}
    if "r" in flat:
        return _named(items, policies, now)
    limit = first_known(most_calls(flat.get("limit")), most_calls(headers.get("RateLimit-Limit")))
    text = flat.get("reset")
    reset = seconds_left(text, now)
    if reset is None:
        text = headers.get("RateLimit-Reset")
        reset = seconds_left(text, now)
    length = _length_of(limit, policies)
    remaining = first_known(calls(flat.get("remaining")), calls(headers.get("RateLimit-Remaining")))
    return (Limits(None, limit, remaining, reset, length, is_daily=length == DAY, grain=grain(text)),)


def refused(limits: Sequence[Limits], wait: float | None) -> tuple[Limits, ...]:
    """Return the limits that a refusal shows, with the wait of each that is used up: the seconds until its reset.

    Args:
        limits: The limits, at least one.
        wait: Seconds after which the refusal allows the next call, by whatever else it says. They stand in place of the
            reset of the limit that refused the call, see `refusing`.
    """
    cause = refusing(limits)
    return tuple(
        replace(one, wait=first_known(wait, one.reset) if one is cause else one.reset if one.remaining == 0 else None)
        for one in limits
    )


def refusing(limits: Sequence[Limits]) -> Limits:
    """Return the limit that refused a call: of those that are used up the one with the latest reset, else the first."""
    used_up = [one for one in limits if one.remaining == 0 and one.reset is not None]
    if used_up:
        return max(used_up, key=lambda one: one.reset or 0.0)
    return next((one for one in limits if one.is_complete), limits[0])


def _named(items: list[dict[str, str]], policies: list[dict[str, str]], now: dt.datetime) -> tuple[Limits, ...]:
    """Return the limit of each name, also of one that only the policies have, in an order that no answer changes."""
    shown = {item[""]: item for item in items if len(item) > 1}
    quotas = {item[""]: item for item in policies if len(item) > 1}
    limits = [_policy(name, shown.get(name, {}), quotas.get(name, {}), now) for name in {**shown, **quotas}]
    return tuple(sorted(limits, key=lambda one: (one.length is None, one.length or 0.0, one.name)))


def _policy(name: str, shown: Mapping[str, str], quota: Mapping[str, str], now: dt.datetime) -> Limits:
    length, reset = seconds(quota.get("w")) or None, shown.get("t")
    return Limits(
        limit=most_calls(quota.get("q")),
        remaining=calls(shown.get("r")),
        reset=seconds_left(reset, now),
        length=length,
        name=name.strip('"'),
        is_daily=length == DAY,
        grain=grain(reset),
    )


def _length_of(limit: int | None, policies: list[dict[str, str]]) -> float | None:
    """Return the seconds of the policy that has this limit, as in `RateLimit-Policy: 100;w=60`; None without one."""
    lengths = (seconds(item.get("w")) for item in policies if limit is not None and most_calls(item[""]) == limit)
    return next(lengths, None) or None


def _items(header: str | None) -> list[dict[str, str]]:
    """Read the items of a list, each with its parameters by name; the item itself is under the empty name."""
    if not header:
        return []
    items, item = [], {"": ""}
    for part, end in _ITEM.findall(header[:_LONGEST_HEADER]):
        name, equals, value = part.partition("=")
        item[name.strip().lower() if equals else ""] = (value if equals else name).strip()
        if end != ";":
            items.append(item)
            item = {"": ""}
    return items


@lru_cache(maxsize=16)
def _http_date(value: str) -> dt.datetime | None:
    try:
        moment = parsedate_to_datetime(value[:_LONGEST_HEADER])
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or dt.UTC)
