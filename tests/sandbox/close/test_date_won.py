"""Close: the rule that dates a win."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

ONE = "/opportunity/oppo_1/"
WON = {"status_id": "stat_sales_won"}


@pytest.fixture(autouse=True)
def late_on_new_years_eve(sandbox):
    """Set the clock to 23:30 UTC on the last day of 2025, when half the world is in 2026."""
    sandbox.clock.set(datetime(2025, 12, 31, 23, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("offset", "day"),
    [
        (None, "2025-12-31"),
        ("0", "2025-12-31"),
        ("-0.0", "2025-12-31"),
        ("-5", "2025-12-31"),
        ("-5.0", "2025-12-31"),
        ("0.25", "2025-12-31"),
        ("0.5", "2026-01-01"),
        ("1", "2026-01-01"),
        ("+5.5", "2026-01-01"),
        ("5.75", "2026-01-01"),
        ("12.75", "2026-01-01"),
        ("14", "2026-01-01"),
    ],
)
def test_win_is_dated_today_at_the_callers_offset(close, offset, day):
    """Winning sets `date_won` to today at `x-tz-offset`, in hours east of UTC; without it, in UTC."""
    headers = {} if offset is None else {"x-tz-offset": offset}
    assert close.put(ONE, WON, headers=headers).json()["date_won"] == day


@pytest.mark.parametrize("offset", ["-2.5", "-3.5"])
def test_half_hours_west_count(close, sandbox, offset):
    """A half hour west of UTC moves midnight by that much."""
    sandbox.clock.set(datetime(2026, 6, 1, 3, 0, tzinfo=UTC))
    expected = {"-2.5": "2026-06-01", "-3.5": "2026-05-31"}
    assert close.put(ONE, WON, headers={"X-TZ-Offset": offset}).json()["date_won"] == expected[offset]


@pytest.mark.parametrize("offset", ["Europe/Berlin", "", "nan", "15", "-20", "5:30", "1e1"])
def test_unreadable_offset_is_400(close, sandbox, offset):
    """An offset that is no number of hours is 400, and nothing is written."""
    assert close.put(ONE, WON, headers={"x-tz-offset": offset}).status_code == 400
    assert sandbox.audit.writes == []


def test_date_on_the_record_stays(close, sandbox):
    """A record that has a `date_won` keeps it when it is won."""
    sandbox.close.add_opportunity("oppo_2", date_won="2020-02-29")
    assert close.put("/opportunity/oppo_2/", WON).json()["date_won"] == "2020-02-29"


@pytest.mark.parametrize("sent", ["2024-02-29", None])
def test_date_in_the_call_is_taken(close, sent):
    """A `date_won` in the same call is taken as sent, null too."""
    assert close.put(ONE, WON | {"date_won": sent}).json()["date_won"] == sent


def test_active_status_dates_nothing(close):
    """A status that isn't won sets no date."""
    assert close.put(ONE, {"status_id": "stat_sales_proposal"}).json()["date_won"] is None


def test_reverting_keeps_the_date(close, sandbox):
    """Leaving won doesn't clear the date, so a second win keeps the old one."""
    close.put(ONE, WON)
    close.put(ONE, {"status_id": "stat_sales_active"})
    sandbox.clock.advance(30 * 86_400)
    assert close.put(ONE, WON).json()["date_won"] == "2025-12-31"


def test_create_as_won_is_dated(close):
    """A create with a won status is dated by the same rule."""
    assert close.post("/opportunity/", WON, headers={"x-tz-offset": "1"}).json()["date_won"] == "2026-01-01"


def test_datetime_is_cut_as_written(close):
    """A datetime as `date_won` is cut to the date that it was written with."""
    assert close.put(ONE, {"date_won": "2026-03-01T23:00:00-05:00"}).json()["date_won"] == "2026-03-01"


@pytest.mark.parametrize(("cut", "day"), [("utc", "2026-03-02"), ("offset", "2026-03-02"), ("written", "2026-03-01")])
def test_cut_can_be_chosen(close, sandbox, cut, day):
    """How a datetime is cut is a switch, because the vendor doesn't say."""
    sandbox.set(close_date_won_cut=cut)
    body, headers = {"date_won": "2026-03-01T23:00:00-05:00"}, {"x-tz-offset": "9"}
    assert close.put(ONE, body, headers=headers).json()["date_won"] == day


def test_invalid_offset_can_be_ignored(close, sandbox):
    """With the switch an unreadable offset counts as absent."""
    sandbox.set(close_ignores_invalid_tz_offset=True)
    assert close.put(ONE, WON, headers={"x-tz-offset": "x"}).json()["date_won"] == "2025-12-31"


def test_default_offset_can_be_set(close, sandbox):
    """The offset that an absent header means is a switch."""
    sandbox.set(close_default_tz_offset=9)
    assert close.put(ONE, WON).json()["date_won"] == "2026-01-01"
