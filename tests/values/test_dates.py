"""Claims about dates: cut in the right zone, within sensible years, or refused."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.values.conversion import ValueRules

from .fields import DATE, DATETIME, NEW_YORK, RULES, TEXT, ZONES, properties, refusal


def test_a_date_stays_a_date_and_a_moment_needs_a_zone() -> None:
    """A date is never shifted; an aware time is cut in the zone; without a zone the message names the way out."""
    assert NEW_YORK.value(DATE, dt.date(2026, 3, 1)) == dt.date(2026, 3, 1)
    assert RULES.value(DATE, "2026-03-01") == dt.date(2026, 3, 1)
    assert NEW_YORK.value(DATE, "2026-03-01T03:00:00Z") == dt.date(2026, 2, 28)
    assert NEW_YORK.value(DATE, dt.datetime(2026, 3, 1, 23, 30)) == dt.date(2026, 3, 1)  # noqa: DTZ001
    assert not isinstance(NEW_YORK.value(DATE, dt.datetime(2026, 3, 1, tzinfo=dt.UTC)), dt.datetime)
    err = refusal(DATE, dt.datetime(2026, 3, 1, tzinfo=dt.UTC))
    assert err.code == "NO_TIMEZONE"
    assert "timezone='Area/City'" in str(err)


@pytest.mark.parametrize(
    "raw",
    [
        dt.date(9999, 12, 31),
        dt.date.min,
        dt.date(1899, 12, 31),
        dt.date(2201, 1, 1),
        dt.datetime.max,  # noqa: DTZ901
        dt.datetime.min,  # noqa: DTZ901
        dt.datetime.max.replace(tzinfo=dt.UTC),
        dt.datetime(2201, 1, 1, 12, tzinfo=dt.UTC),
        "9999-12-31",
        "0001-01-01T00:00:00+00:00",
    ],
)
def test_no_deal_is_won_in_a_year_that_stands_for_infinity(raw: object) -> None:
    """Dates and times outside 1900 to 2200 are refused by every field that would take them as such."""
    moment = isinstance(raw, dt.datetime) or "T" in str(raw)
    for field in (DATE, *([DATETIME] if moment else []), *([] if isinstance(raw, str) else [TEXT])):
        err = refusal(field, raw, NEW_YORK)
        assert err.code == "DATE_RANGE"
        assert "takes dates of the years 1900 to 2200 (infinity is no date), the row has" in str(err)


def test_the_years_that_are_taken() -> None:
    """Both ends count by the date in the zone; words for infinity and numbers are no dates at all."""
    for day in (dt.date(1900, 1, 1), dt.date(2200, 12, 31)):
        assert RULES.value(DATE, day) == day
    assert refusal(DATE, dt.datetime(1900, 1, 1, tzinfo=dt.UTC), NEW_YORK).code == "DATE_RANGE"
    assert NEW_YORK.value(DATE, dt.datetime(2201, 1, 1, tzinfo=dt.UTC)) == dt.date(2200, 12, 31)
    for raw in ("infinity", "-infinity", float("inf"), "15000-01-01", "0044-03-15 BC", "0000-00-00", 20260301):
        assert refusal(DATE, raw, NEW_YORK).code == "NOT_A_DATE"
        assert refusal(DATETIME, raw, NEW_YORK).code == "NOT_A_DATE"


def test_a_time_that_the_clock_change_makes_unclear_is_refused() -> None:
    """A naive time that happens twice or never is refused; the hours around it get the right offset."""
    for naive in (dt.datetime(2026, 3, 8, 2, 30), dt.datetime(2026, 11, 1, 1, 30)):  # noqa: DTZ001
        assert refusal(DATETIME, naive, NEW_YORK).code == "DST"
    value = NEW_YORK.value(DATETIME, dt.datetime(2026, 3, 8, 3, 0))  # noqa: DTZ001
    assert isinstance(value, dt.datetime)
    assert value.astimezone(dt.UTC) == dt.datetime(2026, 3, 8, 7, tzinfo=dt.UTC)
    assert refusal(DATETIME, dt.datetime(2026, 3, 8)).code == "NO_TIMEZONE"  # noqa: DTZ001
    assert refusal(DATETIME, dt.date(2026, 3, 8), NEW_YORK).code == "DATE_ONLY"


@properties
@given(
    name=st.sampled_from(ZONES),
    naive=st.datetimes() | st.sampled_from([dt.datetime.min, dt.datetime.max]),  # noqa: DTZ901
    offset=st.none() | st.integers(-1439, 1439),
)
def test_every_moment_is_a_value_or_an_invalid_value(name: str, naive: dt.datetime, offset: int | None) -> None:
    """Up to both ends of the calendar, a moment becomes a value or an InvalidValueError, nothing else."""
    raw = naive if offset is None else naive.replace(tzinfo=dt.timezone(dt.timedelta(minutes=offset)))
    for field in (DATE, DATETIME, TEXT):
        try:
            ValueRules(timezone=name).value(field, raw)
        except InvalidValueError as err:
            assert err.code in {"DST", "DATE_RANGE"}  # noqa: PT017
            assert err.code == "DST" or not 1901 <= naive.year <= 2199  # noqa: PT017
