"""Claims about rows in columns."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_crm.values.opportunity import Row, columns_of, merge_parts, positions_by_shape, rows_at, shapes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMNS = {"value": [1, 2, 3], "note": ["a", "b", None]}


def test_a_row_is_a_mapping() -> None:
    """It reads, compares and unpacks as the dict of its values would, and cannot be written to."""
    row: Row[object] = Row(COLUMNS, 1)
    assert (row["note"], len(row), list(row), "value" in row, row.get("other")) == (
        "b",
        2,
        ["value", "note"],
        True,
        None,
    )
    assert row == {"value": 2, "note": "b"} == {**row}
    assert dict(row.items()) == dict(row)
    assert repr(row) == "{'value': 2, 'note': 'b'}"
    with pytest.raises(TypeError):
        row["note"] = "c"  # type: ignore[index]


def test_a_row_is_pickled_without_its_columns() -> None:
    """A row that goes to a file takes none of the others with it."""
    alone = pickle.loads(pickle.dumps(Row({"note": ["x" * 1_000, "y"]}, 1)))
    assert (type(alone), alone) == (dict, {"note": "y"})


@given(st.lists(st.integers(0, 3)))
def test_parts_come_back_in_order(shapes: list[int]) -> None:
    """Results of equal shapes, which are computed together, end up in the order of the rows."""
    parts = [
        (positions, [(position, shapes[position]) for position in positions])
        for positions in positions_by_shape(shapes)
    ]
    assert len(parts) == len(set(shapes))
    assert merge_parts(parts) == list(enumerate(shapes))


@given(st.lists(st.integers(0, 2), min_size=1))
def test_rows_are_put_together_in_columns(indexes: list[int]) -> None:
    """In any order and number, rows of columns and dicts alike."""
    wanted = {name: [column[index] for index in indexes] for name, column in COLUMNS.items()}
    rows: list[Mapping[str, object]] = [Row(COLUMNS, index) for index in indexes]
    assert rows_at(COLUMNS, indexes) == wanted
    assert columns_of(rows) == wanted
    assert {name: list(column) for name, column in columns_of([dict(row) for row in rows]).items()} == wanted
    assert len(set(shapes_of(rows))) == len(set(shapes_of([dict(row) for row in rows]))) == 1
