"""Claims about mappings: every mistake is named before a row is read."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from airflow_provider_crm.rows import ColumnRules, FrameReader
from airflow_provider_crm.values.opportunity import Update

from .reading import CATALOGUE, RUN, error, read


def test_missing_columns_are_all_named_with_close_matches() -> None:
    """One error names every missing column, what was perhaps meant, and the columns there are."""
    columns = ColumnRules("crm_id", {"arr": "deal_value", "x": "notes"}, as_of="at")
    reader = FrameReader(columns, CATALOGUE, None)
    assert error(columns.check, ["CRM_ID", "ar", "b"]) == (
        "The data has no column 'crm_id' (did you mean 'CRM_ID'?), 'arr' (did you mean 'ar'?), 'x', 'at'; "
        "its columns are: CRM_ID, ar, b."
    )
    assert error(columns.check, []) == ("The data has no column 'crm_id', 'arr', 'x', 'at'; it has no columns at all.")
    assert "'crm_id'" in error(reader.read, pd.DataFrame({"a": [1]}))
    frame = pd.DataFrame([[1, 2, 3]], columns=pd.Index(["id", pd.NA, ("a", 1)], dtype=object))
    assert error(read, frame, fields={"n": "notes"}).startswith("The data has no column 'n'")


def test_doubled_columns_are_refused_where_they_are_used() -> None:
    """Two columns of one name leave open which is meant; other columns may be doubled."""
    frame = pd.DataFrame([["a", "x", "y", 1, 2]], columns=["id", "n", "n", "z", "z"])
    message = "The data has more than one column 'n'; rename or drop the others."
    assert error(read, frame, fields={"n": "notes"}) == message
    assert len(read(frame.iloc[:, [0, 1, 3, 4]], fields={"n": "notes"})) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fields": {}}, "fields is empty; write which column goes to which field, such as {'arr': 'deal_value'}."),
        ({"fields": None}, "fields is None; write which column goes to which field, such as {'arr': 'deal_value'}."),
        ({"fields": {"a": 1}}, "fields has 'a': 1; write a column name and a field name, both as text."),
        ({"fields": {"a": "notes", "b": "notes"}}, "fields maps both 'a' and 'b' to notes; keep one of them."),
        ({"id_column": ""}, "id_column is ''; write the name of the column with the record ids."),
        ({"nulls": "null"}, "nulls is 'null'; write one of skip, clear, error."),
        ({"nulls": None}, "nulls is None; write one of skip, clear, error."),
        ({"nulls": {"arr": "drop"}}, "nulls of column 'arr' is 'drop'; write one of skip, clear, error."),
        ({"nulls": {"ar": "skip"}}, "nulls names 'ar', which fields does not map; write one of its columns: arr."),
        (
            {"null_values": "nan"},
            "null_values is 'nan'; write a list of the texts that are missing values, such as ['', 'nan'].",
        ),
        (
            {"null_values": None},
            "null_values is None; write a list of the texts that are missing values, such as ['', 'nan'].",
        ),
        (
            {"null_values": ["", None]},
            "null_values has None; write texts only, such as ['', 'nan']: nulls are missing values anyway.",
        ),
        ({"on_duplicate": "first"}, "on_duplicate is 'first'; write one of error, last."),
        ({"as_of": ""}, "as_of is ''; write the name of the column with the data time, or None for the run's."),
    ],
)
def test_wrong_rules_are_reported_with_what_to_write(arguments: dict[str, Any], message: str) -> None:
    """Each wrong argument is a ConfigurationError that says what to write instead."""
    assert error(ColumnRules, **{"id_column": "id", "fields": {"arr": "deal_value"}, **arguments}) == message


def test_the_id_column_may_be_mapped_too() -> None:
    """The id can be written into a field as well."""
    assert read(pd.DataFrame({"id": ["a"]}), fields={"id": "notes"}) == [Update(0, "a", {"notes": "a"}, RUN)]
