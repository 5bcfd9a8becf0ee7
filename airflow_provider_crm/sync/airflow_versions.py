"""Hide the differences between the supported versions of Airflow; no other module depends on them."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

from airflow.sdk.observability import stats as _stats

if TYPE_CHECKING:
    from airflow.sdk import Context

stats: Any = getattr(_stats, "Stats", _stats)
"""Counts, gauges and timings: functions of a module, and in Airflow 3.2 of a class."""

_BEGINS_WITH_A_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_YEAR_OF_A_FORMAT_WITHOUT = 1900


def partition_date(context: Context) -> dt.datetime | None:
    """Return the start of the run's partition, or None if it has none or its key names no date.

    Airflow 3.2 gives a task only the partition's key. Later versions give no date for a key from an asset or from the
    REST API that no mapper reads. Such a key is parsed in the timetable's format, else as an ISO
    date; it is in UTC unless it names a zone.
    """
    given: dt.datetime | None = context.get("partition_date")
    key = partition_key(context)
    if given is not None or key is None:
        return given
    key_format = getattr(getattr(context.get("dag"), "timetable", None), "key_format", None)
    try:
        if key_format is not None:
            read = dt.datetime.strptime(key, key_format)  # noqa: DTZ007 - completed below
            parsed = None if read.year == _YEAR_OF_A_FORMAT_WITHOUT else read
        else:
            parsed = dt.datetime.fromisoformat(key) if _BEGINS_WITH_A_DATE.match(key) else None
    except ValueError:
        return None
    return parsed if parsed is None or parsed.tzinfo is not None else parsed.replace(tzinfo=dt.UTC)


def partition_key(context: Context) -> str | None:
    """Return the name of the run's partition, or None."""
    key: str | None = getattr(context["dag_run"], "partition_key", None)
    return key
