"""Find the runs of a DAG's timetable before and after a point in time."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

import pendulum
from airflow.timetables.base import DataInterval, TimeRestriction

if TYPE_CHECKING:
    from airflow.timetables.base import Timetable

_FIRST_STEP_BACK = dt.timedelta(minutes=1)
_LONGEST_STEP_BACK = dt.timedelta(days=3660)
_MOST_RUNS = 2000
_INSTANT = dt.timedelta(microseconds=1)
# What a user's own timetable may raise for a time that it does not expect.
_NO_ANSWER = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class ScheduledRun(NamedTuple):
    """A run that the schedule makes.

    Attributes:
        start: Start of its data interval, which is its logical date.
        end: End of its data interval.
        run_after: Time at which it is due.
    """

    start: dt.datetime
    end: dt.datetime
    run_after: dt.datetime


class Schedule:
    """The runs that a timetable makes.

    Args:
        timetable: Airflow's timetable (not the SDK's description of it), or None if it is unknown.
    """

    def __init__(self, timetable: Timetable | None) -> None:
        # Without a period (`@once`, `@continuous`, assets, None) no date identifies a run.
        self._timetable = timetable if timetable is not None and timetable.periodic else None
        self._manual = timetable

    def around(self, moment: dt.datetime) -> tuple[ScheduledRun | None, ScheduledRun | None] | None:
        """Return the last run with a logical date up to a point in time, and the first run after it.

        Returns:
            None if the schedule has no period or does not answer; a run is None if the schedule has no such run.
        """
        if self._timetable is None:
            return None
        try:
            return self._around(moment)
        except _NO_ANSWER:
            return None

    def intervals_by_hand(
        self, logical_date: dt.datetime, run_after: dt.datetime
    ) -> set[tuple[dt.datetime, dt.datetime]]:
        """Return the data intervals that Airflow itself gives to a run that is started by hand.

        The REST API uses the interval before the logical date; the command line and `TriggerDagRunOperator` use the
        interval before the time at which the run was requested.
        """
        if self._manual is None:
            return set()
        try:
            found = [
                self._manual.infer_manual_data_interval(run_after=pendulum.instance(moment))
                for moment in (logical_date, run_after)
            ]
        except _NO_ANSWER:
            return set()
        return {(interval.start, interval.end) for interval in found}

    def _around(self, moment: dt.datetime) -> tuple[ScheduledRun | None, ScheduledRun | None]:
        first = self._first(moment)
        # Timetables search by the time at which a run is due or by its start, which is one interval earlier.
        shift = max(moment - first.start, dt.timedelta()) if first is not None else dt.timedelta()
        if first is not None and self._starts_anywhere(moment, first):
            return self._first(moment + shift), None
        back = _FIRST_STEP_BACK
        while back <= _LONGEST_STEP_BACK:
            earlier = self._first(moment + shift - back)
            if earlier is not None and earlier.start <= moment:
                return self._last_up_to(moment, earlier)
            back *= 2
        return None, first

    def _starts_anywhere(self, moment: dt.datetime, first: ScheduledRun) -> bool:
        """Return whether a run can start at any time, as with `schedule=timedelta(...)`."""
        following = self._first(moment + _INSTANT)
        return following is not None and following.start - first.start == _INSTANT

    def _last_up_to(self, moment: dt.datetime, run: ScheduledRun) -> tuple[ScheduledRun, ScheduledRun | None]:
        for _ in range(_MOST_RUNS):
            following = self._next(run)
            if following is None or following.start > moment:
                return run, following
            if following.start <= run.start:
                break
            run = following
        msg = f"the runs of {self._timetable} before {moment} cannot be listed"
        raise LookupError(msg)

    def _first(self, earliest: dt.datetime) -> ScheduledRun | None:
        return self._ask(None, earliest)

    def _next(self, run: ScheduledRun) -> ScheduledRun | None:
        return self._ask(DataInterval(pendulum.instance(run.start), pendulum.instance(run.end)), None)

    def _ask(self, last: DataInterval | None, earliest: dt.datetime | None) -> ScheduledRun | None:
        if self._timetable is None:
            raise LookupError
        restriction = TimeRestriction(None if earliest is None else pendulum.instance(earliest), None, catchup=True)
        info = self._timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        if info is None or info.data_interval is None:
            return None
        return ScheduledRun(info.data_interval.start, info.data_interval.end, info.run_after)
