"""Claims about frames: every row comes out exactly once, no type loses a digit, and no odd cell raises."""

from __future__ import annotations

import datetime as dt
import enum
import gzip
import json
import subprocess
import sys
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_crm.exceptions import ConfigurationError, TransientError
from airflow_provider_crm.rows import ColumnRules, FrameReader, frame_of_rows, frames
from airflow_provider_crm.rows.record_ids import SeenIds
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Field, Kind, Outcome, OutcomeWord, Update

CATALOGUE = {
    field.name: field
    for field in (
        Field("deal_value", "value", Kind.MONEY),
        Field("deal_currency", "value_currency", Kind.CURRENCY, clearable=False),
        Field("stage", "status_id", Kind.STAGE, clearable=False),
        Field("date_won", "date_won", Kind.DATE),
        Field("notes", "note"),
        Field("phone", "phone", personal=True),
        Field("number", "number", Kind.NUMBER),
        Field("whole", "whole", Kind.INTEGER),
        Field("moment", "moment", Kind.DATETIME),
        Field("tags", "tags", multiple=True),
        Field("numbers", "numbers", Kind.NUMBER, multiple=True),
    )
}
RUN = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
NEW_YORK = ZoneInfo("America/New_York")
ZONED = ValueRules(timezone="America/New_York")
SKIPPED = object()
INVALID = object()
properties = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def read(
    *chunks: pd.DataFrame, fields: dict[str, str], as_of: dt.datetime | None = RUN, **rules: Any
) -> list[Update | Outcome]:
    """Read chunks by one reader."""
    reader = FrameReader(ColumnRules("id", fields, **rules), CATALOGUE, as_of)
    return [row for chunk in chunks for row in reader.read(chunk)]


def column(cells: Any, field: str, **rules: Any) -> list[object]:
    """What becomes of each cell of one column: its value, SKIPPED or INVALID."""
    series = cells if isinstance(cells, pd.Series) else pd.Series(cells)
    frame = pd.DataFrame({"id": [f"o{row}" for row in range(len(series))]})
    frame["cell"] = series.reset_index(drop=True)
    rows = read(frame, fields={"cell": field}, **rules)
    assert [row.row for row in rows] == list(range(len(series)))
    return [row.fields.get(field, SKIPPED) if isinstance(row, Update) else INVALID for row in rows]


def only(value: object, field: str = "notes", **rules: Any) -> Update | Outcome:
    """What becomes of one cell of an object column."""
    frame = pd.DataFrame({"id": ["o1"], "cell": pd.Series([value], dtype=object)})
    return read(frame, fields={"cell": field}, **rules)[0]


def ids(values: Any) -> list[tuple[str, str]]:
    """Record id and code (empty for an update) of each cell of an id column."""
    frame = pd.DataFrame({"id": values, "n": "x"})
    rows = read(frame, fields={"n": "notes"})
    return [(row.record_id, row.code if isinstance(row, Outcome) else "") for row in rows]


def arrow(values: Sequence[object], kind: pa.DataType) -> pd.Series[Any]:
    """An Arrow-backed column."""
    return pd.Series(pd.array(pa.array(values, kind), dtype=pd.ArrowDtype(kind)))


def error(call: Any, *args: Any, **kwargs: Any) -> str:
    """The message of the ConfigurationError that a call raises."""
    with pytest.raises(ConfigurationError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


# --- types -----------------------------------------------------------------------------------------------------------

D = Decimal
NUMBERS: dict[str, tuple[Any, list[object]]] = {
    "int64": (pd.Series([1, -2], dtype="int64"), [D(1), D(-2)]),
    "uint64": (pd.Series([999_999_999_999_999], dtype="uint64"), [D(999_999_999_999_999)]),
    "int8": (pd.Series([-128], dtype="int8"), [D(-128)]),
    "float64": (pd.Series([0.1, np.nan, np.inf]), [D("0.1"), SKIPPED, INVALID]),
    "float32": (pd.Series([0.1, np.nan, 16777216], dtype="float32"), [D("0.1"), SKIPPED, D(16777216)]),
    "float16": (pd.Series([0.1, np.nan], dtype="float16"), [D("0.1"), SKIPPED]),
    "longdouble": (pd.Series([np.longdouble("0.1"), np.nan], dtype="longdouble"), [D("0.1"), SKIPPED]),
    "bool": (pd.Series([True, False]), [INVALID, INVALID]),
    "complex": (pd.Series([1 + 0j]), [INVALID]),
    "Int64": (pd.Series([1, None], dtype="Int64"), [D(1), SKIPPED]),
    "UInt8": (pd.Series([255, None], dtype="UInt8"), [D(255), SKIPPED]),
    "Float64": (pd.Series([0.1, None], dtype="Float64"), [D("0.1"), SKIPPED]),
    "Float32": (pd.Series([0.1, None], dtype="Float32"), [D("0.1"), SKIPPED]),
    "boolean": (pd.Series([True, None], dtype="boolean"), [INVALID, SKIPPED]),
    "str": (pd.Series(["1.50", None, "abc", "", "nan"], dtype="str"), [D("1.50"), SKIPPED, INVALID, SKIPPED, SKIPPED]),
    "category": (pd.Series([7, None, 7], dtype="category"), [D(7), SKIPPED, D(7)]),
    "category of float32": (
        pd.Series(np.array([0.1, 0.2], "f4")).astype("category"),
        [D("0.1"), D("0.2")],
    ),
    "sparse": (pd.Series([1.5, np.nan], dtype="Sparse[float64]"), [D("1.5"), SKIPPED]),
    "sparse float32": (pd.Series([0.1, np.nan], dtype="Sparse[float32]"), [D("0.1"), SKIPPED]),
    "timedelta": (pd.to_timedelta(pd.Series([1, None]), unit="D"), [INVALID, SKIPPED]),
    "period": (pd.Series(pd.period_range("2026-01", periods=1, freq="M")), [INVALID]),
    "interval": (pd.Series(pd.interval_range(0, 1)), [INVALID]),
    "object": (
        pd.Series(
            [
                D("1.10"),
                D("NaN"),
                D("sNaN"),
                D("Infinity"),
                np.float32(0.1),
                np.float64(0.1),
                np.int8(3),
                np.uint64(2**40),
            ],
            dtype=object,
        ),
        [D("1.10"), INVALID, INVALID, INVALID, D("0.1"), D("0.1"), D(3), D(2**40)],
    ),
    "object of odds": (
        pd.Series(
            [np.True_, True, float("nan"), np.float32("nan"), np.timedelta64(5, "ns"), b"1", {}, [1], 10**30, 1j],
            dtype=object,
        ),
        [INVALID, INVALID, SKIPPED, SKIPPED, INVALID, INVALID, INVALID, INVALID, D(10**30), INVALID],
    ),
    "arrow int64": (arrow([1, None], pa.int64()), [D(1), SKIPPED]),
    "arrow uint64": (arrow([2**40, None], pa.uint64()), [D(2**40), SKIPPED]),
    "arrow float": (
        arrow([0.1, None, float("nan"), float("inf")], pa.float64()),
        [D("0.1"), SKIPPED, INVALID, INVALID],
    ),
    "arrow float32": (arrow([0.1, None, float("nan")], pa.float32()), [D("0.1"), SKIPPED, INVALID]),
    "arrow float16": (arrow([np.float16(0.1), None], pa.float16()), [D("0.1"), SKIPPED]),
    "arrow decimal128": (arrow([D("1234567890.12345"), None], pa.decimal128(38, 5)), [D("1234567890.12345"), SKIPPED]),
    "arrow decimal256": (arrow([D("1.5")], pa.decimal256(60, 1)), [D("1.5")]),
    "arrow bool": (arrow([True, None], pa.bool_()), [INVALID, SKIPPED]),
    "arrow string": (arrow(["1.5", None, "x"], pa.string()), [D("1.5"), SKIPPED, INVALID]),
    "arrow null": (arrow([None], pa.null()), [SKIPPED]),
    "arrow binary": (arrow([b"1", None], pa.binary()), [INVALID, SKIPPED]),
    "arrow duration": (arrow([1, None], pa.duration("ns")), [INVALID, SKIPPED]),
    "arrow struct": (arrow([{"a": 1}, None], pa.struct([("a", pa.int8())])), [INVALID, SKIPPED]),
    "arrow dictionary": (
        pd.Series(pd.array(pa.array([1.5, None, 1.5]).dictionary_encode(), dtype=None)),
        [D("1.5"), SKIPPED, D("1.5")],
    ),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_of_every_type_come_out_exactly(name: str) -> None:
    """Each column type gives its numbers digit by digit, its nulls as nulls, and refuses what is no number."""
    values, expected = NUMBERS[name]
    assert column(values, "number") == expected


TEXTS: dict[str, tuple[Any, list[object]]] = {
    "object": (pd.Series(["a", None, "", "nan", "NA"], dtype=object), ["a", SKIPPED, SKIPPED, SKIPPED, "NA"]),
    "str": (pd.Series(["a", None, ""], dtype="str"), ["a", SKIPPED, SKIPPED]),
    "string": (pd.Series(["a", None, "é"], dtype="string"), ["a", SKIPPED, "é"]),
    "string[python]": (pd.Series(["a", None], dtype="string[python]"), ["a", SKIPPED]),
    "string[pyarrow]": (pd.Series(["a", None], dtype="string[pyarrow]"), ["a", SKIPPED]),
    "category": (pd.Series(["b", None, "a", "b"], dtype="category"), ["b", SKIPPED, "a", "b"]),
    "empty category": (pd.Series([None, None], dtype="category"), [SKIPPED, SKIPPED]),
    "arrow string": (arrow(["a", None, ""], pa.string()), ["a", SKIPPED, SKIPPED]),
    "arrow large_string": (arrow(["a", None], pa.large_string()), ["a", SKIPPED]),
    "arrow string_view": (arrow(["a", None], pa.string_view()), ["a", SKIPPED]),
    "numpy str": (pd.Series([np.str_("a")], dtype=object), ["a"]),
    "uuid": (pd.Series([uuid.UUID(int=1)], dtype=object), ["00000000-0000-0000-0000-000000000001"]),
    "null words": (pd.Series([pd.NA, pd.NaT, np.nan, np.datetime64("NaT", "ns")], dtype=object), [SKIPPED] * 4),
    "Int64": (pd.Series([2**62 + 1, None], dtype="Int64"), [str(2**62 + 1), SKIPPED]),
    "arrow int64": (arrow([2**62 + 1, None], pa.int64()), [str(2**62 + 1), SKIPPED]),
    "big integers": (pd.Series([2**70 + 1, None], dtype=object), [str(2**70 + 1), SKIPPED]),
    "integers that became floats": (pd.Series([4915112345678, None]), ["4915112345678", SKIPPED]),
    "whole and broken numbers that compare equal": (
        pd.Series([2**60, 2.0**60], dtype=object),
        [str(2**60), "1152921504606847000"],
    ),
    "equal decimals of other scale": (pd.Series([D("1.0"), D("1.00")], dtype=object), ["1.0", "1.00"]),
    "surrogate": (pd.Series(["\ud800"], dtype=object), [INVALID]),
    "dates": (pd.Series([dt.date(2026, 3, 1)], dtype=object), ["2026-03-01"]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_of_every_type_comes_out_as_it_is(name: str) -> None:
    """Each column type gives its text unchanged; a null is left alone, and so is a text that stands for one."""
    values, expected = TEXTS[name]
    assert column(values, "notes") == expected


class Color(enum.StrEnum):
    """A text of another class."""

    RED = "red"


def test_texts_and_numbers_of_subclasses_become_plain() -> None:
    """Members of enums and numpy scalars leave as plain str, int and Decimal, so JSON and SQL take them."""
    row = only(Color.RED)
    assert isinstance(row, Update)
    assert type(row.fields["notes"]) is str
    row = only(np.int32(5), "whole")
    assert isinstance(row, Update)
    assert type(row.fields["whole"]) is int


DAY = dt.date(2026, 3, 1)
NAIVE = dt.datetime(2026, 3, 1, 23, 30)  # noqa: DTZ001
LATE = dt.datetime(2026, 3, 2, 4, 30, tzinfo=dt.UTC)  # 23:30 of the day before, in New York
MOMENTS: dict[str, tuple[Any, list[object]]] = {
    "dates": (pd.Series([DAY, None], dtype=object), [DAY, SKIPPED]),
    "texts": (pd.Series(["2026-03-01", "2026-03-02T04:30:00Z", "1.3.2026", ""]), [DAY, DAY, INVALID, SKIPPED]),
    "naive ns": (pd.Series([NAIVE, None], dtype="datetime64[ns]"), [DAY, SKIPPED]),
    "naive s": (pd.Series([NAIVE, None], dtype="datetime64[s]"), [DAY, SKIPPED]),
    "naive out of the calendar": (
        pd.Series(np.array(["2026-03-01", "20000-01-01", "NaT", "-0005-01-01"], "M8[s]")),
        [DAY, INVALID, SKIPPED, INVALID],
    ),
    "aware us": (pd.Series([LATE, None], dtype="datetime64[us, UTC]"), [DAY, SKIPPED]),
    "aware in a zone": (pd.Series([LATE, None], dtype="datetime64[ns, Asia/Kathmandu]"), [DAY, SKIPPED]),
    "mixed zones": (
        pd.Series([LATE, LATE.astimezone(ZoneInfo("Asia/Kathmandu")), NAIVE, pd.NaT], dtype=object),
        [DAY, DAY, DAY, SKIPPED],
    ),
    "timestamps": (
        pd.Series([pd.Timestamp("2026-03-01T23:59:59.999999999"), pd.Timestamp(LATE)], dtype=object),
        [DAY, DAY],
    ),
    "numpy scalars": (
        pd.Series(
            [np.datetime64("2026-03-01"), np.datetime64("2026-03-01T10"), np.datetime64("30000-01-01")], dtype=object
        ),
        [DAY, DAY, INVALID],
    ),
    "category": (pd.Series([NAIVE, None, NAIVE], dtype="category"), [DAY, SKIPPED, DAY]),
    "period": (pd.Series(pd.period_range("2026-03-01", periods=1)), [INVALID]),
    "numbers": (pd.Series([20260301]), [INVALID]),
    "times": (pd.Series([dt.time(1)], dtype=object), [INVALID]),
    "arrow date32": (arrow([DAY, None], pa.date32()), [DAY, SKIPPED]),
    "arrow date64": (arrow([DAY, None], pa.date64()), [DAY, SKIPPED]),
    "arrow date out of the calendar": (arrow([2**30, 20513, None], pa.date32()), [INVALID, DAY, SKIPPED]),
    "arrow timestamp": (arrow([NAIVE, None], pa.timestamp("us")), [DAY, SKIPPED]),
    "arrow timestamp in a zone": (arrow([LATE, None], pa.timestamp("ns", tz="Asia/Tokyo")), [DAY, SKIPPED]),
    "arrow timestamp by offset": (arrow([LATE, None], pa.timestamp("ms", tz="+05:30")), [DAY, SKIPPED]),
    "arrow timestamp out of the calendar": (arrow([2**50, None], pa.timestamp("s", tz="UTC")), [INVALID, SKIPPED]),
    "arrow time": (arrow([dt.time(1), None], pa.time64("us")), [INVALID, SKIPPED]),
    "arrow dictionary": (
        pd.Series(pd.array(pa.array([DAY, None]).dictionary_encode(), dtype=None)),
        [DAY, SKIPPED],
    ),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_dates_of_every_type_are_cut_in_the_zone(name: str) -> None:
    """Each column type gives the date in the time zone; what is out of the calendar is refused, not wrapped."""
    values, expected = MOMENTS[name]
    assert column(values, "date_won", values=ZONED) == expected


def test_nanoseconds_are_cut_not_rounded() -> None:
    """A time one nanosecond before midnight stays on its day, before and after 1970, whatever holds it."""
    for text in ("2026-03-01T23:59:59.999999999", "1960-03-01T23:59:59.999999999"):
        stamp = pd.Timestamp(text)
        expected = stamp.to_pydatetime(warn=False)
        for series in (
            pd.Series([stamp]),
            pd.Series([stamp], dtype=object),
            pd.Series([stamp]).dt.tz_localize("UTC"),
            pd.Series([stamp]).astype("timestamp[ns][pyarrow]"),
        ):
            (value,) = column(series, "moment", values=ValueRules(timezone="UTC"))
            assert isinstance(value, dt.datetime)
            assert value.replace(tzinfo=None) == expected


def test_lists_of_every_type_fill_a_multi_value_field() -> None:
    """Lists, tuples, arrays and sets give all their values; a null in one, a list of lists or a dict is refused."""
    cells: list[object] = [
        ["a"],
        ("b", "c"),
        np.array(["d"]),
        {"z", "y"},
        [],
        "e",
        None,
        ["a", None],
        [["a"]],
        {"a": 1},
    ]
    expected = [("a",), ("b", "c"), ("d",), ("y", "z"), (), ("e",), SKIPPED, INVALID, INVALID, INVALID]
    assert column(pd.Series(cells, dtype=object), "tags") == expected
    loop: list[object] = []
    loop.append(loop)
    assert column(pd.Series([loop, ["a"]], dtype=object), "tags") == [INVALID, ("a",)]
    for kind in (pa.list_(pa.float32()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 1)):
        assert column(arrow([[0.1], None, [None]], kind), "numbers") == [(D("0.1"),), SKIPPED, INVALID]
    assert column(pd.Series([np.array([0.1, 2], "f4")], dtype=object), "numbers") == [(D("0.1"), D(2))]
    assert column(pd.Series([["a"]], dtype=object), "notes") == [INVALID]


# --- nulls, ids, duplicates, data times ------------------------------------------------------------------------------


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
    )
    (row,) = read(frame, fields={"x": "deal_currency"}, nulls="clear")
    assert row == Outcome(
        0,
        "a",
        OutcomeWord.INVALID,
        "NOT_CLEARABLE",
        "column 'x': deal_currency is empty (null), and cannot be cleared; "
        "fill it, or pass nulls={'x': 'skip'} to leave the field alone.",
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
    """The reader tells which texts it took for missing values, where text may have been meant; an id is never one."""
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


@properties
@given(chunks=st.lists(st.lists(st.none() | st.integers(0, 60).map(str), max_size=30), max_size=8))
def test_ids_of_earlier_rows_are_found(chunks: list[list[str | None]]) -> None:
    """The memory of ids tells whether all of a chunk are new, and knows the first row of each that came before."""
    seen, known, row = SeenIds(), dict[str, int](), 0
    for chunk in chunks:
        good = [record_id for record_id in chunk if record_id is not None]
        assert seen.add(chunk, row) is (len(set(good)) == len(good) and known.keys().isdisjoint(good))
        assert seen.before(good, row) == {record_id: known[record_id] for record_id in good if record_id in known}
        for place, record_id in enumerate(chunk, row):
            if record_id is not None:
                known.setdefault(record_id, place)
        row += len(chunk)


def test_any_thread_may_drop_the_memory_of_ids() -> None:
    """The garbage collector runs in whatever thread is busy: that it closes the temporary file there is no error."""
    held, unraisable = [SeenIds()], list[object]()
    hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(held.clear).result()
    finally:
        sys.unraisablehook = hook
    assert not unraisable


AS_OF_COLUMNS: dict[str, tuple[Any, ValueRules, list[dt.datetime | str]]] = {
    "aware": (pd.Series([LATE.astimezone(NEW_YORK)]), ValueRules(), [LATE]),
    "aware text": (pd.Series(["2026-03-02T04:30:00Z"]), ValueRules(), [LATE]),
    "naive": (pd.Series([NAIVE]), ZONED, [LATE]),
    "naive without zone": (pd.Series([NAIVE]), ValueRules(), ["column 'at': as_of has no offset; pass timezone="]),
    "date": (pd.Series([DAY], dtype=object), ZONED, [dt.datetime(2026, 3, 1, 5, tzinfo=dt.UTC)]),
    "date text": (pd.Series(["2026-03-01"]), ZONED, [dt.datetime(2026, 3, 1, 5, tzinfo=dt.UTC)]),
    "date without zone": (
        arrow([DAY], pa.date32()),
        ValueRules(),
        ["column 'at': as_of has no offset; pass timezone="],
    ),
    "null": (pd.Series([pd.NaT]), ZONED, ["column 'at': the data time is empty (null); fill it, or leave as_of out."]),
    "number": (pd.Series([5]), ZONED, ["column 'at': as_of takes a point in time (ISO"]),
    "infinity": (
        pd.Series([dt.date.max, dt.date.min, dt.datetime.max, pd.Timestamp.min, "infinity", np.inf, ""], dtype=object),  # noqa: DTZ901
        ZONED,
        [
            "column 'at': as_of takes dates of the years 1900 to 2200 (infinity is none), the row has '9999-12-31",
            "column 'at': as_of takes dates of the years 1900 to 2200 (infinity is none), the row has '0001-01-01",
            "column 'at': as_of takes dates of the years 1900 to 2200 (infinity is none), the row has '9999-12-31",
            "column 'at': as_of takes dates of the years 1900 to 2200 (infinity is none), the row has '1677-09-21",
            "column 'at': as_of takes a point in time (ISO, such as 2026-03-01), the row has 'infinity'.",
            "column 'at': as_of takes a point in time (ISO, such as 2026-03-01), the row has 'inf'.",
            "column 'at': the data time is empty (null); fill it, or leave as_of out.",
        ],
    ),
    "list": (pd.Series([{}]), ZONED, ["column 'at': as_of takes a point in time, the row has a dict."]),
    "end of the calendar": (
        pd.Series(["9999-12-31T23:59:59-05:00"]),
        ZONED,
        ["column 'at': as_of takes dates of the years 1900 to 2200 (infinity is none), the row has '9999-12-31T2"],
    ),
    "twice": (pd.Series([dt.datetime(2026, 11, 1, 1, 30)]), ZONED, ["column 'at': as_of happens twice or never"]),  # noqa: DTZ001
    "both folds": (
        pd.Series([dt.datetime(2026, 11, 1, 1, 30, tzinfo=NEW_YORK, fold=fold) for fold in (0, 1)], dtype=object),
        ZONED,
        [dt.datetime(2026, 11, 1, hour, 30, tzinfo=dt.UTC) for hour in (5, 6)],
    ),
}


@pytest.mark.parametrize("name", AS_OF_COLUMNS)
def test_data_times_are_instants_in_utc(name: str) -> None:
    """A column tells the data time of each row as an instant that orders rightly; what is unclear is refused."""
    values, rules, expected = AS_OF_COLUMNS[name]
    frame = pd.DataFrame({"id": [f"o{row}" for row in range(len(values))], "n": "x", "at": values})
    reader = FrameReader(ColumnRules("id", {"n": "notes"}, as_of="at", values=rules), CATALOGUE, RUN)
    for row, wanted in zip(reader.read(frame), expected, strict=True):
        if isinstance(wanted, str):
            assert isinstance(row, Outcome)
            assert row.code == "AS_OF"
            assert row.reason.startswith(wanted)
        else:
            assert isinstance(row, Update)
            assert row.as_of == wanted
            assert row.as_of.tzinfo is dt.UTC


# --- reasons ---------------------------------------------------------------------------------------------------------


def test_all_that_is_wrong_with_a_row_is_told_at_once() -> None:
    """One reason tells every wrong value, with its column where that has another name; the code is the first one's."""
    frame = pd.DataFrame({"id": ["a"], "arr": ["abc"], "deal_currency": ["dollars"], "won": [DAY]})
    fields = {"arr": "deal_value", "deal_currency": "deal_currency", "won": "date_won"}
    assert read(frame, fields=fields) == [
        Outcome(
            0,
            "a",
            OutcomeWord.INVALID,
            "NOT_A_NUMBER",
            "column 'arr': deal_value takes an amount of money, the row has 'abc'. "
            "deal_currency takes a currency code of three letters (ISO 4217), the row has 'dollars'.",
        )
    ]
    row = only(pd.Timedelta(1), "deal_value")
    assert isinstance(row, Outcome)
    assert (row.code, row.reason) == (
        "TYPE",
        "column 'cell': deal_value takes an amount of money, the row has a Timedelta.",
    )


def test_personal_values_are_in_no_reason() -> None:
    """Whatever is wrong with a personal value, the reason does not show it."""
    for value in (b"secret", ["secret"], {"secret": "secret"}, ["secret", None], "\ud800secret", True):
        row = only(value, "phone")
        assert isinstance(row, Outcome)
        assert row.reason
        assert "secret" not in row.reason


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
        ({"id_column": ""}, "id_column is ''; write the name of the column that holds the record ids."),
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
def test_wrong_rules_are_told_with_what_to_write(arguments: dict[str, Any], message: str) -> None:
    """Each wrong argument is a ConfigurationError that says what to write instead."""
    assert error(ColumnRules, **{"id_column": "id", "fields": {"arr": "deal_value"}, **arguments}) == message


def test_the_id_column_may_be_mapped_too() -> None:
    """The id can be written into a field as well."""
    assert read(pd.DataFrame({"id": ["a"]}), fields={"id": "notes"}) == [Update(0, "a", {"notes": "a"}, RUN)]


# --- any frame -------------------------------------------------------------------------------------------------------

INT64 = st.integers(-(2**63), 2**63 - 1)
SMALL = st.sampled_from([0, 1, 2, -1, 20_000, 2**31 - 1, 1_770_000_000, -(2**63), 2**63 - 1])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text(st.characters(), max_size=5)
    | st.sampled_from(["1", "2", "EUR", "2026-03-01", "2026-03-01T10:00:00Z", " ", "nan", "..", "\ud800"])
    | st.dates()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.timedeltas()
    | st.times()
    | st.binary(max_size=2)
    | st.uuids()
    | st.complex_numbers()
    | st.builds(np.float32, st.floats(width=32))
    | st.builds(np.float16, st.floats(width=16))
    | st.builds(np.int64, INT64)
    | st.builds(np.datetime64, SMALL, st.sampled_from(["Y", "D", "s", "ns"]))
    | st.builds(np.timedelta64, SMALL, st.just("s"))
    | st.sampled_from(
        [
            pd.NA,
            pd.NaT,
            np.datetime64("NaT", "ns"),
            np.True_,
            pd.Timestamp(1),
            pd.Period("2026-01"),
            object(),
            Color.RED,
            10**400,
            float("inf"),
            D("sNaN"),
            {},
            pd.Interval(0, 1),
            pd.Series([1]),
            np.array(5),
            np.void(b"a"),
            int,
        ]
    )
)
CELLS = st.recursive(
    LEAVES, lambda leaf: st.lists(leaf, max_size=2) | st.lists(leaf, max_size=2).map(tuple), max_leaves=4
)


def of_ints(name: str) -> st.SearchStrategy[Any]:
    """Builds a column of a type that integers can be seen as."""
    numpy_kind, arrow_kind = (name, None) if not name.endswith("[pyarrow]") else (None, name)

    def build(values: list[int]) -> pd.Series[Any]:
        whole = np.array(values, "i8")
        if arrow_kind:
            kind = pd.ArrowDtype.construct_from_string(arrow_kind).pyarrow_dtype
            mask = np.array([value == 1 for value in values], bool)
            return pd.Series(pd.array(pa.array(whole, mask=mask).view(kind), dtype=pd.ArrowDtype(kind)))
        return pd.Series(whole.view(numpy_kind))

    return st.lists(SMALL | INT64, min_size=8, max_size=8).map(build)


def typed(values: st.SearchStrategy[Any], kind: Any) -> st.SearchStrategy[Any]:
    """Builds a column of nullable values of a type."""
    return st.lists(st.none() | values, min_size=8, max_size=8).map(lambda cells: pd.Series(cells, dtype=kind))


def arrowed(values: st.SearchStrategy[Any], kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Builds an Arrow-backed column."""
    return st.lists(st.none() | values, min_size=8, max_size=8).map(lambda cells: arrow(cells, kind))


TEXT = st.text(max_size=4) | st.sampled_from(["1", "2", "EUR", "2026-03-01", "a"])
COLUMNS = st.one_of(
    st.lists(CELLS, min_size=8, max_size=8).map(lambda cells: pd.Series(cells, dtype=object)),
    st.sampled_from(["i8", "u8", "M8[s]", "M8[ms]", "M8[us]", "M8[ns]", "m8[s]", "m8[ns]", "f8"]).flatmap(of_ints),
    st.sampled_from(
        [
            "timestamp[s][pyarrow]",
            "timestamp[ns, tz=Asia/Kathmandu][pyarrow]",
            "timestamp[s, tz=-03:30][pyarrow]",
            "date64[pyarrow]",
            "duration[us][pyarrow]",
            "int64[pyarrow]",
            "uint64[pyarrow]",
            "double[pyarrow]",
        ]
    ).flatmap(of_ints),
    typed(st.floats(width=32), "float32"),
    typed(st.floats(width=16), "float16"),
    typed(st.floats(), "Float64"),
    typed(INT64, "Int64"),
    typed(st.booleans(), "boolean"),
    typed(TEXT, "string"),
    typed(TEXT, "str"),
    typed(TEXT, "category"),
    typed(st.integers(0, 3), "category"),
    typed(st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)), "datetime64[ns, UTC]"),  # noqa: DTZ001
    arrowed(st.decimals(-(10**9), 10**9, places=3), pa.decimal128(38, 3)),
    arrowed(TEXT, pa.large_string()),
    arrowed(TEXT, pa.dictionary(pa.int8(), pa.string())),
    arrowed(st.binary(max_size=2), pa.binary()),
    arrowed(st.lists(st.none() | st.floats(width=32), max_size=2), pa.list_(pa.float32())),
    arrowed(st.none(), pa.null()),
)
LETTERS = st.lists(st.sampled_from(list("abcdefghijklmnop")), min_size=8, max_size=8).map(pd.Series)
UNIQUE = st.permutations(list("abcdefgh")).map(pd.Series)
# Mostly good ids and the run's own data time: a row refused for its id says little about its values.
IDS = st.integers(0, 5).flatmap(lambda kind: (COLUMNS, LETTERS, UNIQUE, UNIQUE, UNIQUE, UNIQUE)[kind])
TIMES = st.integers(0, 4).flatmap(lambda kind: COLUMNS if kind == 0 else st.none())


def checked_row(row: Update | Outcome, names: set[str]) -> None:
    """A row is an update of plain exact values, or an outcome that says why not."""
    if isinstance(row, Outcome):
        assert row.word in {OutcomeWord.INVALID, OutcomeWord.STALE}
        assert row.code
        assert row.reason
        assert (row.reason + row.record_id).encode()
        return
    assert row.record_id == row.record_id.strip() != ""
    assert row.fields.keys() <= names
    for value in row.fields.values():
        for item in value if isinstance(value, tuple) else (value,):
            assert type(item) in {str, int, Decimal, dt.date, dt.datetime, type(None)}
            assert not isinstance(item, Decimal) or item.is_finite()
    assert row.as_of is not None
    assert row.as_of.utcoffset() is not None


@settings(properties, max_examples=400)
@given(
    record_ids=IDS,
    columns=st.lists(
        st.tuples(COLUMNS, st.sampled_from(sorted(CATALOGUE))), min_size=1, max_size=3, unique_by=lambda c: c[1]
    ),
    nulls=st.sampled_from(["skip", "clear", "error"]),
    on_duplicate=st.sampled_from(["error", "last"]),
    as_of=TIMES,
    timezone=st.sampled_from([None, "America/New_York"]),
    chunk_rows=st.sampled_from([1, 3, 8]),
)
def test_any_frame_in_every_row_out_exactly_once(  # noqa: PLR0917
    record_ids: pd.Series[Any],
    columns: list[tuple[pd.Series[Any], str]],
    nulls: str,
    on_duplicate: str,
    as_of: pd.Series[Any] | None,
    timezone: str | None,
    chunk_rows: int,
) -> None:
    """Whatever the types, nulls, duplicates and chunks: one outcome or update per row, in order, and nothing raises."""
    frame = pd.concat([record_ids.rename("id"), *(values.rename(f"c_{name}") for values, name in columns)], axis=1)
    if as_of is not None:
        frame["at"] = as_of
    names = [name for _, name in columns]
    rules = ColumnRules(
        "id",
        {f"c_{name}": name for name in names},
        nulls=nulls,
        on_duplicate=on_duplicate,
        as_of=None if as_of is None else "at",
        values=ValueRules(timezone=timezone),
    )
    reader = FrameReader(rules, CATALOGUE, RUN)
    chunks = [list(reader.read(chunk)) for chunk in frames(frame, chunk_rows=chunk_rows)]
    rows = [row for chunk in chunks for row in chunk]
    assert [row.row for row in rows] == list(range(8))
    for row in rows:
        checked_row(row, set(names))
    for scope in chunks if on_duplicate == "last" else [rows]:
        written = [row.record_id for row in scope if isinstance(row, Update)]
        assert len(written) == len(set(written))


@properties
@given(
    cents=st.lists(st.integers(-(10**13), 10**13), min_size=1, max_size=6),
    shape=st.sampled_from(["float64", "str", "decimal", "arrow decimal", "Float64", "json"]),
)
def test_money_of_any_column_type_is_exact(cents: list[int], shape: str) -> None:
    """Amounts of up to 14 digits come out to the cent from floats, decimals and text alike."""
    texts = [f"{cent // 100 if cent >= 0 else -(-cent // 100)}.{abs(cent) % 100:02}" for cent in cents]
    texts = ["-" + text.lstrip("-") if cent < 0 else text for text, cent in zip(texts, cents, strict=True)]
    decimals = [Decimal(text) for text in texts]
    values: Any = {
        "float64": lambda: pd.Series([float(text) for text in texts]),
        "Float64": lambda: pd.Series([float(text) for text in texts], dtype="Float64"),
        "str": lambda: pd.Series(texts),
        "decimal": lambda: pd.Series(decimals, dtype=object),
        "arrow decimal": lambda: arrow(decimals, pa.decimal128(20, 2)),
        "json": lambda: pd.Series([json.loads(text, parse_float=Decimal) for text in texts], dtype=object),
    }[shape]()
    found = column(values, "deal_value")
    assert [Fraction(value) for value in found] == [Fraction(cent, 100) for cent in cents]  # type: ignore[arg-type]


# --- sources ---------------------------------------------------------------------------------------------------------

ROWS = [
    {"id": "9007199254740993", "arr": "0.10", "note": "NA", "day": "2026-03-01"},
    {"id": "007", "arr": None, "note": 'a "b", c\nd', "day": None},
    {"id": "x", "arr": "12345678901234.5", "note": None, "day": "2026-03-02"},
]
WRITTEN = [
    ("9007199254740993", {"deal_value": D("0.10"), "notes": "NA", "date_won": dt.date(2026, 3, 1)}),
    ("007", {"notes": 'a "b", c\nd'}),
    ("x", {"deal_value": D("12345678901234.50"), "date_won": dt.date(2026, 3, 2)}),
]
CSV = (
    "\ufeffid,arr,note,day\n9007199254740993,0.10,NA,2026-03-01\n\n"
    '007,,"a ""b"", c\nd",\nx,12345678901234.5,,2026-03-02\n'
)
JSON_LINES = (
    '{"id": 9007199254740993, "arr": 0.10, "note": "NA", "day": "2026-03-01"}\n\n'
    '{"id": "007", "arr": null, "note": "a \\"b\\", c\\nd", "day": null}\r\n'
    '{"id": "x", "arr": 12345678901234.5, "day": "2026-03-02"}'
)


def parquet() -> bytes:
    """The rows in Arrow types, with the id hidden in pandas' metadata as an index."""
    frame = pd.DataFrame(ROWS).set_index("id")
    table = pa.Table.from_pandas(frame)
    arr = pa.array([D("0.10"), None, D("12345678901234.5")], pa.decimal128(38, 2))
    table = table.set_column(table.schema.get_field_index("arr"), "arr", arr)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data


FILES = {
    "rows.csv": CSV.encode(),
    "rows.CSV": CSV.encode(),
    "rows.csv.gz": gzip.compress(CSV.encode()),
    "rows.jsonl": JSON_LINES.encode(),
    "rows.ndjson": JSON_LINES.encode(),
    "rows.jsonl.gz": gzip.compress(JSON_LINES.encode()),
    "rows.parquet": parquet(),
    "rows.pq": parquet(),
}


def written(data: object, chunk_rows: int) -> list[tuple[str, dict[str, object]]]:
    """Id and fields of every update read from a source."""
    chunks = list(frames(data, chunk_rows=chunk_rows))
    assert all(len(chunk) <= chunk_rows for chunk in chunks)
    rows = read(*chunks, fields={"arr": "deal_value", "note": "notes", "day": "date_won"})
    return [(row.record_id, dict(row.fields)) for row in rows if isinstance(row, Update)]


@pytest.fixture(scope="module", autouse=True)
def _memory_store() -> None:
    """A store in memory, attached as Airflow's documentation says."""
    attach("memory", fs=fsspec.filesystem("memory"))


@pytest.mark.parametrize("chunk_rows", [1, 2, 10])
@pytest.mark.parametrize("name", FILES)
def test_files_of_every_kind_give_the_same_rows(name: str, chunk_rows: int, tmp_path: Path) -> None:
    """CSV, JSON lines and Parquet, packed or not, on disk or in an object store, give the same exact rows by chunks."""
    local = tmp_path / name
    local.write_bytes(FILES[name])
    remote = ObjectStoragePath(f"memory://bucket/{name}")
    with remote.open("wb") as file:
        file.write(FILES[name])
    for data in (str(local), local, ObjectStoragePath(f"file://{local}"), remote):
        assert written(data, chunk_rows) == WRITTEN


@pytest.mark.parametrize("chunk_rows", [1, 2, 10])
def test_frames_and_lists_give_the_same_rows(chunk_rows: int) -> None:
    """A DataFrame, a list of dicts and the rows of a cursor give the same rows as the files do."""
    names = list(ROWS[0])
    cursor = [tuple(row.values()) for row in ROWS]
    for data in (pd.DataFrame(ROWS), ROWS, tuple(ROWS), frame_of_rows(names, cursor)):
        assert written(data, chunk_rows) == WRITTEN
    assert list(frame_of_rows(names, []).columns) == names
    assert list(frame_of_rows(["a", "a"], [(1, [2])]).iloc[0]) == [1, [2]]


def test_no_digits_are_lost_on_the_way(tmp_path: Path) -> None:
    """Whole numbers beside nulls and long decimals stay exact, where pandas' own readers make floats of them."""
    number, long = 2**62 + 1, D("0.1000000000000000055511151231257827")
    rows = [{"id": number, "n": long}, {"id": None, "n": None}]
    (tmp_path / "a.jsonl").write_text(f'{{"id": {number}, "n": {long}}}\n{{"id": null}}\n')
    pq.write_table(pa.table({"id": [number, None], "n": [long, None]}), tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text(f"id,n\n{number},{long}\n,\n")
    for data in (rows, tmp_path / "a.jsonl", tmp_path / "a.parquet", tmp_path / "a.csv"):
        (frame,) = frames(data)
        row, nothing = read(frame, fields={"n": "notes"})
        assert isinstance(row, Update)
        assert (row.record_id, row.fields) == (str(number), {"notes": str(long)})
        assert isinstance(nothing, Outcome)


def test_sources_without_rows_are_no_error(tmp_path: Path) -> None:
    """An empty source gives no rows, and where it names its columns, those are still checked."""
    assert list(frames([])) == []
    (tmp_path / "a.jsonl").write_text("\n")
    assert list(frames(tmp_path / "a.jsonl")) == []
    (tmp_path / "a.csv").write_text("id,n\n")
    pq.write_table(pa.table({"id": pa.array([], "int64"), "n": pa.array([], "string")}), tmp_path / "a.parquet")
    for data in (pd.DataFrame({"id": [], "n": []}), tmp_path / "a.csv", tmp_path / "a.parquet"):
        (frame,) = frames(data)
        assert (list(frame.columns), len(frame)) == (["id", "n"], 0)
        assert read(frame, fields={"n": "notes"}) == []
        assert "no column 'm'" in error(read, frame, fields={"m": "notes"})


BROKEN: dict[str, tuple[bytes, str]] = {
    "short.csv": (b"id,n\na,b\nc\n", "line 3 has 1 cells, the header has 2."),
    "long.csv": (b"id,n\na,b,c\n", "line 2 has 3 cells, the header has 2."),
    "empty.csv": (b"", "it is empty; the first line of a CSV file names its columns."),
    "quote.csv": (b'id,n\na,"b" c\n', ""),
    "latin.csv": ("id,n\na,é\n".encode("latin-1"), ""),
    "plain.csv.gz": (b"id,n\na,b\n", ""),
    "bad.jsonl": (b'{"id": 1}\n{"id": \n', "line 2 is not JSON: "),
    "deep.jsonl": (b"[" * 200_000, "line 1 is not JSON: "),
    "digits.jsonl": (b'{"id": ' + b"1" * 5000 + b"}", "line 1 is not JSON: "),
    "huge.jsonl": (b'{"id": 1e99999999999999999999}', "line 1 is not JSON: "),
    "list.jsonl": (b"[1]\n", "line 1 is a JSON list, not an object (one pair of braces per line)."),
    "latin.jsonl": ('{"id": "é"}'.encode("latin-1"), ""),
    "bad.parquet": (b"PAR1nothing", ""),
    "empty.parquet": (b"", ""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_told_by_name_and_line(name: str, tmp_path: Path) -> None:
    """A file that cannot be read whole is a ConfigurationError with its path; rows are never shifted, filled or cut."""
    content, message = BROKEN[name]
    path = tmp_path / name
    path.write_bytes(content)
    assert error(lambda: list(frames(str(path)))).startswith(f"{str(path)!r} cannot be read: {message}")


def test_a_file_that_is_cut_may_be_whole_later(tmp_path: Path) -> None:
    """A packed file that ends too early, such as one that is still being written, is worth another try."""
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(b"id,n\na,b\n")[:-9])
    with pytest.raises(TransientError, match=r"cut\.csv\.gz' ends too early"):
        list(frames(str(path)))


def test_doubled_csv_columns_are_not_renamed(tmp_path: Path) -> None:
    """Two columns of one name stay two, so the reader can refuse them."""
    (tmp_path / "a.csv").write_text("id,n,n\na,1,2\n")
    (frame,) = frames(tmp_path / "a.csv")
    assert "more than one column 'n'" in error(read, frame, fields={"n": "notes"})


def test_a_key_of_json_lines_is_a_column_from_its_chunk_on(tmp_path: Path) -> None:
    """A column that was seen stays one, although a later chunk has no such key."""
    (tmp_path / "a.jsonl").write_text('{"id": 1, "n": "x"}\n{"id": 2}\n{"id": 3, "m": 1}\n')
    assert [list(frame.columns) for frame in frames(tmp_path / "a.jsonl", chunk_rows=1)] == [
        ["id", "n"],
        ["id", "n"],
        ["id", "n", "m"],
    ]


TAKEN = (
    "a pandas DataFrame, a list of dicts, a polars DataFrame or another Arrow table, an iterator of any of these, or a "
    "path (str or ObjectStoragePath) to "
    ".parquet, .pq, .csv, .jsonl, .ndjson, .csv.gz, .jsonl.gz or .ndjson.gz."
)


def test_what_is_no_source_is_told_at_once(tmp_path: Path) -> None:
    """Other types and suffixes are ConfigurationErrors that say what is taken; a file that is away may come yet."""
    assert error(frames, 5) == f"data is a int; pass {TAKEN}"
    assert error(frames, None) == f"data is a NoneType; pass {TAKEN}"
    assert error(frames, "rows.xlsx") == f"data is the path 'rows.xlsx'; pass {TAKEN}"
    assert error(frames, "rows.parquet.gz") == f"data is the path 'rows.parquet.gz'; pass {TAKEN}"
    assert error(frames, "") == f"data is the path ''; pass {TAKEN}"
    assert error(frames, [{"id": 1}, 5]) == ("item 1 of data is a int; pass dicts, lists of dicts, or frames.")
    assert "XComArg" in error(frames, "[{'id': 'secret', 'x.csv': 1}]")
    assert "secret" not in error(frames, "[{'id': 'secret', 'x.csv': 1}]")
    assert error(frames, [], chunk_rows=0) == "chunk_rows is 0; write at least 1."
    for missing in (tmp_path / "no.csv", "no/such.csv"):
        with pytest.raises(TransientError) as caught:
            list(frames(missing))
        assert str(caught.value) == f"There is no file {str(missing)!r}."
    (tmp_path / "dir.csv").mkdir()
    assert "cannot be opened" in error(lambda: list(frames(tmp_path / "dir.csv")))


def test_importing_the_module_loads_no_heavy_library() -> None:
    """A DAG file that imports the module pays for neither pandas, numpy, pyarrow nor Airflow."""
    code = (
        "import sys, airflow_provider_crm.rows; "
        "print(*sorted({'pandas', 'numpy', 'pyarrow', 'airflow'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
