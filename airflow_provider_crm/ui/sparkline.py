"""Draw the days of a sync as small bars, measured here so that the page needs no script for them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from airflow_provider_crm.queries.syncs import DayCounts, Sync

DAYS = 30
STEP, HEIGHT = 6, 32
_LEAST = 3.0  # so that one refused row among thousands is visible


@dataclass(frozen=True, slots=True)
class DayBar:
    """One day, in the drawing's units from its upper left corner: landed rows below, others above them."""

    day: dt.date
    counts: DayCounts
    x: int
    landed: float
    refused: float
    unanswered: float


def sparkline(sync: Sync, today: dt.date) -> list[DayBar]:
    """Return a bar for each of the last 30 days with rows, the highest as high as the drawing."""
    found = []
    highest = max((_rows(counts) for counts in sync.days.values()), default=0)
    for number in range(DAYS):
        day = today - dt.timedelta(days=DAYS - 1 - number)
        counts = sync.days.get(day)
        if counts is not None and _rows(counts):
            parts = [counts.landed, counts.refused, counts.unanswered]
            heights = [max(rows / highest * HEIGHT, _LEAST) if rows else 0.0 for rows in parts]
            spare = HEIGHT / max(sum(heights), HEIGHT)
            landed, refused, unanswered = (round(height * spare, 2) for height in heights)
            found.append(DayBar(day, counts, number * STEP, landed, refused, unanswered))
    return found


def _rows(counts: DayCounts) -> int:
    return counts.landed + counts.refused + counts.unanswered
