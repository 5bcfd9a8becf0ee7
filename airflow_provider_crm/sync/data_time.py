"""Compute the data time of a run: the point in time that its data describes, however the run was started."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from airflow_provider_crm.sync.schedule import Schedule, ScheduledRun

# `TriggerDagRunOperator` uses the present time as the logical date, and Airflow reads the clock again for the interval.
_SAME_TIME = dt.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class DataTime:
    """The data time of a run.

    Attributes:
        as_of: The point in time.
        exclusive: Whether it is the end of an interval, and so the first point in time after the data.
        doubt: The reason why the data time is not certain, as a sentence; empty if the dates of the run determine it.
    """

    as_of: dt.datetime
    exclusive: bool = False
    doubt: str = ""


class Interval(NamedTuple):
    """A data interval, without its end; if start and end are equal, it is a point in time."""

    start: dt.datetime
    end: dt.datetime


@dataclass(frozen=True, slots=True)
class RunDates:
    """The dates that Airflow gives to a run.

    Attributes:
        run_after: Earliest start of the run.
        logical_date: The date that identifies the run within the schedule, or None.
        interval: Its data interval, or None.
        partition_date: Start of its partition, or None.
        partition_key: Name of its partition, or None.
        scheduled: Whether the schedule or a backfill of it made the run.
    """

    run_after: dt.datetime
    logical_date: dt.datetime | None = None
    interval: Interval | None = None
    partition_date: dt.datetime | None = None
    partition_key: str | None = None
    scheduled: bool = False


def data_time(run: RunDates, schedule: Schedule, now: dt.datetime) -> DataTime:
    """Return the data time of a run.

    A run that is started by hand gets the data time of the scheduled run with its logical date, as `{{ ds }}` names it.
    So it can repair the values of that run, and cannot overwrite the values of later runs.

    Args:
        run: The dates of the run.
        schedule: The schedule of its DAG.
        now: The present time, which is the data time of a period that has not ended.
    """
    if run.partition_date is not None:
        return DataTime(run.partition_date)
    if run.logical_date is None:
        return _without_logical_date(run, now)
    if run.interval is None:
        return DataTime(run.logical_date)
    start, end = run.interval
    if run.scheduled and run.logical_date == start:
        return _end_of(start, end, run.run_after)
    if start <= run.logical_date < end:
        return _end_of(run.logical_date, end, now)
    return _of_logical_date(run.logical_date, run.interval, run.run_after, schedule, now)


def _without_logical_date(run: RunDates, now: dt.datetime) -> DataTime:
    if run.interval is not None:
        return _end_of(*run.interval, now)
    if run.partition_key is None:
        return DataTime(run.run_after)
    doubt = (
        f"The partition {run.partition_key!r} has no date, so its data counts as that of {run.run_after.isoformat()}, "
        "when the run was asked for. If a partition with older data may run later, name the column with the data time "
        "of each row (`as_of`)."
    )
    return DataTime(run.run_after, doubt=doubt)


def _of_logical_date(
    logical_date: dt.datetime, interval: Interval, run_after: dt.datetime, schedule: Schedule, now: dt.datetime
) -> DataTime:
    """Return the data time of a run whose logical date lies outside its interval, or is all of it."""
    around = schedule.around(logical_date)
    if around is not None:
        own = _at_most(_stands_for(logical_date, *around), max(logical_date, now))
        if interval in schedule.intervals_by_hand(logical_date, run_after):
            return own
    else:
        own = DataTime(logical_date)
    of_interval = _end_of(interval.start, interval.end, now)
    older = min(own, of_interval, key=lambda time: time.as_of)
    if abs(own.as_of - of_interval.as_of) <= _SAME_TIME:
        return older
    doubt = (
        f"The logical date {logical_date.isoformat()} lies outside the run's data interval, "
        f"{interval.start.isoformat()} to {interval.end.isoformat()}, and nothing says which of them its data is of. "
        f"The older data time counts, {older.as_of.isoformat()}: newer data in the CRM stays. If that is too old, "
        "start the run with a logical date inside its interval, or name the column with the data time of each row "
        "(`as_of`)."
    )
    return replace(older, doubt=doubt)


def _stands_for(logical_date: dt.datetime, before: ScheduledRun | None, after: ScheduledRun | None) -> DataTime:
    """Return the data time of the scheduled run that a logical date names.

    It is the last run up to that date. A date between two runs names the later one if only that run has its `ds`. So a
    day that is given as its midnight in UTC names the run that starts some hours later.
    """
    same_ds = [run is not None and _ds(run.start) == _ds(logical_date) for run in (before, after)]
    if after is not None and same_ds == [False, True]:
        return _end_of(*after)
    if before is None:
        return DataTime(logical_date)
    time = _end_of(*before)
    return time if time.as_of >= logical_date else DataTime(logical_date)


def _end_of(start: dt.datetime, end: dt.datetime, known_at: dt.datetime) -> DataTime:
    """Return the end of an interval, or the time at which its data was read, if that was earlier."""
    return _at_most(DataTime(end, exclusive=start != end), max(start, known_at))


def _at_most(time: DataTime, latest: dt.datetime) -> DataTime:
    return time if time.as_of <= latest else DataTime(latest)


def _ds(moment: dt.datetime) -> dt.date:
    """Return the date that `{{ ds }}` gives for a logical date."""
    return moment.astimezone(dt.UTC).date()
