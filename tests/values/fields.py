"""Fields, rules and strategies that several tests of values share."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Field, Kind

MONEY = Field("deal_value", "value", Kind.MONEY)
NUMBER = Field("custom.cf_n", "custom.cf_n", Kind.NUMBER)
INTEGER = Field("confidence", "confidence", Kind.INTEGER)
TEXT = Field("notes", "note")
CURRENCY = Field("deal_currency", "value_currency", Kind.CURRENCY, clearable=False)
DATE = Field("date_won", "date_won", Kind.DATE)
DATETIME = Field("custom.cf_t", "custom.cf_t", Kind.DATETIME)
FLAG = Field("custom.cf_b", "custom.cf_b", Kind.BOOLEAN)
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
    """Return the number that a person reads: a float stands for its shortest text."""
    return Fraction(repr(raw)) if isinstance(raw, float) else Fraction(raw)


def refusal(field: Field, raw: object, rules: ValueRules = RULES) -> InvalidValueError:
    """Return the error for a value that a field does not take."""
    with pytest.raises(InvalidValueError) as caught:
        rules.value(field, raw)
    return caught.value
