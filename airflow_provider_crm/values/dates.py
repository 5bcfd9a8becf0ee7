"""Read dates and points in time, each in the years and zones in which it is unmistakable."""

from __future__ import annotations

import datetime as dt
from typing import TypeVar

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.values.messages import invalid_value
from airflow_provider_crm.values.opportunity import Field
from airflow_provider_crm.values.time_zones import local_date, parse_moment, zone

_Moment = TypeVar("_Moment", dt.date, dt.datetime)

# Databases write infinity as 9999-12-31 and 0001-01-01; no deal is won in these years.
_YEARS = range(1900, 2201)


def date_value(field: Field, raw: object, timezone: str | None) -> dt.date:
    """Read a date; an aware point in time is cut to its date in the time zone.

    Args:
        field: The field.
        raw: A date or point in time, also as ISO text.
        timezone: IANA zone, or None: then no point in time is taken.

    Raises:
        InvalidValueError: It is something else, out of range, or needs a time zone.
    """
    moment = _moment(field, raw)
    if not isinstance(moment, dt.datetime):
        return in_range(field, moment, raw)
    if timezone is None:
        text = (
            "is a point in time, and which date that is depends on a time zone; "
            "pass timezone='Area/City' or cast the column to a date. The row has"
        )
        raise invalid_value(field, "NO_TIMEZONE", text, raw)
    if moment.tzinfo is None:
        return in_range(field, moment.date(), raw)
    try:
        return in_range(field, local_date(moment, timezone), raw)
    except OverflowError as err:
        raise _out_of_range(field, raw) from err


def datetime_value(field: Field, raw: object, timezone: str | None) -> dt.datetime:
    """Read a point in time, aware; one without an offset is read in the time zone.

    Raises:
        InvalidValueError: It is something else, out of range, or happens twice or never in the zone.
    """
    moment = _moment(field, raw)
    if not isinstance(moment, dt.datetime):
        raise invalid_value(field, "DATE_ONLY", "takes a point in time, the row has only a date:", raw)
    in_range(field, moment, raw)
    if moment.tzinfo is not None:
        return moment
    if timezone is None:
        text = "has no offset; pass timezone='Area/City' or an aware column. The row has"
        raise invalid_value(field, "NO_TIMEZONE", text, raw)
    first, second = (moment.replace(tzinfo=zone(timezone), fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        text = f"happens twice or never in {timezone} (clock change); give the column an offset. The row has"
        raise invalid_value(field, "DST", text, raw)
    return first


def in_range(field: Field, moment: _Moment, raw: object) -> _Moment:
    """Return a date or point in time of the years that are taken.

    Raises:
        InvalidValueError: It lies in another year.
    """
    if moment.year not in _YEARS:
        raise _out_of_range(field, raw)
    return moment


def _moment(field: Field, raw: object) -> dt.date | dt.datetime:
    moment = parse_moment(raw) if isinstance(raw, str) else raw
    if not isinstance(moment, dt.date):
        text = f"takes {field.kind.value} (ISO, such as 2026-03-01), the row has"
        raise invalid_value(field, "NOT_A_DATE", text, raw)
    return moment


def _out_of_range(field: Field, raw: object) -> InvalidValueError:
    text = f"takes dates of the years {_YEARS[0]} to {_YEARS[-1]} (infinity is no date), the row has"
    return invalid_value(field, "DATE_RANGE", text, raw)
