"""Make frames of plain Python objects, with every value as the cursor, list or iterator gave it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.rows.cells import Mark, without_nan

if TYPE_CHECKING:
    import pandas as pd

_NO_ROW = (str, bytes, bytearray)


def load_pandas() -> None:
    """Import pandas, and with it pyarrow, in the calling thread.

    Call it in a long-lived thread before a short-lived one needs pandas. Airflow 3.3.1's constraints install
    pyarrow 25.0.0, which hangs or crashes once the thread that imported it has ended and another one allocates memory
    (https://github.com/apache/arrow/issues/50471).
    """
    import pandas as pd  # noqa: F401


def frame_of_rows(names: Sequence[str], rows: Sequence[Sequence[object] | Mapping[str, object]]) -> pd.DataFrame:
    """Return a frame of what a database cursor gave.

    Args:
        names: Name of each column; a name may occur twice as long as it is not used.
        rows: One sequence of values per row, or one mapping from names, as dict cursors have it.

    Raises:
        ConfigurationError: The rows are neither.
    """
    for kind in set(map(type, rows)):
        if issubclass(kind, _NO_ROW) or not issubclass(kind, Iterable):
            msg = f"The cursor's rows are of type {kind.__name__}; use one whose rows are tuples or dicts."
            raise ConfigurationError(msg)
        if issubclass(kind, Mapping):
            rows = [[row[name] for name in names] if isinstance(row, Mapping) else row for row in rows]
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    frame = _frame(dict(enumerate(map(list, columns))), len(rows))
    frame.columns = list(names)
    return frame


def frame_of_dicts(rows: Sequence[Mapping[str, object]], keys: Iterable[str]) -> pd.DataFrame:
    """Return a frame with a column for each key; a key that a row lacks is absent there, and no null."""
    return _frame({key: [row.get(key, Mark.ABSENT) for row in rows] for key in keys}, len(rows))


def dict_frames(rows: Sequence[Mapping[str, object]], chunk_rows: int) -> Iterator[pd.DataFrame]:
    """Cut a list of rows into frames, each with the keys of all rows."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return (frame_of_dicts(rows[start : start + chunk_rows], keys) for start in range(0, len(rows), chunk_rows))


def item_frames(
    items: Iterable[object], chunk_rows: int, table_frames: Callable[[object], Iterator[pd.DataFrame]]
) -> Iterator[pd.DataFrame]:
    """Cut rows and tables that come one after another into frames, as far as they are taken.

    A key counts as a column from the chunk on in which it first occurs.

    Args:
        items: Rows as mappings, lists of those, and tables.
        chunk_rows: The most rows of one frame.
        table_frames: Returns the frames of an item that is a table.

    Raises:
        ConfigurationError: An item is nothing of these.
    """
    keys: dict[str, None] = {}
    waiting: list[Mapping[str, object]] = []
    for index, item in enumerate(items):
        rows = _rows_of(item)
        if rows is None:
            check_item(index, item)
            if waiting:
                yield _next_frame(waiting, keys)
                waiting = []
            yield from table_frames(item)
            continue
        waiting.extend(rows)
        while len(waiting) >= chunk_rows:
            yield _next_frame(waiting[:chunk_rows], keys)
            del waiting[:chunk_rows]
    if waiting:
        yield _next_frame(waiting, keys)


def check_item(index: int, item: object) -> None:
    """Check that an item is a row by name, a list of those, or a table.

    Raises:
        ConfigurationError: It is nothing of these.
    """
    if _rows_of(item) is None and not is_table(item):
        msg = f"item {index} of data is a {type(item).__name__}; pass dicts, lists of dicts, or frames."
        raise ConfigurationError(msg)


def is_table(data: object) -> bool:
    """Return whether an object is a pandas frame, or hands over its columns by the Arrow PyCapsule interface."""
    import pandas as pd

    return hasattr(data, "__arrow_c_stream__") and not isinstance(data, pd.Series)


def _rows_of(item: object) -> Sequence[Mapping[str, object]] | None:
    if isinstance(item, Mapping):
        return [item]
    return item if isinstance(item, (list, tuple)) and all_rows(item) else None


def all_rows(items: Sequence[object]) -> TypeGuard[Sequence[Mapping[str, object]]]:
    """Return whether all items are rows by name."""
    return all(issubclass(kind, Mapping) for kind in set(map(type, items)))


def _next_frame(rows: list[Mapping[str, object]], keys: dict[str, None]) -> pd.DataFrame:
    keys.update(dict.fromkeys(key for row in rows for key in row))
    return frame_of_dicts(rows, keys)


def _frame(columns: Mapping[Any, list[Any]], rows: int) -> pd.DataFrame:
    """Return a frame of objects: pandas would guess types, and lose digits."""
    import pandas as pd

    series = {key: pd.Series(without_nan(cells), dtype=object) for key, cells in columns.items()}
    return pd.DataFrame(series, index=range(rows))
