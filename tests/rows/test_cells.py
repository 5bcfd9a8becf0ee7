"""Claims about cells: no type of column loses a digit, a letter or an hour."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Update

from .reading import DAY, INVALID, LATE, NAIVE, SKIPPED, ZONED, Color, D, arrow, column, only

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


def test_texts_and_numbers_of_subclasses_become_plain() -> None:
    """Members of enums and numpy scalars leave as plain str, int and Decimal, so JSON and SQL take them."""
    row = only(Color.RED)
    assert isinstance(row, Update)
    assert type(row.fields["notes"]) is str
    row = only(np.int32(5), "whole")
    assert isinstance(row, Update)
    assert type(row.fields["whole"]) is int


FLAGS: dict[str, tuple[Any, list[object]]] = {
    "bool": (pd.Series([True, False]), [True, False]),
    "boolean": (pd.Series([True, None, False], dtype="boolean"), [True, SKIPPED, False]),
    "object": (pd.Series([True, None, False, np.True_, np.False_], dtype=object), [True, SKIPPED, False, True, False]),
    "object of booleans, numbers and words": (
        pd.Series([1, True, 0, False, 2, "1", " No ", 1.0, np.int8(1), "maybe", np.nan], dtype=object),
        [True, True, False, False, INVALID, True, False, INVALID, True, INVALID, SKIPPED],
    ),
    "int64": (pd.Series([1, 0, 2]), [True, False, INVALID]),
    "Int64": (pd.Series([1, None, 0], dtype="Int64"), [True, SKIPPED, False]),
    "float64": (pd.Series([1.0, 0.0, np.nan]), [INVALID, INVALID, SKIPPED]),
    "str": (pd.Series(["TRUE", "no", None, "", "x"], dtype="str"), [True, False, SKIPPED, SKIPPED, INVALID]),
    "category": (pd.Series([True, None, False], dtype="category"), [True, SKIPPED, False]),
    "sparse": (pd.Series([True, False], dtype="Sparse[bool]"), [True, False]),
    "arrow bool": (arrow([True, None, False], pa.bool_()), [True, SKIPPED, False]),
    "arrow int8": (arrow([1, None, 0], pa.int8()), [True, SKIPPED, False]),
    "arrow string": (arrow(["yes", None, "0"], pa.string()), [True, SKIPPED, False]),
    "arrow dictionary": (
        pd.Series(pd.array(pa.array(["yes", None, "no"]).dictionary_encode(), dtype=None)),
        [True, SKIPPED, False],
    ),
}


@pytest.mark.parametrize("name", FLAGS)
def test_booleans_of_every_type_are_booleans(name: str) -> None:
    """Each column type gives True and False themselves, its nulls as nulls, and refuses what is neither."""
    values, expected = FLAGS[name]
    found = column(values, "flag")
    assert found == expected
    assert {type(one) for one in found} <= {bool, object}


def test_true_and_one_of_one_column_are_not_mixed_up() -> None:
    """A boolean in a column of numbers is refused, wherever an equal number stands."""
    assert column(pd.Series([1, True, 0, False], dtype=object), "whole") == [1, INVALID, 0, INVALID]
    assert column(pd.Series([True, 1, False, 0], dtype=object), "notes") == [INVALID, "1", INVALID, "0"]


@pytest.mark.parametrize(("nulls", "expected"), [("clear", [True, None]), ("error", [True, INVALID])])
def test_missing_booleans_follow_the_rule_for_nulls(nulls: str, expected: list[object]) -> None:
    """A null of a boolean column clears the field, or is refused, as for other fields."""
    assert column(pd.Series([True, None], dtype="boolean"), "flag", nulls=nulls) == expected
    assert column(arrow([True, None], pa.bool_()), "flag", nulls=nulls) == expected


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
    """A time one nanosecond before midnight stays on its day, before and after 1970, in every type of column."""
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
