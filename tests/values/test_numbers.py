"""Claims about numbers: exact or refused, rounded once, and whole after the trip as JSON."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.values.conversion import ValueRules, same_value
from airflow_provider_crm.values.numbers import ROUNDINGS, exact_decimal, json_number
from airflow_provider_crm.values.opportunity import Field

from .fields import INTEGER, MONEY, NUMBER, NUMBERS, RULES, TEXT, exact, properties, refusal


def rounded(number: Fraction, rule: str) -> int:
    """Round a fraction to a whole number by a named rule, without the decimal module."""
    low, high = floor(number), ceil(number)
    toward_zero, away = (low, high) if number >= 0 else (high, low)
    if rule in ("half-even", "half-up", "half-down"):
        distance = abs(number - toward_zero)
        if distance != Fraction(1, 2):
            return toward_zero if distance < Fraction(1, 2) else away
        if low == high:
            return low
        return {"half-up": away, "half-down": toward_zero, "half-even": low if low % 2 == 0 else high}[rule]
    return {"floor": low, "ceiling": high, "down": toward_zero, "up": away}[rule]


@properties
@given(raw=NUMBERS, rule=st.sampled_from(sorted(ROUNDINGS)))
@example(raw=0.125, rule="half-even")
@example(raw=1.005, rule="half-up")
@example(raw=10**500, rule="half-even")
@example(raw=-(10**5000), rule="half-even")
@example(raw=Decimal("1." + "3" * 900), rule="up")
def test_money_is_exact_arithmetic_rounded_once(raw: Decimal | float, rule: str) -> None:
    """Money equals exact arithmetic rounded once, by each named rule; what a JSON number cannot carry is refused."""
    minor = rounded(exact(raw) * 100, rule)
    try:
        value = ValueRules(rounding=rule).value(MONEY, raw)
    except InvalidValueError as err:
        assert err.code == "TOO_LARGE"  # noqa: PT017
        beyond = not Fraction(1, 10**90) < abs(exact(raw)) < 10**15
        assert beyond or len(str(abs(minor)).rstrip("0")) > 15
        return
    assert isinstance(value, Decimal)
    assert Fraction(value) == Fraction(minor, 100)
    assert value.as_tuple().exponent == -2
    assert not (value == 0 and value.is_signed())
    assert json.loads(json.dumps(json_number(value)), parse_float=Decimal) == value


@properties
@given(raw=NUMBERS)
@example(raw=Decimal("1." + "0" * 450 + "1"))
@example(raw=1e99)
@example(raw=10**5000)
def test_json_number_reads_back_exactly(raw: Decimal | float) -> None:
    """Every number that the rules let through survives JSON as exactly the number that the row had."""
    try:
        value = RULES.value(NUMBER, raw)
    except InvalidValueError as err:
        assert err.code in {"TOO_PRECISE", "TOO_LARGE"}  # noqa: PT017
        return
    assert isinstance(value, Decimal)
    assert Fraction(value) == exact(raw)
    assert json.loads(json.dumps(json_number(value)), parse_float=Decimal) == value


@properties
@given(raw=NUMBERS)
@example(raw=2**53 + 1)
@example(raw=9_999_999_999_999_999)
def test_whole_numbers_survive_a_server_that_reads_doubles(raw: Decimal | float) -> None:
    """A whole number is the same after a server has read it as a double; what would not be is refused."""
    try:
        value = RULES.value(INTEGER, raw)
    except InvalidValueError as err:
        assert err.code in {"NOT_WHOLE", "TOO_LARGE"}  # noqa: PT017
        return
    assert type(value) is int
    assert value == exact(raw)
    assert int(float(value)) == value


@pytest.mark.parametrize("field", [MONEY, NUMBER, INTEGER], ids=lambda field: field.kind.name)
@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (float("nan"), "NOT_FINITE"),
        (float("inf"), "NOT_FINITE"),
        (Decimal("NaN"), "NOT_FINITE"),
        (Decimal("sNaN"), "NOT_FINITE"),
        (Decimal("-Infinity"), "NOT_FINITE"),
        (True, "BOOLEAN"),
        ("", "NOT_A_NUMBER"),
        ("abc", "NOT_A_NUMBER"),
        ("nan", "NOT_A_NUMBER"),
        ("Infinity", "NOT_A_NUMBER"),
        ("1,000.00", "NOT_A_NUMBER"),
        ("1_000", "NOT_A_NUMBER"),
        ("$5", "NOT_A_NUMBER"),
        ("0x10", "NOT_A_NUMBER"),
        ("١٢", "NOT_A_NUMBER"),
        ("1e5 ", None),
        ("1e500", "TOO_LARGE"),
        ("1e-500", "TOO_LARGE"),
        (10**5000, "TOO_LARGE"),
        (b"5", "NOT_A_NUMBER"),
        (dt.date(2026, 1, 1), "NOT_A_NUMBER"),
        (object(), "NOT_A_NUMBER"),
        ({"a": 1}, "NOT_A_NUMBER"),
    ],
    ids=lambda raw: str(raw)[:20] if not isinstance(raw, int) or raw is True else "huge",
)
def test_what_is_no_number_is_refused(field: Field, raw: object, code: str | None) -> None:
    """NaN, infinity, booleans, huge numbers and text that is no plain number never become a number."""
    if code is None:
        assert RULES.value(field, raw) == 100_000
    else:
        assert refusal(field, raw).code == code


def test_a_numpy_float_reads_like_the_float_it_is() -> None:
    """A float subclass whose repr is another (numpy's) is read by the float's own shortest text."""
    assert exact_decimal(MONEY, np.float64(0.1)) == Decimal("0.1")


@properties
@given(raw=st.floats(allow_nan=False, allow_infinity=False))
@example(raw=0.8444218515250481)
@example(raw=5e-324)
@example(raw=1.7976931348623157e308)
@example(raw=-0.0)
def test_a_number_field_takes_any_double(raw: float) -> None:
    """A double arrives bit by bit, also from the text or decimal that stands for it."""
    for same in (raw, repr(raw), Decimal(repr(raw)), np.float64(raw)):
        value = RULES.value(NUMBER, same)
        assert isinstance(value, Decimal)
        sent = json.loads(json.dumps(json_number(value)))
        assert float(sent) == raw
        assert same_value(value, raw)
        assert same_value(value, f"{raw:.17g}") or len(value.as_tuple().digits) <= 15
        assert same_value(value, math.nextafter(raw, 0 if raw else 1)) is False


def test_what_no_double_carries_is_refused() -> None:
    """A decimal between two doubles stays refused in a number field, and money keeps the rule of 15 digits."""
    for raw in (Decimal("0.12345678901234567890"), "0.1000000000000000055", 2**53 + 1):
        assert refusal(NUMBER, raw).code == "TOO_PRECISE"
    assert refusal(MONEY, 90071992547409.93).code == "TOO_LARGE"
    assert refusal(NUMBER, "1e400").code == "TOO_LARGE"


@pytest.mark.parametrize("raw", ["1.234", "12.345", " -123.000 ", "+1.000"])
@pytest.mark.parametrize("field", [MONEY, INTEGER], ids=str)
def test_a_point_before_three_digits_of_text_is_not_guessed(field: Field, raw: str) -> None:
    """Text such as 1.234 means 1234 in half of the world: no money and no count is made of it."""
    for rounding in (*ROUNDINGS, "refuse"):
        err = refusal(field, raw, ValueRules(rounding=rounding))
        assert err.code == "THOUSANDS"
        assert raw in str(err)


def test_a_point_that_only_sets_off_decimals_is_read() -> None:
    """Numbers are never unclear, nor is text with other digits; text and number fields take 1.234 as it stands."""
    for raw in (1.234, Decimal("1.234"), "1.23", "0.500", "1234.567", "1.2345", ".123"):
        assert RULES.value(MONEY, raw) == round(Decimal(str(raw)), 2)
    assert RULES.value(NUMBER, "1.234") == Decimal("1.234")
    assert RULES.value(TEXT, "1.234") == "1.234"


@pytest.mark.parametrize(
    "raw", ["1.234,56", "1,234.56", "1,5", "1 234", "1\u202f234", "\u20ac5", "5 EUR", "5%", "(5)", "5-", "\u0661\u0662",
            "\uff11\uff12", "0b1", "1_000", "1e", "e5", "--1", "1.2.3", "1'000", "\u00bd", "inf", "-nan", "#N/A"]
)  # fmt: skip
def test_other_spellings_of_numbers_are_refused(raw: str) -> None:
    """Groups of digits, decimal commas, signs of money and other digits than 0 to 9 are not guessed either."""
    for field in (MONEY, NUMBER, INTEGER):
        assert refusal(field, raw).code == "NOT_A_NUMBER"


def test_rounding_can_be_refused() -> None:
    """With "refuse" an amount is written as it stands or not at all, one by one and as a column."""
    exact = ValueRules(rounding="refuse")
    for raw in (1, 1.5, 1.25, "7", "1.2300", Decimal("1.10"), "1e3"):
        assert exact.value(MONEY, raw) == Decimal(str(raw))
    for raw in (1.005, 0.1 + 0.2, Decimal("0.001"), "1234.567", 1e-7):
        err = refusal(MONEY, raw, exact)
        assert err.code == "ROUNDING"
        assert str(err).startswith(
            "deal_value keeps 2 decimal places, and rounding is 'refuse'; round it in the query. "
        )
    assert exact.values(MONEY, [Decimal("1.10"), Decimal(2)]) == [Decimal("1.10"), Decimal("2.00")]
    for column in ([Decimal("1.10"), Decimal("1.005")], [1.5, 1.005]):
        assert exact.values(MONEY, column) is None
