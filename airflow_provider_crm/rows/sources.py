"""Cut sources of rows (frames, lists, iterators and files) into frames without loss.

A frame of plain Python objects has every value as the cursor, list or iterator gave it.
"""

from __future__ import annotations

import csv
import gzip
import operator
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard

from airflow_provider_crm.exceptions import ConfigurationError, SourceUnreadableError
from airflow_provider_crm.rows.arrow import arrow_frames, parquet_frames
from airflow_provider_crm.rows.cells import NAN, Mark
from airflow_provider_crm.rows.text_files import csv_chunks, json_line_chunks
from airflow_provider_crm.values.parquet import require_pyarrow

if TYPE_CHECKING:
    import pandas as pd

_COMPARABLE = frozenset({str, int, float, bool, type(None)})
_NO_ROW = (str, bytes, bytearray)


class _FilePath(Protocol):
    """A path, such as `pathlib.Path` or Airflow's `ObjectStoragePath`."""

    @property
    def name(self) -> str: ...

    def open(self, mode: str) -> IO[Any]: ...


_Reader: TypeAlias = Callable[[Any, int], "Iterator[pd.DataFrame]"]

_TAKEN = (
    "a pandas DataFrame, a list of dicts, a polars DataFrame or another Arrow table, an iterator of any of these, or a "
    "path (str or ObjectStoragePath) to "
    ".parquet, .pq, .csv, .jsonl, .ndjson, .csv.gz, .jsonl.gz or .ndjson.gz"
)


def frames(data: object, *, chunk_rows: int = 10_000) -> Iterator[pd.DataFrame]:
    """Cut the data into frames of at most `chunk_rows` rows; files are read piece by piece, never whole.

    Text of a CSV stays text ("NA", "007", an empty cell); numbers of JSON and Parquet keep all digits. A null is None.
    NaN is no null, except in a frame, where it may be pandas' only way to write one. A key that a dict or JSON line
    lacks is no null either: "clear" leaves such a field alone. In JSON lines and iterators a key counts as a column
    from the chunk on in which it first occurs. So each mapped key has to occur in the first chunk.

    Args:
        data: A DataFrame, a list of dicts, or a table with the Arrow PyCapsule interface (pyarrow, polars, DuckDB).
            Also a sequence or iterator of these, such as the outputs of mapped tasks. Or a path to a Parquet, CSV or
            JSON lines file, where a path is text for a file on disk, or any object with `name` and `open`.
        chunk_rows: The most rows of one frame.

    Returns:
        The frames in order. A source without rows gives one empty frame if its columns are known, else no frame.

    Raises:
        ConfigurationError: For other types and suffixes at once; for a broken file when it is read.
        SourceUnreadableError: For a file that is not there, or not whole, when it is read.
    """
    if chunk_rows < 1:
        msg = f"chunk_rows is {chunk_rows}; write at least 1."
        raise ConfigurationError(msg)
    if isinstance(data, str) or _is_path(data):
        return _from_path(data, chunk_rows)
    if isinstance(data, (list, tuple)) and all_rows(data):
        return dict_frames(data, chunk_rows)
    if is_table(data):
        return _from_table(data, chunk_rows)
    if isinstance(data, (list, tuple)):
        for index, item in enumerate(data):
            check_item(index, item)
    if isinstance(data, (Sequence, Iterator)) and not isinstance(data, (bytes, bytearray)):
        return item_frames(data, chunk_rows, lambda item: _from_table(item, chunk_rows))
    hint = " Pass what its collect() returns." if callable(getattr(data, "collect", None)) else ""
    msg = f"data is a {type(data).__name__}; pass {_TAKEN}.{hint}"
    raise ConfigurationError(msg)


def _from_table(data: object, chunk_rows: int) -> Iterator[pd.DataFrame]:
    """Return the frames of one frame or table."""
    import pandas as pd

    return _slices(data, chunk_rows) if isinstance(data, pd.DataFrame) else arrow_frames(data, chunk_rows)


def is_in_memory(data: object) -> bool:
    """Return whether all rows are in memory: of a list, or of a frame of any library; not of a path or an iterator."""
    return isinstance(data, (list, tuple)) or hasattr(data, "columns")


def row_count(data: Any) -> int | None:  # noqa: ANN401 - any type of rows
    """Return the number of rows of a frame, a table or a list; None where it is not known without reading them."""
    count = getattr(data, "num_rows", None)  # of Arrow
    if isinstance(count, int):
        return count
    return len(data) if is_in_memory(data) else None


def _is_path(data: object) -> TypeGuard[_FilePath]:
    return isinstance(getattr(data, "name", None), str) and callable(getattr(data, "open", None))


def _slices(frame: pd.DataFrame, chunk_rows: int) -> Iterator[pd.DataFrame]:
    for start in range(0, max(len(frame), 1), chunk_rows):
        yield frame.iloc[start : start + chunk_rows]


def _from_path(data: str | _FilePath, chunk_rows: int) -> Iterator[pd.DataFrame]:
    name = data if isinstance(data, str) else data.name
    if name.lstrip().startswith(("[", "{")):
        msg = (
            "data is text that looks like rows, not a path: templates render to text. Pass the task's output as an "
            f"XComArg, or set render_template_as_native_obj=True on the DAG. Taken are {_TAKEN}."
        )
        raise ConfigurationError(msg)
    suffixes = PurePosixPath(name.casefold().replace("\\", "/")).suffixes
    packed = suffixes[-1:] == [".gz"]
    suffix = "".join(suffixes[-2:-1] if packed else suffixes[-1:])
    read = _FORMATS.get(suffix)
    if read is None or (packed and read is parquet_frames):
        msg = f"data is the path {str(data)!r}; pass {_TAKEN}."
        raise ConfigurationError(msg)
    if read is parquet_frames:
        require_pyarrow(f"data {str(data)!r} is a Parquet file")
    return _from_file(data, read, chunk_rows, packed=packed)


def _from_file(data: str | _FilePath, read: _Reader, chunk_rows: int, *, packed: bool) -> Iterator[pd.DataFrame]:
    try:
        with _path(data).open("rb") as raw, gzip.open(raw) if packed else nullcontext(raw) as plain:
            yield from read(plain, chunk_rows)
    except FileNotFoundError as err:  # which may be written later, as one that ends too early may be whole then
        msg = f"There is no file {str(data)!r}."
        raise SourceUnreadableError(msg) from err
    except EOFError as err:
        msg = f"{str(data)!r} ends too early: {err}"
        raise SourceUnreadableError(msg) from err
    except (IsADirectoryError, NotADirectoryError, PermissionError) as err:
        msg = f"{str(data)!r} cannot be opened: {err.strerror}."
        raise ConfigurationError(msg) from err
    except (ValueError, csv.Error, gzip.BadGzipFile, zlib.error) as err:  # pyarrow's are ValueErrors too
        msg = f"{str(data)!r} cannot be read: {err}"
        raise ConfigurationError(msg) from err


def _path(data: str | _FilePath) -> _FilePath:
    return Path(data) if isinstance(data, str) else data


def _from_csv(raw: IO[bytes], chunk_rows: int) -> Iterator[pd.DataFrame]:
    return (frame_of_rows(names, rows) for names, rows in csv_chunks(raw, chunk_rows))


def _from_json_lines(raw: IO[bytes], chunk_rows: int) -> Iterator[pd.DataFrame]:
    return (frame_of_dicts(rows, keys) for keys, rows in json_line_chunks(raw, chunk_rows))


_FORMATS: Mapping[str, _Reader] = {
    ".parquet": parquet_frames,
    ".pq": parquet_frames,
    ".csv": _from_csv,
    ".jsonl": _from_json_lines,
    ".ndjson": _from_json_lines,
}


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

    series = {key: pd.Series(_without_nan(cells), dtype=object) for key, cells in columns.items()}
    return pd.DataFrame(series, index=range(rows))


def _without_nan(values: list[object]) -> list[object]:
    """Refuse NaN in values of a source that writes None for a null; only in a frame NaN may be one."""
    import numpy as np

    floats = (float, np.floating)
    kinds = set(map(type, values))
    if not any(issubclass(kind, floats) for kind in kinds):
        return values
    if kinds <= _COMPARABLE and not any(map(operator.ne, values, values)):  # in a fraction of the time
        return values
    return [NAN if isinstance(value, floats) and value != value else value for value in values]  # noqa: PLR0124 - NaN
