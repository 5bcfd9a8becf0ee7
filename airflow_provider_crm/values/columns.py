"""Rows of values in columns."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

_T = TypeVar("_T")


class Row(Mapping[str, _T]):
    """One row, by the names of its columns; nothing is copied until it is read.

    It is pickled as a dict.

    Args:
        columns: Values of all rows by name; they no longer change.
        index: Index of the row in its columns.
    """

    __slots__ = ("columns", "index")

    def __init__(self, columns: Mapping[str, Sequence[_T]], index: int) -> None:
        self.columns = columns
        self.index = index

    def __getitem__(self, name: str) -> _T:
        return self.columns[name][self.index]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __repr__(self) -> str:
        return repr(row_of(self.columns, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (row_of(self.columns, self.index),)

    def items(self) -> ItemsView[str, _T]:
        """Return all items at once, which is faster than one by one."""
        return row_of(self.columns, self.index).items()


def row_of(columns: Mapping[str, Sequence[_T]], index: int) -> dict[str, _T]:
    """Return one row as a dict."""
    return {name: column[index] for name, column in columns.items()}


def positions_by_shape(shapes: Sequence[object]) -> list[Sequence[int]]:
    """Return the positions of each shape that occurs, in order."""
    if len(set(shapes)) == 1:
        return [range(len(shapes))]
    positions: dict[object, list[int]] = {}
    for position, shape in enumerate(shapes):
        positions.setdefault(shape, []).append(position)
    return list(positions.values())


def items_at(items: Sequence[_T], positions: Sequence[int]) -> Sequence[_T]:
    """Return the items at some positions, or at all of them, in order."""
    return items if len(positions) == len(items) else [items[position] for position in positions]


def merge_parts(parts: Sequence[tuple[Sequence[int], Iterable[_T]]]) -> list[_T]:
    """Merge parts of a sequence into one, in order; each part comes with the positions of its items."""
    if len(parts) == 1:
        return list(parts[0][1])
    by_position = {
        position: item for positions, items in parts for position, item in zip(positions, items, strict=True)
    }
    return [by_position[position] for position in range(len(by_position))]


def shapes_of(rows: Iterable[Mapping[str, object]]) -> list[object]:
    """Return a value for each row that is the same for rows of the same names in the same order.

    Only fast checks are made: two rows of one shape may get different values.
    """
    return [id(row.columns) if type(row) is Row else tuple(row) for row in rows]


def columns_of(rows: Sequence[Mapping[str, _T]]) -> dict[str, Sequence[_T]]:
    """Return the values of rows of one shape, column by column."""
    first = rows[0]
    if isinstance(first, Row):
        return rows_at(first.columns, [row.index for row in cast("Sequence[Row[_T]]", rows)])
    return dict(zip(first, zip(*(row.values() for row in rows), strict=True), strict=False))


def rows_at(columns: Mapping[str, Sequence[_T]], indexes: Sequence[int]) -> dict[str, Sequence[_T]]:
    """Return some rows of columns, in the order of the indexes."""
    first, end = indexes[0], indexes[0] + len(indexes)
    if indexes == list(range(first, end)):
        return {name: column[first:end] for name, column in columns.items()}
    return {name: [column[index] for index in indexes] for name, column in columns.items()}
