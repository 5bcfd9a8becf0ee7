"""Claims about the reader: every row of any frame comes out exactly once, with all that is wrong with it."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_crm.rows import ColumnRules, FrameReader, frames
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, SourceValue, Update

from .reading import CATALOGUE, DAY, INT64, RUN, Color, D, arrow, column, only, properties, read


def test_all_that_is_wrong_with_a_row_is_reported_at_once() -> None:
    """One reason names every wrong value, with its column where that has another name; the code is the first one's."""
    frame = pd.DataFrame({"id": ["a"], "arr": ["abc"], "deal_currency": ["dollars"], "won": [DAY]})
    fields = {"arr": "deal_value", "deal_currency": "deal_currency", "won": "date_won"}
    values = {"deal_value": "abc", "deal_currency": "dollars", "date_won": DAY.isoformat()}
    assert read(frame, fields=fields) == [
        Outcome(
            0,
            "a",
            OutcomeWord.INVALID,
            "NOT_A_NUMBER",
            "column 'arr': deal_value takes an amount of money, the row has 'abc'. "
            "deal_currency takes a currency code of three letters (ISO 4217), the row has 'dollars'.",
            source=tuple(SourceValue(*one) for one in values.items()),
        )
    ]
    row = only(pd.Timedelta(1), "deal_value")
    assert isinstance(row, Outcome)
    assert (row.code, row.reason) == (
        "TYPE",
        "column 'cell': deal_value takes an amount of money, the row has a Timedelta.",
    )


def test_personal_values_are_in_no_reason() -> None:
    """No reason shows a personal value."""
    for value in (b"secret", ["secret"], {"secret": "secret"}, ["secret", None], "\ud800secret", True):
        row = only(value, "phone")
        assert isinstance(row, Outcome)
        assert row.reason
        assert "secret" not in row.reason


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
    """Build a column of a type that integers can be seen as."""
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
    """Build a column of nullable values of a type."""
    return st.lists(st.none() | values, min_size=8, max_size=8).map(lambda cells: pd.Series(cells, dtype=kind))


def arrowed(values: st.SearchStrategy[Any], kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Build an Arrow-backed column."""
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
    """Check that a row is an update of plain exact values, or an outcome that names the reason."""
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
            assert type(item) in {str, bool, int, Decimal, dt.date, dt.datetime, type(None)}
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
    """For all types, nulls, duplicates and chunks: one outcome or update per row, in order, and nothing raises."""
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
