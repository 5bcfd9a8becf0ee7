"""The data time of a run, by the timetables of Airflow itself."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from functools import lru_cache
from itertools import pairwise

import pendulum
import pytest
from airflow.timetables import events, interval, simple, trigger
from airflow.timetables.assets import AssetOrTimeSchedule
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_crm.sync.data_time import DataTime, Interval, RunDates, data_time
from airflow_provider_crm.sync.schedule import Schedule

UTC = dt.UTC
DAY, NO_TIME = dt.timedelta(days=1), dt.timedelta()
# The weeks in which clocks change, somewhere.
SPRING = pendulum.datetime(2026, 3, 28), pendulum.datetime(2026, 4, 7)
AUTUMN = pendulum.datetime(2026, 10, 24), pendulum.datetime(2026, 11, 3)
AROUND = dt.timedelta(days=11)
NOW = dt.datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
NEW_YORK = "America/New_York"
DAILY = interval.CronDataIntervalTimetable("0 0 * * *", "UTC")
NIGHTLY = interval.CronDataIntervalTimetable("0 0 * * *", NEW_YORK)
MORNING = trigger.CronTriggerTimetable("0 6 * * *", timezone="UTC")
MIDNIGHT = trigger.CronTriggerTimetable("0 0 * * *", timezone="UTC")
EVENTS = [pendulum.datetime(2026, 1, 2, 18).add(days=9 * number) for number in range(40)]
TIMETABLES = {
    "data interval, daily": DAILY,
    "data interval, New York": NIGHTLY,
    "data interval, Sydney": interval.CronDataIntervalTimetable("30 2 * * *", "Australia/Sydney"),
    "data interval, six in the morning": interval.CronDataIntervalTimetable("0 6 * * *", "UTC"),
    "data interval, hourly": interval.CronDataIntervalTimetable("0 * * * *", NEW_YORK),
    "data interval, weekly": interval.CronDataIntervalTimetable("0 4 * * 1", "Europe/Berlin"),
    "data interval, working days": interval.CronDataIntervalTimetable("0 22 * * 1-5", "Asia/Tokyo"),
    "trigger, daily": MIDNIGHT,
    "trigger, six in the morning": MORNING,
    "trigger, New York": trigger.CronTriggerTimetable("15 23 * * *", timezone=NEW_YORK),
    "trigger with an interval": trigger.CronTriggerTimetable("0 6 * * *", timezone="UTC", interval=DAY),
    "trigger, hourly, of a day each": trigger.CronTriggerTimetable("0 * * * *", timezone="UTC", interval=DAY),
    "several triggers": trigger.MultipleCronTriggerTimetable("0 6 * * *", "30 18 * * 5", timezone="Asia/Kolkata"),
    "events": events.EventsTimetable(EVENTS),
    "assets or time": AssetOrTimeSchedule(timetable=NIGHTLY, assets=[]),
}
WITHOUT_PERIOD = {
    "none": simple.NullTimetable(),
    "once": simple.OnceTimetable(),
    "continuous": simple.ContinuousTimetable(),
    "assets": simple.AssetTriggeredTimetable([]),
}
MOMENTS = st.one_of(
    *(st.datetimes(early.naive(), late.naive(), timezones=st.just(UTC)) for early, late in (SPRING, AUTUMN))
)
# A date alone, as a person types it.
MOMENTS |= MOMENTS.map(lambda moment: moment.replace(hour=0, minute=0, second=0, microsecond=0))
WAYS = st.sampled_from(["rest", "cli"])


def at(text):
    """A moment, in UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=UTC)


@lru_cache
def scheduled(name, weeks=SPRING):
    """All runs of a timetable in some weeks and around them, one after the other, as the scheduler makes them."""
    found, last = [], None
    restriction = TimeRestriction(weeks[0] - AROUND, weeks[1] + AROUND, catchup=True)
    ask = TIMETABLES[name].next_dagrun_info
    while (info := ask(last_automated_data_interval=last, restriction=restriction)) is not None:
        found.append(info)
        last = info.data_interval
    return found


def of_schedule(info, now=NOW):
    """The data time of a run that the scheduler made."""
    run = RunDates(info.run_after, info.logical_date, Interval(*info.data_interval), scheduled=True)
    return data_time(run, Schedule(None), now)


def by_hand(timetable, logical_date, *, run_after=NOW, way="rest", now=None):
    """Return the data time of a run that is started by hand, with the interval that Airflow gives it."""
    asked = logical_date if way == "rest" else run_after
    given_interval = timetable.infer_manual_data_interval(run_after=pendulum.instance(asked))
    run = RunDates(run_after, logical_date, Interval(*given_interval))
    return data_time(run, Schedule(timetable), now or run_after)


def own_and_next(name, moment):
    """The scheduled run that a moment stands for, and the next: the last one up to it, or a later one of its day."""
    runs = scheduled(name, SPRING if moment < AUTUMN[0] else AUTUMN)
    number = bisect_right(runs, moment, key=lambda info: info.logical_date) - 1
    before, after = (info.logical_date.astimezone(UTC).date() for info in runs[number : number + 2])
    number += before != moment.date() == after
    return runs[number : number + 2]


@settings(deadline=None, derandomize=True, max_examples=150)
@given(name=st.sampled_from(list(TIMETABLES)), way=WAYS, moment=MOMENTS)
@example(name="data interval, New York", way="cli", moment=at("2026-11-01"))
@example(name="data interval, hourly", way="cli", moment=at("2026-11-01T05:30"))
def test_a_run_by_hand_lies_between_its_own_scheduled_run_and_the_next(name, way, moment):
    """It is not older than the run of its day, so it can repair it, and older than all later ones."""
    own, following = own_and_next(name, moment)
    found = by_hand(TIMETABLES[name], moment, way=way)
    assert of_schedule(own).as_of <= found.as_of < of_schedule(following).as_of
    assert found.doubt == ""


@pytest.mark.parametrize("name", TIMETABLES)
@pytest.mark.parametrize("way", ["rest", "cli"])
def test_a_run_by_hand_of_a_scheduled_date_is_as_that_run(name, way):
    """The same logical date is the same data time, to the microsecond, and the same last day."""
    for info in scheduled(name)[10:20]:
        assert by_hand(TIMETABLES[name], info.logical_date, way=way) == of_schedule(info)


@pytest.mark.parametrize("name", TIMETABLES)
def test_scheduled_runs_are_in_the_order_of_the_schedule(name):
    """Each run is newer than the one before, and no data is of a time after its run."""
    times = [of_schedule(info).as_of for info in scheduled(name)]
    assert all(one < two for one, two in pairwise(times))
    assert all(time <= info.run_after for time, info in zip(times, scheduled(name), strict=True))


@settings(deadline=None, derandomize=True)
@given(
    name=st.sampled_from([*TIMETABLES, *WITHOUT_PERIOD]),
    way=WAYS,
    moment=MOMENTS,
    after=st.timedeltas(NO_TIME, 3 * DAY),
)
def test_no_data_is_of_the_future(name, way, moment, after):
    """A period that has not ended counts up to the clock: its scheduled run is still to come."""
    timetable = {**TIMETABLES, **WITHOUT_PERIOD}[name]
    found = by_hand(timetable, moment, run_after=moment + after, way=way)
    assert found.as_of <= moment + after


@pytest.mark.parametrize("name", WITHOUT_PERIOD)
def test_without_a_period_the_older_date_counts(name):
    """`trigger -l` gives a run of now and a date in the past; nothing says which is meant, and the log says that."""
    found = by_hand(WITHOUT_PERIOD[name], at("2026-11-22"), way="cli")
    assert found.as_of == at("2026-11-22")
    assert "2026-11-22T00:00:00+00:00 lies outside the run's data interval, 2026-11-28T09:30:00+00:00 to" in found.doubt
    assert by_hand(WITHOUT_PERIOD[name], at("2026-11-22"), way="rest") == DataTime(at("2026-11-22"))


def hand(logical_date, interval_start, interval_end):
    """Dates of a run with an interval of its own."""
    return RunDates(NOW, at(logical_date), Interval(at(interval_start), at(interval_end)))


@pytest.mark.parametrize(
    ("timetable", "run", "as_of", "exclusive", "doubtful"),
    [
        (DAILY, hand("2026-11-22", "2026-11-27", "2026-11-28"), "2026-11-23", True, False),
        (DAILY, hand("2026-11-22", "2026-11-21", "2026-11-22"), "2026-11-23", True, False),
        (DAILY, hand("2026-11-27", "2026-11-27", "2026-11-28"), "2026-11-28", True, False),
        (DAILY, hand("2026-11-28", "2026-11-27", "2026-11-28"), "2026-11-28T09:30", False, False),
        (DAILY, hand("2026-11-28T09:29", "2026-11-27", "2026-11-28"), "2026-11-28T09:30", False, False),
        (DAILY, hand("2026-11-28T09:29", "2026-11-20", "2026-11-21"), "2026-11-21", True, True),
        (DAILY, hand("2026-11-20", "2026-11-24", "2026-11-25"), "2026-11-21", True, True),
        (DAILY, hand("2026-11-20T08:00", "2026-11-20", "2026-11-25"), "2026-11-25", True, False),
        (DAILY, hand("2026-11-28T08:00", "2026-11-28", "2026-11-29"), "2026-11-28T09:30", False, False),
        (DAILY, hand("2031-01-01", "2026-11-27", "2026-11-28"), "2031-01-01", False, False),
        (NIGHTLY, hand("2026-11-22", "2026-11-27T05:00", "2026-11-28T05:00"), "2026-11-23T05:00", True, False),
        (NIGHTLY, hand("2026-11-01", "2026-11-27T05:00", "2026-11-28T05:00"), "2026-11-02T05:00", True, False),
        (MIDNIGHT, hand("2026-11-22", "2026-11-28T09:30", "2026-11-28T09:30"), "2026-11-22", False, False),
        (MORNING, hand("2026-11-22", "2026-11-22", "2026-11-22"), "2026-11-22T06:00", False, False),
        (MORNING, hand("2026-11-22T05:00", "2026-11-28T09:30", "2026-11-28T09:30"), "2026-11-22T06:00", False, False),
        (MORNING, hand("2026-11-22T07:00", "2026-11-28T09:30", "2026-11-28T09:30"), "2026-11-22T07:00", False, False),
        (None, hand("2026-11-22", "2026-11-27", "2026-11-28"), "2026-11-22", False, True),
        (None, hand("2026-11-28", "2026-11-27", "2026-11-28"), "2026-11-28", False, False),
    ],
)
def test_what_the_dates_of_a_run_say(timetable, run, as_of, exclusive, doubtful):
    """The date decides, and its interval gives the data time; where Airflow did not choose the interval, the older."""
    found = data_time(run, Schedule(timetable), NOW)
    assert (found.as_of, found.exclusive, bool(found.doubt)) == (at(as_of), exclusive, doubtful)


def test_an_operator_that_triggers_a_dag_without_a_schedule_raises_no_doubt():
    """It takes the clock twice, for the date and for the interval, some milliseconds apart."""
    found = by_hand(simple.NullTimetable(), NOW - dt.timedelta(milliseconds=40), way="cli")
    assert found == DataTime(NOW - dt.timedelta(milliseconds=40))


@pytest.mark.parametrize("delta", [DAY, dt.timedelta(hours=7)])
@pytest.mark.parametrize("kind", [interval.DeltaDataIntervalTimetable, trigger.DeltaTriggerTimetable])
@pytest.mark.parametrize("moment", [at("2026-11-01T05:30"), at("2026-11-22")])
def test_a_schedule_of_a_duration_starts_a_run_anywhere(kind, delta, moment):
    """Which of its runs a date means only the date itself says: the period that begins there."""
    timetable = kind(delta)
    length = delta if kind is interval.DeltaDataIntervalTimetable else NO_TIME
    assert by_hand(timetable, moment, way="cli") == DataTime(moment + length, exclusive=bool(length))


def test_a_duration_with_an_interval():
    """The run of a date is the one that begins its interval there."""
    timetable = trigger.DeltaTriggerTimetable(dt.timedelta(hours=1), interval=dt.timedelta(hours=3))
    assert by_hand(timetable, at("2026-11-22")) == DataTime(at("2026-11-22T03:00"), exclusive=True)


class OfTheWholeDay(Timetable):
    """A user's own timetable: it runs when a day begins, and that day is its data."""

    def infer_manual_data_interval(self, *, run_after):
        """The day of the moment."""
        start = run_after.start_of("day")
        return DataInterval(start, start.add(days=1))

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        """Each day, at its start."""
        start = restriction.earliest if last_automated_data_interval is None else last_automated_data_interval.end
        start = start if start == start.start_of("day") else start.start_of("day").add(days=1)
        return DagRunInfo.interval(start, start.add(days=1))._replace(run_after=start)


class Broken(OfTheWholeDay):
    """A timetable that can only be asked by the scheduler."""

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        """It looks at nothing but its last run."""
        return DagRunInfo.interval(last_automated_data_interval.start, last_automated_data_interval.end)


def test_data_of_a_day_that_has_just_begun_is_of_that_moment():
    """A run that is due before its interval ends has no data of the end; it would shut out the next one."""
    info = OfTheWholeDay().next_dagrun_info(
        last_automated_data_interval=None,
        restriction=TimeRestriction(pendulum.datetime(2026, 11, 22), None, catchup=True),
    )
    assert of_schedule(info) == DataTime(at("2026-11-22"))


def test_a_timetable_that_cannot_be_asked_is_as_none():
    """For any exception of it, the older date counts, with a warning."""
    found = data_time(hand("2026-11-22", "2026-11-27", "2026-11-28"), Schedule(Broken()), NOW)
    assert (found.as_of, bool(found.doubt)) == (at("2026-11-22"), True)


def test_a_date_before_all_events_and_one_after():
    """Before the first event there is no run to stand for; after the last one there is."""
    timetable = TIMETABLES["events"]
    assert by_hand(timetable, at("2026-01-01")) == DataTime(at("2026-01-01"))
    assert by_hand(timetable, at("2026-01-02")) == DataTime(at("2026-01-02T18:00"))
    assert by_hand(timetable, at("2027-01-05"), run_after=at("2027-02-01")) == DataTime(at("2027-01-05"))


def test_an_interval_that_goes_on_counts_up_to_now():
    """Without a logical date, data of an interval that has not ended is of this moment, so that tomorrow's is newer."""
    run = RunDates(NOW, interval=Interval(NOW - dt.timedelta(hours=2), NOW + dt.timedelta(hours=22)))
    assert data_time(run, Schedule(None), NOW) == DataTime(NOW)


def test_an_interval_that_has_not_begun_is_no_present():
    """A run for a day that has not come keeps its time, which its rows are refused for."""
    run = RunDates(NOW, interval=Interval(NOW + DAY, NOW + 2 * DAY))
    assert data_time(run, Schedule(None), NOW) == DataTime(NOW + DAY)
