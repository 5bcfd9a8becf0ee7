"""Claims about record ids: whole or refused, and each in one row only."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update

from .reading import DAY, D, arrow, ids, read


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            pd.Series([" a ", "007", "", "  ", None]),
            [("a", ""), ("007", ""), ("", "NO_ID"), ("", "NO_ID"), ("", "NO_ID")],
        ),
        (pd.Series([123, -5]), [("123", ""), ("-5", "")]),
        (pd.Series([123, None]), [("123", ""), ("", "NO_ID")]),
        (
            pd.Series([2.0**53 - 1, 2.0**53, 1.5]),
            [(str(2**53 - 1), ""), (str(2**53), "RECORD_ID"), ("1.5", "RECORD_ID")],
        ),
        (pd.Series([2**24 - 1, 2**24], dtype="float32"), [(str(2**24 - 1), ""), (str(2**24), "RECORD_ID")]),
        (pd.Series([np.inf, np.nan]), [("inf", "RECORD_ID"), ("", "NO_ID")]),
        (pd.Series([2**63, 1], dtype="uint64"), [(str(2**63), ""), ("1", "")]),
        (pd.Series([2**62 + 1, None], dtype="Int64"), [(str(2**62 + 1), ""), ("", "NO_ID")]),
        (pd.Series(["x", "y", "z"], dtype="category"), [("x", ""), ("y", ""), ("z", "")]),
        (arrow([2**62 + 1, None], pa.int64()), [(str(2**62 + 1), ""), ("", "NO_ID")]),
        (arrow([D(12), D("1.5")], pa.decimal128(10, 1)), [("12", ""), ("1.5", "RECORD_ID")]),
        (pd.Series([D("1E+3"), D("1E+300"), 10**5000], dtype=object), [("1000", ""), ("1e+300", "RECORD_ID"), None]),
        (pd.Series([np.int16(7), np.float64(8), np.str_("n")], dtype=object), [("7", ""), ("8", ""), ("n", "")]),
        (pd.Series([True, [1], b"x", {}, DAY], dtype=object), [("", "RECORD_ID")] * 5),
        (
            pd.Series([".", "..", "\ud800"], dtype=object),
            [(".", "RECORD_ID"), ("..", "RECORD_ID"), ("\\ud800", "RECORD_ID")],
        ),
        (pd.Series(["x" * 255, "y" * 256], dtype=object), [("x" * 255, ""), ("y" * 256, "RECORD_ID")]),
        (pd.Series([uuid.UUID(int=1)], dtype=object), [("00000000-0000-0000-0000-000000000001", "")]),
    ],
)
def test_record_ids_stay_whole_or_are_refused(values: pd.Series[Any], expected: list[tuple[str, str] | None]) -> None:
    """Ids are text or whole numbers as they stand; floats that may have lost digits, and all else, are refused."""
    for found, wanted in zip(ids(values), expected, strict=True):
        if wanted is None:
            assert found[1] == "RECORD_ID"
        else:
            assert found == wanted


def test_doubled_ids_are_all_refused_within_and_across_chunks() -> None:
    """With "error" no doubled row of a chunk is written, nor a later row of an id that came before."""
    fields = {"n": "notes"}
    first = pd.DataFrame({"id": ["a", "b", " a", 1, 1.0, None, None], "n": list("1234567")})
    second = pd.DataFrame({"id": ["b", "c", "a", "d", "d"], "n": list("12345")})
    rows = read(first, second, fields=fields)
    updates = [row.record_id for row in rows if isinstance(row, Update)]
    assert updates == ["b", "c"]
    reasons = {row.row: row.reason for row in rows if isinstance(row, Outcome) and row.code == "DUPLICATE"}
    assert sorted(reasons) == [0, 2, 3, 4, 7, 9, 10, 11]
    assert reasons[0] == (
        "column 'id': the id 'a' is also in row 2 (rows count from 0); make it unique, or pass on_duplicate='last'."
    )
    assert "also in row 1 (" in reasons[7]
    assert "also in row 0 (" in reasons[9]
    (many, *_) = read(pd.DataFrame({"id": ["a"] * 9, "n": "x"}), fields=fields)
    assert isinstance(many, Outcome)
    assert "also in rows 1, 2, 3, 4, 5 and 3 more (" in many.reason


def test_last_writes_the_last_row_of_a_chunk() -> None:
    """With "last" earlier rows of a chunk are stale and name the later one; a later chunk is written too."""
    frame = pd.DataFrame({"id": ["a", "b", "a"], "n": ["1", "2", "3"]})
    rows = read(frame, frame, fields={"n": "notes"}, on_duplicate="last")
    assert rows[0] == Outcome(
        0,
        "a",
        OutcomeWord.STALE,
        "SUPERSEDED",
        "Row 2 has the same id 'a', comes later and is taken instead.",
    )
    assert [(row.row, row.fields["notes"]) for row in rows if isinstance(row, Update)] == [
        (1, "2"),
        (2, "3"),
        (4, "2"),
        (5, "3"),
    ]
