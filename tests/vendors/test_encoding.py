"""Rows are encoded in columns as they are one by one."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.values.numbers import json_number
from airflow_provider_crm.values.opportunity import Row, Update
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.encoding import calls_of, calls_of_all, json_texts, writes_of, writes_of_all

if TYPE_CHECKING:
    from airflow_provider_crm.values.opportunity import FieldValue

RAZE = VENDORS["raze"]
CATALOGUE = RAZE.catalogue([], {})
# Numbers that the rules let through have at most 15 digits.
NUMBERS = st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places), st.integers(-(10**15) + 1, 10**15 - 1), st.integers(-3, 20)
)
VALUES = st.none() | st.booleans() | st.text() | NUMBERS | st.integers() | st.dates() | st.tuples(st.text())


def alone(value: FieldValue) -> str:
    """Return one value as JSON, by the standard library."""
    if isinstance(value, Decimal):
        return json.dumps(json_number(value))
    return json.dumps(value.isoformat() if isinstance(value, dt.date) else value)


@given(st.lists(NUMBERS) | st.lists(st.text()) | st.lists(VALUES))
def test_columns_of_values_become_the_texts_of_each(values: list[FieldValue]) -> None:
    """A value has the same text beside any other values: the ledger compares texts."""
    assert json_texts(values) == [alone(value) for value in values]


@pytest.mark.parametrize("text", ["0.00", "-0.0", "-0.00", "1E+3", "0.0001", "0.00001", "-1.50", "100", "100.00"])
def test_every_spelling_of_a_number_has_one_text(text: str) -> None:
    """Zeros at the end, minus zero and exponents make no difference."""
    wanted = json.dumps(json_number(Decimal(text)))
    assert json_texts([Decimal(text)]) == [wanted]
    assert json_texts([Decimal(text), Decimal("2.50")]) == [wanted, "2.5"]
    assert json_texts([Decimal("2.50"), Decimal(text)]) == ["2.5", wanted]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([True, False, None], ["true", "false", "null"]),
        ([True, 1, False, 0], ["true", "1", "false", "0"]),
        ([0, False, Decimal(1), True, "true"], ["0", "false", "1", "true", '"true"']),
    ],
)
def test_booleans_are_not_taken_for_numbers(values: list[FieldValue], texts: list[str]) -> None:
    """True equals 1 to Python, and is another text."""
    assert json_texts(values) == texts


def test_rows_together_write_what_they_do_alone() -> None:
    """Rows of columns, dicts of other shapes and rows without anything, mixed: values, texts and calls are the same."""
    columns = {"deal_value": [Decimal("1.50"), Decimal(2), None], "stage": ["Won", "new", "lost"]}
    fields = [Row(columns, 2), {"notes": "x"}, Row(columns, 0), {}, {"notes": "y"}, {"stage": "won", "notes": "z"}]
    updates = [Update(row, f"id {row}/", one) for row, one in enumerate(fields)]
    together = writes_of_all(updates, RAZE, CATALOGUE)
    writes = [one for one in together if not isinstance(one, InvalidValueError)]
    single = [writes_of(update, RAZE, CATALOGUE) for update in updates]
    assert [(one.names, one.texts) for one in writes] == [(one.names, one.texts) for one in single]
    ids = [update.record_id for update in updates]
    calls = calls_of_all(ids, writes)
    assert calls == [calls_of(*pair) for pair in zip(ids, single, strict=True)]
    assert [[(call.method, call.path, call.body) for call in row] for row in calls[:4]] == [
        [
            ("PUT", "/external/v1/opportunities/id%200%2F", '{"deal_value": null}'),
            ("PATCH", "/external/v1/opportunities/id%200%2F/stage", '{"status": "lost"}'),
        ],
        [("PUT", "/external/v1/opportunities/id%201%2F", '{"notes": "x"}')],
        [
            ("PUT", "/external/v1/opportunities/id%202%2F", '{"deal_value": 1.5}'),
            ("PATCH", "/external/v1/opportunities/id%202%2F/stage", '{"status": "won"}'),
        ],
        [],
    ]
    assert dict(calls[2][1].writes) == {"id": "id 2/", "status": "won"}
    assert [call.fields for call in calls[2]] == [("deal_value",), ("stage",)]


def test_some_of_the_keys() -> None:
    """A row that may write only some of its fields keeps the others out of its calls."""
    update = Update(0, "x", {"notes": "a", "company": "b", "stage": "won"})
    writes = writes_of(update, RAZE, CATALOGUE)
    assert writes.only(frozenset(writes.names)) is writes
    left = writes.only(frozenset({"company", "other"}))
    assert (left.names, left.texts) == ({"company": "company"}, {"company": '"b"'})
    assert [call.body for call in calls_of("x", left)] == ['{"company": "b"}']
    assert calls_of("x", writes.only(frozenset())) == ()


@pytest.mark.parametrize("record_id", ["", "..", "x" * 256, "a\0"])
def test_no_call_is_made_for_what_is_no_id(record_id: str) -> None:
    """Neither alone, nor among good ones, nor with nothing to write."""
    writes = [writes_of(Update(0, "x", fields), RAZE, CATALOGUE) for fields in ({"notes": "a"}, {})]
    for one in writes:
        with pytest.raises(InvalidValueError):
            calls_of(record_id, one)
        with pytest.raises(InvalidValueError):
            calls_of_all(["good", record_id], [one, one])
