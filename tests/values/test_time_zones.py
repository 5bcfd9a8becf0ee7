"""Claims about time zones: offsets and dates as the zone database has them, and how moments are read."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.time_zones import local_date, offset_hours, parse_moment, zone

from .fields import DATE, INSTANTS, ZONES, properties


def own_offset(name: str, moment: dt.datetime) -> dt.timedelta:
    """Return the offset by zoneinfo itself."""
    offset = moment.astimezone(zoneinfo.ZoneInfo(name)).utcoffset()
    assert offset is not None
    return offset


def check_zone(name: str, moment: dt.datetime) -> None:
    """Check that offset, date, and the date field agree with zoneinfo at that moment."""
    offset = own_offset(name, moment)
    text = offset_hours(moment, name)
    assert "e" not in text.lower()
    assert text == "0" or text.strip("-")[-1] != "0" or "." not in text
    if offset % dt.timedelta(minutes=15):
        assert abs(Decimal(text) * 3600 - Decimal(offset.total_seconds())) < 1
    else:
        assert Decimal(text) * 3600 == Decimal(offset.total_seconds())
    expected = (moment.replace(tzinfo=None) + offset).date()
    assert local_date(moment, name) == expected
    assert ValueRules(timezone=name).value(DATE, moment) == expected


@properties
@given(name=st.sampled_from(ZONES), moment=INSTANTS)
@example(name="Asia/Kathmandu", moment=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
@example(name="America/St_Johns", moment=dt.datetime(2026, 7, 1, tzinfo=dt.UTC))
@example(name="Pacific/Kiritimati", moment=dt.datetime(2026, 7, 1, tzinfo=dt.UTC))
@example(name="Australia/Lord_Howe", moment=dt.datetime(2026, 7, 1, tzinfo=dt.UTC))
def test_offset_and_date_equal_the_zone_database(name: str, moment: dt.datetime) -> None:
    """For any IANA zone and instant, the offset in hours and the local date equal the zone database's."""
    check_zone(name, moment)


@properties
@given(name=st.sampled_from(ZONES), year=st.integers(1990, 2039))
@example(name="America/New_York", year=2026)
@example(name="Australia/Lord_Howe", year=2026)
@example(name="Pacific/Apia", year=2011)
@example(name="Asia/Pyongyang", year=2015)
def test_offset_and_date_are_right_to_the_second_of_a_clock_change(name: str, year: int) -> None:
    """On both sides of every clock change of a year, to the second, offset and date are those in force."""
    weeks = [dt.datetime(year, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=7 * week) for week in range(54)]
    for before, after in pairwise(weeks):
        if own_offset(name, before) == own_offset(name, after):
            continue
        low, high = int(before.timestamp()), int(after.timestamp())
        while high - low > 1:
            middle = (low + high) // 2
            same = own_offset(name, dt.datetime.fromtimestamp(middle, dt.UTC)) == own_offset(name, before)
            low, high = (middle, high) if same else (low, middle)
        for second in (low - 1, low, high, high + 1):
            check_zone(name, dt.datetime.fromtimestamp(second, dt.UTC))


@pytest.mark.parametrize(
    ("moment", "name", "hours"),
    [
        (dt.datetime(2026, 3, 8, 6, 59, 59, tzinfo=dt.UTC), "America/New_York", "-5"),
        (dt.datetime(2026, 3, 8, 7, tzinfo=dt.UTC), "America/New_York", "-4"),
        (dt.datetime(2026, 7, 1, tzinfo=dt.UTC), "America/St_Johns", "-2.5"),
        (dt.datetime(2026, 7, 1, tzinfo=dt.UTC), "Asia/Kathmandu", "5.75"),
        (dt.datetime(2026, 7, 1, tzinfo=dt.UTC), "Etc/GMT-10", "10"),
        (dt.datetime(2026, 7, 1, tzinfo=dt.UTC), "UTC", "0"),
    ],
)
def test_offset_hours_examples(moment: dt.datetime, name: str, hours: str) -> None:
    """Offsets are written in plain hours, positive east, quarters included."""
    assert offset_hours(moment, name) == hours


@properties
@given(text=st.text() | st.from_regex(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?\s?(Z|[+-]\d\d(:?\d\d)?)?)?"))
def test_any_text_is_a_moment_or_none(text: str) -> None:
    """Reading a date from any text gives a date, a time or None, and never raises."""
    assert isinstance(parse_moment(text), (dt.date, type(None)))


def test_iso_texts_are_read_whole() -> None:
    """Both ISO forms and their usual spellings are read; other spellings of a date are not guessed."""
    moment = dt.datetime(2026, 3, 1, 23, 30, 0, 120_000, dt.timezone(dt.timedelta(hours=-5)))
    for text in ("2026-03-01T23:30:00.12-05:00", "2026-03-01 23:30:00,120 -0500", " 2026-03-01T23:30:00.120-05 "):
        assert parse_moment(text) == moment
    for text in ("01.03.2026", "3/1/2026", "20260301", "2026-3-1", "2026-02-30", "2026-W09-7", "", "today"):
        assert parse_moment(text) is None


@pytest.mark.parametrize(
    "name", ["", "Mars/Phobos", "../etc/passwd", "\0", "America", "New York", 5, "\ud800", "A" * 999]
)
def test_an_unknown_zone_is_an_error_that_shows_how_to_write_one(name: str) -> None:
    """A zone that the database does not have is a configuration error with an example."""
    with pytest.raises(ConfigurationError, match="write one such as 'America/New_York'"):
        zone(name)


@pytest.mark.parametrize(
    "name",
    [
        *("Factory", "localtime", "posixrules", "posix/Europe/Berlin", "right/UTC", "Right/UTC", "SystemV/EST5"),
        *("/usr/share/zoneinfo/UTC", "Europe/../UTC", "./UTC", "tzdata.zi", "zone.tab", "leapseconds"),
    ],
)
def test_a_file_of_the_zone_database_that_is_no_place(name: str) -> None:
    """A file of the database that is no place is no zone: other machines have other files, or count leap seconds."""
    with pytest.raises(ConfigurationError, match="write one such as"):
        zone(name)


@pytest.mark.parametrize(
    "name", ["UTC", "Etc/GMT+5", "America/Argentina/Buenos_Aires", "America/Port-au-Prince", "EST5EDT"]
)
def test_a_zone_of_a_place(name: str) -> None:
    """Every name that has the form of a zone and is in the database is one."""
    assert zone(name).name == name
