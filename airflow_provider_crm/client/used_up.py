"""Say which limit ends a call, and when the next one is allowed."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_crm.budget.usage import DayUse


def used_up_text(display_name: str, wait: float, now: dt.datetime, day: DayUse | None) -> str:
    """Return the sentence that ends a call which would have to wait for too long.

    Args:
        display_name: The vendor's name for people.
        wait: Seconds until the limit allows the next call.
        now: The present time, aware.
        day: The daily limit if the call waits for that one; None for any other limit.
    """
    if day is None:
        return f"{display_name}'s rate limit is used up; the next call is allowed in {wait:.0f} seconds."
    if day.left == 0:
        why = f"none of its {day.limit:,} calls are left, to any program"
    else:
        allowed = max(math.floor(day.limit * day.share), 1)
        why = f"the runs of this Airflow have used their share ({allowed:,} of {day.limit:,} calls)"
    return f"{display_name}'s daily limit: {why}; the next call is allowed at {_next_at(wait, now, day)}."


def _next_at(wait: float, now: dt.datetime, day: DayUse) -> str:
    """Return the end of the day, or of the wait where calls come back one by one; whole seconds, in UTC."""
    moment = now + dt.timedelta(seconds=wait) if day.ends_at is None else dt.datetime.fromisoformat(day.ends_at)
    if moment.microsecond:
        moment = moment.replace(microsecond=0) + dt.timedelta(seconds=1)
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
