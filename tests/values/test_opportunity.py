"""Claims about values: money is exact, dates and offsets are right in any zone, ids stay one path segment."""

from __future__ import annotations

import datetime as dt
import json
import math
import pickle
import zoneinfo
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import requests
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from airflow_provider_crm import exceptions
from airflow_provider_crm.exceptions import ConfigurationError, CrmError, InvalidValueError
from airflow_provider_crm.values.conversion import ROUNDINGS, ValueRules, exact_decimal, json_number
from airflow_provider_crm.values.equality import same_value
from airflow_provider_crm.values.opportunity import (
    CANONICAL_FIELDS,
    FAILURES,
    TRANSIENT_FAILURES,
    Field,
    Kind,
    Outcome,
    OutcomeWord,
)
from airflow_provider_crm.values.record_ids import LONGEST_RECORD_ID, path_segment, path_segments
from airflow_provider_crm.values.time_zones import local_date, offset_hours, parse_moment, zone

MONEY = Field("deal_value", "value", Kind.MONEY)
NUMBER = Field("custom.cf_n", "custom.cf_n", Kind.NUMBER)
INTEGER = Field("confidence", "confidence", Kind.INTEGER)
TEXT = Field("notes", "note")
CURRENCY = Field("deal_currency", "value_currency", Kind.CURRENCY, clearable=False)
DATE = Field("date_won", "date_won", Kind.DATE)
DATETIME = Field("custom.cf_t", "custom.cf_t", Kind.DATETIME)
TAGS = Field("custom.cf_m", "custom.cf_m", multiple=True)
PHONE = Field("phone", "phone", personal=True)
RULES = ValueRules()
NEW_YORK = ValueRules(timezone="America/New_York")

ZONES = sorted(zoneinfo.available_timezones() - {"Factory", "localtime"})
properties = settings(deadline=None, derandomize=True, max_examples=300)

INSTANTS = st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2040, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
NUMBERS = st.one_of(
    DECIMALS,
    st.decimals(min_value=-(10**9), max_value=10**9, places=3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(min_value=-1e9, max_value=1e9),
    st.integers(),
    st.integers(min_value=-(10**600), max_value=10**600),
    st.integers(min_value=-(10**14), max_value=10**14).map(lambda half: Decimal(half) / 200),
)


def exact(raw: Decimal | float) -> Fraction:
    """The number that a person reads: a float stands for its shortest text."""
    return Fraction(repr(raw)) if isinstance(raw, float) else Fraction(raw)


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


def refusal(field: Field, raw: object, rules: ValueRules = RULES) -> InvalidValueError:
    """The error for a value that a field does not take."""
    with pytest.raises(InvalidValueError) as caught:
        rules.value(field, raw)
    return caught.value


# --- money and numbers -----------------------------------------------------------------------------------------------


@properties
@given(raw=NUMBERS, rule=st.sampled_from(sorted(ROUNDINGS)), digits=st.sampled_from([2, 2, 0, 3]))
@example(raw=0.125, rule="half-even", digits=2)
@example(raw=1.005, rule="half-up", digits=2)
@example(raw=10**500, rule="half-even", digits=2)
@example(raw=-(10**5000), rule="half-even", digits=2)
@example(raw=Decimal("1." + "3" * 900), rule="up", digits=2)
def test_money_is_exact_arithmetic_rounded_once(raw: Decimal | float, rule: str, digits: int) -> None:
    """Money equals exact arithmetic rounded once, by each named rule; what a JSON number cannot carry is refused."""
    minor = rounded(exact(raw) * 10**digits, rule)
    field = Field("deal_value", "value", Kind.MONEY, digits=digits)
    try:
        value = ValueRules(rounding=rule).value(field, raw)
    except InvalidValueError as err:
        assert err.code == "TOO_LARGE"  # noqa: PT017
        beyond = not Fraction(1, 10**90) < abs(exact(raw)) < 10**15
        assert beyond or len(str(abs(minor)).rstrip("0")) > 15
        return
    assert isinstance(value, Decimal)
    assert Fraction(value) == Fraction(minor, 10**digits)
    assert value.as_tuple().exponent == -digits
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


def test_the_message_shows_field_kind_and_value() -> None:
    """A refused value is told with the field, what it takes, and the value shortened."""
    assert str(refusal(MONEY, "abc")) == "deal_value takes an amount of money, the row has 'abc'."
    assert len(str(refusal(MONEY, "x" * 1000))) < 130
    assert refusal(MONEY, "abc").field_errors.keys() == {"deal_value"}


@pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.name)
def test_personal_values_never_show(kind: Kind) -> None:
    """The value of a personal field is in no message and no attribute of its error, whatever the kind."""
    field = Field("phone", "phone", kind, personal=True, choices=("x",))
    for raw in ("+49 151 secret", b"secret", ["secret"], {"secret": 1}, float("nan"), dt.time(1, 2)):
        assert "secret" not in repr(vars(refusal(field, raw))) + str(refusal(field, raw))


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
@pytest.mark.parametrize("field", [MONEY, INTEGER, Field("yen", "yen", Kind.MONEY, digits=0)], ids=str)
def test_a_point_before_three_digits_of_text_is_not_guessed(field: Field, raw: str) -> None:
    """Text such as 1.234 means 1234 in half of the world: no money and no count is made of it."""
    for rounding in (*ROUNDINGS, "refuse"):
        err = refusal(field, raw, ValueRules(rounding=rounding))
        assert err.code == "THOUSANDS"
        assert raw in str(err)


def test_a_point_that_only_sets_off_decimals_is_read() -> None:
    """Numbers are never unclear, nor is text with other digits; a vendor with three decimals takes 1.234."""
    for raw in (1.234, Decimal("1.234"), "1.23", "0.500", "1234.567", "1.2345", ".123"):
        assert RULES.value(MONEY, raw) == round(Decimal(str(raw)), 2)
    assert RULES.value(Field("kwd", "kwd", Kind.MONEY, digits=3), "1.234") == Decimal("1.234")
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


# --- text, currency, lists -------------------------------------------------------------------------------------------


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


def test_choices_are_held() -> None:
    """A field with choices takes one of them, and the message names them all."""
    field = Field("value_period", "value_period", choices=("one_time", "monthly"))
    assert RULES.value(field, "monthly") == "monthly"
    assert str(refusal(field, "weekly")) == "value_period takes one of one_time, monthly; the row has 'weekly'."


def test_none_clears_what_can_be_cleared() -> None:
    """None clears a field, and is refused where the vendor has no empty value."""
    assert RULES.value(TEXT, None) is None
    assert refusal(CURRENCY, None).code == "NOT_CLEARABLE"


# --- dates and zones -------------------------------------------------------------------------------------------------


def own_offset(name: str, moment: dt.datetime) -> dt.timedelta:
    """The answer of zoneinfo itself."""
    offset = moment.astimezone(zoneinfo.ZoneInfo(name)).utcoffset()
    assert offset is not None
    return offset


def check_zone(name: str, moment: dt.datetime) -> None:
    """Offset, date, and the date field agree with zoneinfo at that moment."""
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
        assert "takes dates of the years 1900 to 2200 (infinity is none), the row has" in str(err)


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
    """What the database holds beside places is no zone: other machines have other files, or count leap seconds."""
    with pytest.raises(ConfigurationError, match="write one such as"):
        zone(name)


@pytest.mark.parametrize(
    "name", ["UTC", "Etc/GMT+5", "America/Argentina/Buenos_Aires", "America/Port-au-Prince", "EST5EDT"]
)
def test_a_zone_of_a_place(name: str) -> None:
    """Whatever has the form of a zone and is in the database is one."""
    assert zone(name).name == name


def test_an_unknown_rounding_lists_the_rules() -> None:
    """A wrong rounding is told with all that exist."""
    with pytest.raises(ConfigurationError) as caught:
        ValueRules(rounding="bankers")
    assert str(caught.value) == (
        "rounding is 'bankers'; write one of half-even, half-up, half-down, up, down, ceiling, floor, refuse."
    )


# --- the echo --------------------------------------------------------------------------------------------------------


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
    """An instant is the same in whatever zone it is sent and shown, also in the hour that the clock repeats."""
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
    """What a vendor shows is compared by meaning: lists without order, text without outer space, null as cleared."""
    assert same_value(sent, shown) is same  # type: ignore[arg-type]


# --- ids -------------------------------------------------------------------------------------------------------------


@properties
@given(
    record_id=st.text(st.characters(), min_size=1)
    | st.text(st.sampled_from("./\\%?#&=:@;+ \x00\n2eEfF\ud800é…"), min_size=1)
)
@example(record_id="..")
@example(record_id="../admin")
@example(record_id="%2e%2e")
@example(record_id="a/../b?x=1#y")
@example(record_id="...")
@example(record_id="x" * (LONGEST_RECORD_ID + 1))
def test_no_id_can_reach_another_endpoint(record_id: str) -> None:
    """Any id stays one segment of the path, also after requests has prepared the URL, and reads back as the id."""
    base = "https://api.example.com/external/v1/opportunities/"
    try:
        segment = path_segment(record_id)
    except InvalidValueError as err:
        assert err.code == "RECORD_ID"  # noqa: PT017
        impossible = any(char == "\0" or "\ud800" <= char <= "\udfff" for char in record_id)
        assert not record_id.strip(".") or not record_id.strip() or impossible or len(record_id) > LONGEST_RECORD_ID
        return
    assert "/" not in segment
    assert unquote(segment) == record_id
    url = requests.Request("PUT", base + segment + "/stage").prepare().url
    assert url is not None
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "api.example.com", "", "")
    segments = parts.path.split("/")
    assert segments[:4] == ["", "external", "v1", "opportunities"]
    assert [unquote(part) for part in segments[4:]] == [record_id, "stage"]


@pytest.mark.parametrize("record_id", ["", " ", "\n", ".", "..", "...", "\ud800", "a\0b"])
def test_what_is_no_id_is_refused(record_id: str) -> None:
    """Empty ids, dots that URL libraries resolve, NUL and lone surrogates are refused, with an error to be logged."""
    with pytest.raises(InvalidValueError) as caught:
        path_segment(record_id)
    assert str(caught.value).encode()


# --- errors and words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", exceptions.__all__)
def test_errors_pickle_whole(name: str) -> None:
    """Every error crosses a process boundary with its message and all attributes."""
    kind = getattr(exceptions, name)
    error = kind(
        "It failed.",
        vendor="close",
        status=400,
        code="X",
        request_id="r1",
        record_id="oppo_1",
        field_errors={"value": "bad"},
        retry_after=1.5,
    )
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == "It failed."
    assert vars(copy) == vars(error)


def test_the_tree_is_whole() -> None:
    """`__all__` names every error of the module, each is a CrmError and ends in Error, and there are at most ten."""
    found = {name for name, kind in vars(exceptions).items() if isinstance(kind, type) and issubclass(kind, CrmError)}
    assert found == set(exceptions.__all__)
    assert all(name.endswith("Error") for name in found)
    assert len(found) <= 10


def test_words_are_told_apart() -> None:
    """Success words are no failures, transient failures are failures, and an outcome is a plain value."""
    assert set(OutcomeWord) - FAILURES == {OutcomeWord.UPDATED, OutcomeWord.UNCHANGED, OutcomeWord.STALE}
    assert TRANSIENT_FAILURES < FAILURES
    assert OutcomeWord.NOT_SENT == "not_sent"
    assert pickle.loads(pickle.dumps(Outcome(0, "a", OutcomeWord.STALE))) == Outcome(0, "a", OutcomeWord.STALE)
    assert len(set(CANONICAL_FIELDS)) == 6


FLOATS = st.floats(allow_nan=False) | st.integers(-(10**16), 10**16).map(lambda cents: cents / 100)
COLUMNS = st.lists(FLOATS) | st.lists(st.integers(-(10**16), 10**16)) | st.lists(DECIMALS) | st.lists(st.text())


@properties
@given(
    COLUMNS, st.sampled_from([MONEY, TEXT, Field("yen", "yen", Kind.MONEY, digits=0)]), st.sampled_from(list(ROUNDINGS))
)
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


def test_ids_are_encoded_together_as_they_are_alone():
    """Also where one has to be encoded, holds a line break, or is too long."""
    for ids in (["oppo_1", "~a.b"], ["a b", "c"], ["a\nb"], ["a\n", "b"], []):
        assert path_segments(ids) == list(map(path_segment, ids))
    for bad in ("x" * (LONGEST_RECORD_ID + 1), "", ".."):
        with pytest.raises(InvalidValueError):
            path_segments(["good", bad])
    assert path_segments(["x" * LONGEST_RECORD_ID]) == ["x" * LONGEST_RECORD_ID]
