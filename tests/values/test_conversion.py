"""Claims about the rules for text, currencies, lists and choices, and about whole columns."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from decimal import Decimal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from airflow_provider_crm.exceptions import ConfigurationError, InvalidValueError
from airflow_provider_crm.values.conversion import ValueRules, same_value
from airflow_provider_crm.values.numbers import ROUNDINGS, json_number
from airflow_provider_crm.values.opportunity import Field
from airflow_provider_crm.values.time_zones import zone

from .fields import CURRENCY, DATE, DECIMALS, INSTANTS, MONEY, NUMBERS, RULES, TAGS, TEXT, ZONES, properties, refusal


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("", ""),
        ("  as it is ", "  as it is "),
        (5, "5"),
        (10**22, "1" + "0" * 22),
        (1.5, "1.5"),
        (1e-7, "0.0000001"),
        (4915112345678.0, "4915112345678"),
        (-0.0, "0"),
        (Decimal("12.00"), "12.00"),
        (Decimal("1E+3"), "1000"),
        (dt.date(2026, 3, 1), "2026-03-01"),
        (dt.datetime(2026, 3, 1, 1, 2, tzinfo=dt.UTC), "2026-03-01T01:02:00+00:00"),
    ],
)
def test_text_stays_and_numbers_are_written_plainly(raw: object, text: str) -> None:
    """Text stays as it is; numbers are written without exponent, a whole float (a nullable int column) without `.0`."""
    assert RULES.value(TEXT, raw) == text


@pytest.mark.parametrize("raw", [b"a", {}, object(), True, dt.timedelta(1), float("nan"), "\ud800", "a\udfff"])
def test_what_is_no_text_is_refused(raw: object) -> None:
    """Bytes, dicts, booleans, NaN and lone surrogates are no text."""
    assert refusal(TEXT, raw).code in {"NOT_TEXT", "BOOLEAN", "NOT_FINITE"}


def test_currency_codes_are_three_ascii_letters() -> None:
    """Codes come out in capitals; letters that only become ASCII as capitals are refused."""
    assert RULES.value(CURRENCY, " usd ") == "USD"
    for raw in ("", "US", "USDX", "U$D", "uß", "ﬁm", "\u0131dr", 840, "us d"):
        assert refusal(CURRENCY, raw).code == "CURRENCY"


def test_lists_go_to_fields_that_take_them() -> None:
    """A list fills a multi-value field, one value makes a list of one, and no other field takes a list."""
    assert RULES.value(TAGS, ["a", "b"]) == ("a", "b")
    assert RULES.value(TAGS, []) == ()
    assert RULES.value(TAGS, "a") == ("a",)
    assert refusal(TEXT, ["a"]).code == "LIST"
    assert refusal(TAGS, ["a", None]).code == "NULL"
    assert refusal(TAGS, [["a"]]).code == "LIST"


def test_choices_are_enforced() -> None:
    """A field with choices takes one of them, and the message names them all."""
    field = Field("value_period", "value_period", choices=("one_time", "monthly"))
    assert RULES.value(field, "monthly") == "monthly"
    assert str(refusal(field, "weekly")) == "value_period takes one of one_time, monthly; the row has 'weekly'."


def test_none_clears_what_can_be_cleared() -> None:
    """None clears a field, and is refused where the vendor has no empty value."""
    assert RULES.value(TEXT, None) is None
    assert refusal(CURRENCY, None).code == "NOT_CLEARABLE"


def test_an_unknown_rounding_lists_the_rules() -> None:
    """The error for a wrong rounding lists all that exist."""
    with pytest.raises(ConfigurationError) as caught:
        ValueRules(rounding="bankers")
    assert str(caught.value) == (
        "rounding is 'bankers'; write one of half-even, half-up, half-down, up, down, ceiling, floor, refuse."
    )


FLOATS = st.floats(allow_nan=False) | st.integers(-(10**16), 10**16).map(lambda cents: cents / 100)
COLUMNS = st.lists(FLOATS) | st.lists(st.integers(-(10**16), 10**16)) | st.lists(DECIMALS) | st.lists(st.text())


@properties
@given(COLUMNS, st.sampled_from([MONEY, TEXT]), st.sampled_from(list(ROUNDINGS)))
@example([0.1, -0.0, 1.005, 1e15, 123456789012.34], MONEY, "half-up")
@example(["plain", "h\u00e9", "\ud800"], TEXT, "half-up")
def test_a_column_of_values_is_what_its_values_are_one_by_one(raws, field, rounding):
    """The fast way gives the very values that the slow way does, digit for digit, or leaves them to it."""
    rules = ValueRules(rounding=rounding)
    together = rules.values(field, raws) if raws else None
    if together is not None:
        assert list(map(repr, together)) == [repr(rules.value(field, raw)) for raw in raws]


def test_columns_that_are_taken_together():
    """Amounts with few digits and text, also beyond ASCII, are; what a rule may refuse is left to the slow way."""
    assert RULES.values(MONEY, [0.1, 2.0, -0.0]) == [Decimal("0.10"), Decimal("2.00"), Decimal("0.00")]
    assert RULES.values(TEXT, ["Zo\u00eb", "x"]) == ["Zo\u00eb", "x"]
    for field, raws in (
        (MONEY, [1e300]),
        (MONEY, [float("inf")]),
        (MONEY, [1, 2.0]),
        (TEXT, ["\ud800"]),
        (DATE, ["x"]),
    ):
        assert RULES.values(field, raws) is None


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
