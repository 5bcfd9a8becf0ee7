"""Claims about missing values: each follows the rule of its column, from every source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_crm.rows import ColumnRules, FrameReader, frame_of_rows, frames
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, SourceValue, Update

from .reading import CATALOGUE, RUN, D, arrow, read


def test_nulls_follow_the_rule_of_their_column() -> None:
    """With "skip" the field is left out, "clear" writes None, "error" refuses; a column without a rule is skipped."""
    frame = pd.DataFrame({"id": ["a"], "x": [None], "y": [None], "z": [None]})
    fields = {"x": "notes", "y": "deal_value", "z": "date_won"}
    (row,) = read(frame, fields=fields)
    assert row == Update(0, "a", {}, RUN)
    (row,) = read(frame, fields=fields, nulls="clear")
    assert row == Update(0, "a", {"notes": None, "deal_value": None, "date_won": None}, RUN)
    (row,) = read(frame, fields=fields, nulls={"x": "clear", "y": "error"})
    assert row == Outcome(
        0,
        "a",
        OutcomeWord.INVALID,
        "NULL",
        "column 'y': deal_value is empty (null), and nulls is 'error'; "
        "fill it, or pass nulls={'y': 'skip'} to leave the field alone.",
        source=tuple(SourceValue(name, None) for name in ("deal_value", "notes", "date_won")),
    )
    (row,) = read(frame, fields={"x": "deal_currency"}, nulls="clear")
    assert row == Outcome(
        0,
        "a",
        OutcomeWord.INVALID,
        "NOT_CLEARABLE",
        "column 'x': deal_currency is empty (null), and cannot be cleared; "
        "fill it, or pass nulls={'x': 'skip'} to leave the field alone.",
        source=(SourceValue("deal_currency", None),),
    )


def test_a_key_that_a_dict_lacks_is_not_a_null() -> None:
    """With "clear", None clears and an absent key leaves the field alone; with "error", both are refused."""
    rows = [{"id": "a", "notes": None}, {"id": "b"}, {"notes": "x"}]
    (frame,) = frames(rows)
    cleared, left, nameless = read(frame, fields={"notes": "notes"}, nulls="clear")
    assert isinstance(cleared, Update)
    assert cleared.fields == {"notes": None}
    assert isinstance(left, Update)
    assert left.fields == {}
    assert isinstance(nameless, Outcome)
    assert nameless.code == "NO_ID"
    assert {
        row.code for row in read(frame, fields={"notes": "notes"}, nulls="error")[:2] if isinstance(row, Outcome)
    } == {"NULL"}


NULL_CELLS: dict[str, Any] = {
    "frame": pd.DataFrame({"id": list("abcdefgh"), "n": ["", " ", "nan", "NaT", "None", " \\N", "#N/A", "<NA>"]}),
    "dicts": [{"id": str(row), "n": text} for row, text in enumerate(["", "\t", "NaN", "None"])],
    "cursor": frame_of_rows(["id", "n"], [("a", ""), ("b", " "), ("c", "nan"), ("d", None)]),
    "category": pd.DataFrame({"id": ["a", "b"], "n": pd.Series(["", "None"], dtype="category")}),
    "arrow": pd.DataFrame({"id": ["a", "b"], "n": arrow(["", None], pa.string())}),
    "lists": [{"id": "a", "n": None}, {"id": "b", "n": ""}],
}


@pytest.mark.parametrize("field", ["notes", "deal_value", "date_won", "tags"])
@pytest.mark.parametrize("name", NULL_CELLS)
def test_a_text_that_stands_for_a_null_follows_the_rule_of_nulls(name: str, field: str) -> None:
    """Empty text and what tools write for a null are missing values, wherever they come from and for every field."""
    (frame,) = frames(NULL_CELLS[name])
    assert all(row.fields == {} for row in read(frame, fields={"n": field}) if isinstance(row, Update))
    assert all(
        isinstance(row, Update) and row.fields == {field: None}
        for row in read(frame, fields={"n": field}, nulls="clear")
    )
    assert all(
        isinstance(row, Outcome) and row.code == "NULL" for row in read(frame, fields={"n": field}, nulls="error")
    )


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_empty_text_of_a_file_is_what_it_is_elsewhere(suffix: str, tmp_path: Path) -> None:
    """In CSV, JSON lines and Parquet empty text is a missing value, unless the user says that it is text."""
    path = tmp_path / f"rows.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.table({"id": ["a", "b"], "n": ["", "None"]}), path)
    else:
        path.write_text({"csv": "id,n\na,\nb,None\n", "jsonl": '{"id":"a","n":""}\n{"id":"b","n":"None"}\n'}[suffix])
    (frame,) = frames(path)
    fields = {"n": "notes"}
    for texts, expected in (
        (None, [{}, {}]),
        ([""], [{}, {"notes": "None"}]),
        (["None"], [{"notes": ""}, {}]),
        ([], [{"notes": ""}, {"notes": "None"}]),
    ):
        rules = {} if texts is None else {"null_values": texts}
        assert [row.fields for row in read(frame, fields=fields, **rules) if isinstance(row, Update)] == expected


def test_texts_that_stand_for_a_null_are_counted_and_are_no_ids() -> None:
    """The reader reports texts that it read as missing values but may have been meant; no id is one."""
    frame = pd.DataFrame({"id": ["a", "b", "nan", "c"], "n": ["None", " None ", "x", ""], "m": [1, "NaN", [""], None]})
    reader = FrameReader(ColumnRules("id", {"n": "notes", "m": "tags"}), CATALOGUE, RUN)
    rows = list(reader.read(frame))
    (refused,) = [row for row in rows if isinstance(row, Outcome)]
    assert refused.code == "NO_ID"
    assert refused.reason == (
        "column 'id' is empty (null); every row needs the id of its opportunity. column 'm': tags takes a list "
        "without empty (null) values; leave those out, or pass other null_values."
    )
    hint = "which counts as a missing value; pass null_values=[''] to write such text."
    assert reader.warnings() == [
        f"Column 'id': 1 row has the text 'nan', {hint}",
        f"Column 'n': 2 rows have the text 'None', {hint}",
        f"Column 'm': 1 row has the text 'NaN', {hint}",
    ]


def test_nan_of_a_source_with_nulls_is_no_null() -> None:
    """Where a source has NULL, NaN is refused and never empties a field; in a float column it is pandas' null."""
    nan, decimal_nan = float("nan"), D("NaN")
    table = pa.table({"id": ["a", "b"], "n": pa.array([nan, None], pa.float64())})
    sources: list[Any] = [
        frame_of_rows(["id", "n"], [("a", nan), ("b", None)]),
        frame_of_rows(["id", "n"], [("a", decimal_nan), ("b", None)]),
        frame_of_rows(["id", "n"], [("a", np.float32("nan")), ("b", None)]),
        [{"id": "a", "n": nan}, {"id": "b", "n": None}],
        table.to_pandas(types_mapper=pd.ArrowDtype),
    ]
    for source in sources:
        for field in ("deal_value", "number", "notes", "date_won", "tags"):
            (frame,) = frames(source)
            wrong, null = read(frame, fields={"n": field}, nulls="clear")
            assert isinstance(wrong, Outcome)
            assert wrong.code == "NOT_FINITE"
            assert "the row has NaN, which is no missing value here; write NULL (None) for one." in wrong.reason
            assert isinstance(null, Update)
            assert null.fields == {field: None}
    (frame,) = frames([{"id": nan, "n": 1}])
    (row,) = read(frame, fields={"n": "number"})
    assert isinstance(row, Outcome)
    assert row.code == "RECORD_ID"
    for dtype in ("float64", object):
        (cleared,) = read(
            pd.DataFrame({"id": ["a"], "n": pd.Series([nan], dtype=dtype)}), fields={"n": "number"}, nulls="clear"
        )
        assert isinstance(cleared, Update)
        assert cleared.fields == {"number": None}
