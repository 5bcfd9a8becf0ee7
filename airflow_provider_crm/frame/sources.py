"""Where rows come from: frames, lists, cursors and files, cut into frames that lose nothing."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from decimal import Decimal
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard

from airflow_provider_crm.exceptions import ConfigurationError, TransientError
from airflow_provider_crm.frame.cells import Mark, without_nan
from airflow_provider_crm.parquet import require_pyarrow

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]


class _ObjectPath(Protocol):
    """What is needed of a path: `pathlib.Path` and Airflow's `ObjectStoragePath` have it."""

    @property
    def name(self) -> str: ...

    def open(self, mode: str) -> IO[Any]: ...


_Reader: TypeAlias = Callable[[Any, int], "Iterator[pd.DataFrame]"]

_READ_AT_ONCE = 1 << 20
_TAKEN = (
    "a pandas DataFrame, a list of dicts, or a path (str or ObjectStoragePath) to "
    ".parquet, .pq, .csv, .jsonl, .ndjson, .csv.gz, .jsonl.gz or .ndjson.gz"
)


def frames(data: object, *, chunk_rows: int = 10_000) -> Iterator[pd.DataFrame]:
    """Cut the data into frames of at most `chunk_rows` rows; files are read piece by piece, never whole.

    Text of a CSV stays text ("NA", "007", an empty cell); numbers of JSON and Parquet keep all digits. A null is None,
    so NaN is none, except in a frame, where it may be pandas' only way to write one. A key that a dict or JSON line
    lacks is no null: "clear" leaves such a field alone. In JSON lines a key counts as a column from the chunk on in
    which it first occurs, so each mapped key has to occur in the first chunk.

    Args:
        data: A DataFrame, a list of dicts, or a path to a Parquet, CSV or JSON lines file: text for a file on disk, or
            any object with `name` and `open`.
        chunk_rows: The most rows of one frame.

    Returns:
        The frames in order. A source without rows gives one frame without rows where it tells its columns, else none.

    Raises:
        ConfigurationError: For other types and suffixes at once; for a broken file when it is read.
        TransientError: For a file that is not there, or not whole, when it is read.
    """
    if chunk_rows < 1:
        msg = f"chunk_rows is {chunk_rows}; write at least 1."
        raise ConfigurationError(msg)
    if isinstance(data, (list, tuple)):
        return _from_dicts(data, chunk_rows)
    if isinstance(data, str) or _is_path(data):
        return _from_path(data, chunk_rows)
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return _slices(data, chunk_rows)
    msg = f"data is a {type(data).__name__}; pass {_TAKEN}."
    raise ConfigurationError(msg)


def is_in_memory(data: object) -> bool:
    """Whether all rows are in memory: of a list, or of a frame of any library; not of a path or an iterator."""
    return isinstance(data, (list, tuple)) or hasattr(data, "columns")


def _is_path(data: object) -> TypeGuard[_ObjectPath]:
    return isinstance(getattr(data, "name", None), str) and callable(getattr(data, "open", None))


def _slices(frame: pd.DataFrame, chunk_rows: int) -> Iterator[pd.DataFrame]:
    for start in range(0, max(len(frame), 1), chunk_rows):
        yield frame.iloc[start : start + chunk_rows]


def _from_dicts(rows: Sequence[object], chunk_rows: int) -> Iterator[pd.DataFrame]:
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            msg = f"data is a list whose item {index} is a {type(row).__name__}; pass {_TAKEN}."
            raise ConfigurationError(msg)
    keys = dict.fromkeys(key for row in rows for key in row)  # type: ignore[attr-defined]
    return (_frame_of_dicts(rows[start : start + chunk_rows], keys) for start in range(0, len(rows), chunk_rows))


def _frame_of_dicts(rows: Sequence[Any], keys: Mapping[str, None]) -> pd.DataFrame:
    return _frame({key: [row.get(key, Mark.ABSENT) for row in rows] for key in keys}, len(rows))


def frame_of_rows(names: Sequence[str], rows: Sequence[Sequence[object] | Mapping[str, object]]) -> pd.DataFrame:
    """A frame of what a database cursor gave, every value as it came.

    Args:
        names: Name of each column; a name may occur twice as long as it is not used.
        rows: One sequence of values per row, or one mapping from names, as dict cursors have it.

    Raises:
        ConfigurationError: The rows are neither.
    """
    columns = zip(*(_row_values(row, names) for row in rows), strict=True) if rows else [()] * len(names)
    frame = _frame(dict(enumerate(map(list, columns))), len(rows))
    frame.columns = list(names)
    return frame


def _row_values(row: Any, names: Sequence[str]) -> Iterable[object]:  # noqa: ANN401 - of whatever driver
    if isinstance(row, Mapping):
        return [row[name] for name in names]
    if isinstance(row, Iterable) and not isinstance(row, (str, bytes)):
        return row
    msg = f"The cursor's rows are of type {type(row).__name__}; use one whose rows are tuples or dicts."
    raise ConfigurationError(msg)


def _frame(columns: Mapping[Any, list[Any]], rows: int) -> pd.DataFrame:
    """A frame of objects: pandas would guess types, and lose digits."""
    import pandas as pd

    series = {key: pd.Series(without_nan(cells), dtype=object) for key, cells in columns.items()}
    return pd.DataFrame(series, index=range(rows))


def _from_path(data: str | _ObjectPath, chunk_rows: int) -> Iterator[pd.DataFrame]:
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
    if read is None or (packed and read is _from_parquet):
        msg = f"data is the path {str(data)!r}; pass {_TAKEN}."
        raise ConfigurationError(msg)
    if read is _from_parquet:
        require_pyarrow(f"data {str(data)!r} is a Parquet file")
    return _from_file(data, read, chunk_rows, packed=packed)


def _from_file(data: str | _ObjectPath, read: _Reader, chunk_rows: int, *, packed: bool) -> Iterator[pd.DataFrame]:
    try:
        with _path(data).open("rb") as raw, gzip.open(raw) if packed else nullcontext(raw) as plain:
            yield from read(plain, chunk_rows)
    except FileNotFoundError as err:  # which may be written later, as one that ends too early may be whole then
        msg = f"There is no file {str(data)!r}."
        raise TransientError(msg, code="SOURCE") from err
    except EOFError as err:
        msg = f"{str(data)!r} ends too early: {err}"
        raise TransientError(msg, code="SOURCE") from err
    except (IsADirectoryError, NotADirectoryError, PermissionError) as err:
        msg = f"{str(data)!r} cannot be opened: {err.strerror}."
        raise ConfigurationError(msg) from err
    except (ValueError, csv.Error, gzip.BadGzipFile, zlib.error) as err:  # pyarrow's are ValueErrors too
        msg = f"{str(data)!r} cannot be read: {err}"
        raise ConfigurationError(msg) from err


def _path(data: str | _ObjectPath) -> _ObjectPath:
    return Path(data) if isinstance(data, str) else data


def _from_parquet(raw: IO[bytes], chunk_rows: int) -> Iterator[pd.DataFrame]:
    """Arrow types throughout: a nullable int64 would become a float. The pandas metadata would hide index columns.

    Files often are one large row group, which Arrow reads ahead as a whole unless it is told otherwise.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    file = pq.ParquetFile(raw, pre_buffer=False, buffer_size=_READ_AT_ONCE)
    batch: pa.RecordBatch | pa.Table | None = None
    for batch in file.iter_batches(chunk_rows, use_threads=False):
        yield batch.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
        pa.default_memory_pool().release_unused()
    if batch is None:
        yield file.schema_arrow.empty_table().to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)


def _from_csv(raw: IO[bytes], chunk_rows: int) -> Iterator[pd.DataFrame]:
    """By the csv module: pandas fills rows that are too short, and shifts columns where rows are too long."""
    with io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, strict=True)
        header = next((row for row in reader if row), None)
        if header is None:
            msg = "it is empty; the first line of a CSV file names its columns."
            raise ValueError(msg)
        rows = _csv_rows(reader, len(header))
        chunk = list(islice(rows, chunk_rows))
        yield frame_of_rows(header, chunk)
        while chunk := list(islice(rows, chunk_rows)):
            yield frame_of_rows(header, chunk)


def _csv_rows(reader: Any, width: int) -> Iterator[list[str]]:  # noqa: ANN401 - the csv module does not export its type
    for row in reader:
        if len(row) == width:
            yield row
        elif row:
            msg = f"line {reader.line_num} has {len(row)} cells, the header has {width}."
            raise ValueError(msg)


def _from_json_lines(raw: IO[bytes], chunk_rows: int) -> Iterator[pd.DataFrame]:
    keys: dict[str, None] = {}
    with io.TextIOWrapper(raw, encoding="utf-8-sig", newline="\n") as lines:
        rows = _json_rows(lines)
        while chunk := list(islice(rows, chunk_rows)):
            keys.update(dict.fromkeys(key for row in chunk for key in row))
            yield _frame_of_dicts(chunk, keys)


def _json_rows(lines: IO[str]) -> Iterator[dict[str, object]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_float=Decimal)
        except (ValueError, ArithmeticError, RecursionError) as err:
            msg = f"line {number} is not JSON: {err}."
            raise ValueError(msg) from err
        if not isinstance(row, dict):
            msg = f"line {number} is a JSON {type(row).__name__}, not an object (one pair of braces per line)."
            raise ValueError(msg)  # noqa: TRY004 - about the file, like the other
        yield row


_FORMATS: Mapping[str, _Reader] = {
    ".parquet": _from_parquet,
    ".pq": _from_parquet,
    ".csv": _from_csv,
    ".jsonl": _from_json_lines,
    ".ndjson": _from_json_lines,
}
