"""Read points in time, and compute dates and offsets in IANA zones."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from functools import lru_cache

import pendulum

from airflow_provider_crm.exceptions import ConfigurationError

_ZONE = re.compile(r"(?!(?i:posix|right|systemv)/)[\w+-]+(/[\w+-]+)*", re.ASCII)
_NO_PLACE = frozenset({"factory", "localtime", "posixrules"})
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
TOLERANCE = dt.timedelta(minutes=5)
"""How far a data time may lie ahead of the clock: clocks of several machines differ by less."""
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?\s?(Z|[+-]\d{2}(:?\d{2})?)?", re.ASCII)


@lru_cache(maxsize=64)
def zone(name: str) -> pendulum.Timezone:
    """Return the IANA zone of a name.

    Raises:
        ConfigurationError: If the zone database has no such name.
    """
    msg = f"timezone {name!r} is not in the IANA zone database; write one such as 'America/New_York' or 'UTC'."
    # Pendulum reads a number as a fixed offset in seconds, and the database has files that are no zone of any place.
    if not isinstance(name, str) or not _ZONE.fullmatch(name) or name.lower() in _NO_PLACE:
        raise ConfigurationError(msg)
    try:
        return pendulum.timezone(name)
    except (ValueError, OSError) as err:
        raise ConfigurationError(msg) from err


def local_date(moment: dt.datetime, timezone: str) -> dt.date:
    """Return the calendar date of an aware moment in a zone, right on both sides of a clock change."""
    local = moment.astimezone(zone(timezone))
    return dt.date(local.year, local.month, local.day)


def offset_hours(moment: dt.datetime, timezone: str) -> str:
    """Return the UTC offset of a zone at an aware moment, in hours, positive east: `-4`, `-2.5`, `5.75`, `0`."""
    return _offset_hours(moment.replace(second=0, microsecond=0), timezone)  # no zone changes within a minute


@lru_cache(maxsize=64)
def _offset_hours(moment: dt.datetime, timezone: str) -> str:
    offset = moment.astimezone(zone(timezone)).utcoffset() or dt.timedelta()
    hours = Decimal(int(offset.total_seconds())) / 3600
    return format(round(hours, 4).normalize() + 0, "f")


def future_data_time(as_of: dt.datetime, now: dt.datetime) -> str | None:
    """Say why a data time lies too far in the future; None if it does not.

    Until that time comes, all newer data would count as older, so that one mistake could block a record for years.
    """
    if as_of - now <= TOLERANCE:
        return None
    data_time, clock = (f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M}" for moment in (as_of, now))
    return (
        f"the data time {data_time} UTC lies ahead of the clock ({clock} UTC), so newer data of every later run would "
        "count as older"
    )


def parse_moment(text: str) -> dt.date | dt.datetime | None:
    """Read an ISO date (`2026-03-01`) or date and time (`2026-03-01T23:30:00-05:00`); None if it is neither."""
    text = text.strip()
    try:
        if _DATE.fullmatch(text):
            return dt.date.fromisoformat(text)
        if _DATETIME.fullmatch(text):
            return dt.datetime.fromisoformat(text.replace(",", ".").replace(" ", "T", 1).replace(" ", ""))
    except ValueError:
        return None
    return None
