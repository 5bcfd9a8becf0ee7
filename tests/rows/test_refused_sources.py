"""Rows that are refused while they are read keep the values of their source, for the person who has to correct them."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd

from airflow_provider_crm.rows.sources import frames
from airflow_provider_crm.values.opportunity import Outcome

from .reading import read

FIELDS = {"note": "notes", "arr": "deal_value", "tel": "phone", "day": "date_won"}


def source_of(row):
    """The source's values of a refused row, in their order."""
    assert isinstance(row, Outcome)
    return [tuple(one) for one in row.source]


def test_the_value_at_fault_comes_first_and_personal_ones_are_hidden():
    """It is the text of the source, not what was made of it; the other mapped values follow."""
    frame = pd.DataFrame({"id": ["a"], "note": ["hello"], "arr": ["12,50 €"], "tel": ["+49 30 1234"], "day": [None]})
    (row,) = read(frame, fields=FIELDS)
    assert source_of(row) == [
        ("deal_value", "12,50 €"),
        ("notes", "hello"),
        ("phone", "(hidden)"),
        ("date_won", None),
    ]


def test_a_personal_value_at_fault_is_hidden_too():
    """A refusal of the field itself shows nothing of it."""
    frame = pd.DataFrame({"id": ["a"], "tel": [float("inf")]})
    (row,) = read(frame, fields={"tel": "phone"})
    assert source_of(row) == [("phone", "(hidden)")]


def test_only_refused_rows_have_them_and_long_ones_are_cut():
    """A good row beside a refused one costs nothing; a text has at most eighty characters."""
    frame = pd.DataFrame({"id": ["a", "b"], "note": ["x" * 5_000, "y"], "arr": [Decimal("NaN"), Decimal(1)]})
    refused, good = read(frame, fields={"note": "notes", "arr": "deal_value"})
    assert not hasattr(good, "source")
    (_, (name, text)) = source_of(refused)
    assert (name, text) == ("notes", "x" * 79 + "\N{HORIZONTAL ELLIPSIS}")


def test_a_key_that_the_row_lacks_is_none_of_its_values():
    """A dict without the key has no value there, which is not an empty one; an id at fault leaves the order."""
    (frame,) = frames([{"id": "a", "note": "x", "arr": 1}, {"note": "y"}])
    _, refused = read(frame, fields={"note": "notes", "arr": "deal_value"})
    assert source_of(refused) == [("notes", "y")]
