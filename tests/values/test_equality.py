"""Claims about the echo: when a record shows the value that was sent."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from decimal import Decimal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.values.equality import same_value
from airflow_provider_crm.values.numbers import json_number
from airflow_provider_crm.values.time_zones import zone

from .fields import INSTANTS, MONEY, NUMBERS, RULES, ZONES, properties


@properties
@given(raw=NUMBERS, shift=st.integers(-5, 5))
def test_numbers_compare_as_decimals_however_they_are_shown(raw: Decimal | float, shift: int) -> None:
    """A number is the same when shown as a number, as text or with trailing zeros, and no other number is."""
    try:
        value = RULES.value(MONEY, raw)
    except InvalidValueError:
        assume(False)  # noqa: FBT003
    assert isinstance(value, Decimal)
    for shown in (json_number(value), str(value), f"{value}0", f" {value:f} ", float(value)):
        assert same_value(value, shown)
    other = value + shift * Decimal("0.01")
    assert same_value(value, str(other)) is (shift == 0)
    assert not same_value(value, None)
    assert not same_value(value, bool(value))


@properties
@given(name=st.sampled_from(ZONES), moment=INSTANTS, shown_in=st.sampled_from(ZONES))
@example(
    name="America/New_York", moment=dt.datetime(2026, 11, 1, 5, 30, tzinfo=dt.UTC), shown_in="UTC"
)  # the first 01:30
@example(name="America/New_York", moment=dt.datetime(2026, 11, 1, 6, 30, tzinfo=dt.UTC), shown_in="America/New_York")
def test_moments_compare_as_instants(name: str, moment: dt.datetime, shown_in: str) -> None:
    """An instant is the same in any zone in which it is sent or shown, also in the hour that the clock repeats."""
    sent = moment.astimezone(zone(name))
    assert same_value(sent, moment.astimezone(zoneinfo.ZoneInfo(shown_in)).isoformat())
    assert same_value(sent, moment.isoformat().replace("+00:00", "Z"))
    assert not same_value(sent, (moment + dt.timedelta(hours=1)).isoformat())
    assert not same_value(sent, moment.replace(tzinfo=None).isoformat())


def test_moments_at_the_ends_of_the_calendar_compare_too() -> None:
    """A moment that no other zone can write is still the same as itself."""
    for hours, moment in ((14, dt.datetime.min), (-12, dt.datetime.max)):  # noqa: DTZ901
        sent = moment.replace(tzinfo=dt.timezone(dt.timedelta(hours=hours)))
        assert same_value(sent, sent.isoformat())
        assert not same_value(sent, moment.replace(tzinfo=dt.UTC).isoformat())


@pytest.mark.parametrize(
    ("sent", "shown", "same"),
    [
        (None, None, True),
        (None, "", True),
        (None, [], True),
        (None, 0, False),
        (None, "x", False),
        ("a", " a ", True),
        ("a", "b", False),
        ("5", 5, True),
        ("a", None, False),
        (dt.date(2026, 3, 1), "2026-03-01", True),
        (dt.date(2026, 3, 1), "2026-03-01T00:00:00+00:00", True),
        (dt.date(2026, 3, 1), "2026-03-02", False),
        (dt.date(2026, 3, 1), None, False),
        (dt.date(2026, 3, 1), 20260301, False),
        (("a", "b"), ["b", "a"], True),
        (("a", "a"), ["a", "b"], False),
        (("a",), ["a", "b"], False),
        (("a",), "a", False),
        ((), [], True),
        (1, True, False),
        (1, "1.00", True),
        (1, "one", False),
        (1, float("nan"), False),
        (1, float("inf"), False),
        (1, {}, False),
    ],
)
def test_same_value_examples(sent: object, shown: object, same: object) -> None:
    """Values that a vendor shows are compared by meaning: lists without order, text trimmed, null as cleared."""
    assert same_value(sent, shown) is same  # type: ignore[arg-type]
