"""Values of a refused row as texts: short, without personal ones, and the same after the ledger has kept them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_crm.values.opportunity import Field, SourceValue
from airflow_provider_crm.values.source_values import LONGEST, from_json, source_of, source_text, to_json

FIELDS = {
    "deal_value": Field("deal_value", "value"),
    "stage": Field("stage", "dealstage", also_writes=("pipeline",)),
    "phone": Field("phone", "phone", personal=True),
}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", ""),
        (Decimal("1E+3"), "1000"),
        (12.5, "12.5"),
        (True, "True"),
        (dt.date(2026, 3, 1), "2026-03-01"),
        (("a", Decimal(2)), "a, 2"),
    ],
)
def test_a_value_is_written_as_people_write_it(value, text):
    """Numbers without exponents, dates as dates, the items of a list with commas; a missing value has no text."""
    assert source_text(value) == text


@given(st.recursive(st.none() | st.text() | st.decimals(allow_nan=False) | st.dates(), st.lists))
def test_no_text_is_long(value):
    """However long a value is, at most eighty characters are kept of it."""
    text = source_text(value)
    assert text is None or len(text) <= LONGEST


@pytest.mark.parametrize("at_fault", ["stage", "dealstage", "pipeline"])
def test_the_field_at_fault_is_found_by_any_of_its_names(at_fault):
    """A vendor names its own key; personal values stay hidden, wherever they stand."""
    wanted = {"deal_value": Decimal(1), "phone": "+49", "stage": "Won"}
    assert source_of(wanted, FIELDS, {at_fault: "is wrong"}) == (
        SourceValue("stage", "Won"),
        SourceValue("deal_value", "1"),
        SourceValue("phone", "(hidden)"),
    )


@given(st.dictionaries(st.text(min_size=1), st.none() | st.text()))
def test_the_ledger_gives_back_what_it_keeps(values):
    """Order and missing values included; of no values it keeps nothing."""
    kept = to_json(SourceValue(*one) for one in values.items())
    assert (kept is None) == (not values)
    assert from_json(kept) == tuple(SourceValue(*one) for one in values.items())
