"""Cut sources of rows (frames, lists, iterators and files) into frames without loss."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard

from airflow_provider_crm.exceptions import ConfigurationError, SourceUnreadableError
from airflow_provider_crm.rows.arrow import arrow_frames, frame_of_arrow
from airflow_provider_crm.rows.objects import all_rows, check_item, dict_frames, is_table, item_frames
from airflow_provider_crm.rows.text_files import csv_frames, json_line_frames
from airflow_provider_crm.values.parquet import require_pyarrow

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]


class _FilePath(Protocol):
    """A path, such as `pathlib.Path` or Airflow's `ObjectStoragePath`."""

    @property
    def name(self) -> str: ...

    def open(self, mode: str) -> IO[Any]: ...


_Reader: TypeAlias = Callable[[Any, int], "Iterator[pd.DataFrame]"]

_READ_AT_ONCE = 1 << 20
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
    if read is None or (packed and read is _from_parquet):
        msg = f"data is the path {str(data)!r}; pass {_TAKEN}."
        raise ConfigurationError(msg)
    if read is _from_parquet:
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


def _from_parquet(raw: IO[bytes], chunk_rows: int) -> Iterator[pd.DataFrame]:
    """Read with Arrow types: a nullable int64 would become a float, and pandas' metadata would hide index columns.

    Files often are one large row group, which Arrow by default reads ahead as a whole.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    file = pq.ParquetFile(raw, pre_buffer=False, buffer_size=_READ_AT_ONCE)
    batch: pa.RecordBatch | pa.Table | None = None
    batches = file.iter_batches(chunk_rows, use_threads=False) if file.num_row_groups else ()  # pyarrow 18 refuses none
    for batch in batches:
        yield frame_of_arrow(batch)
        pa.default_memory_pool().release_unused()
    if batch is None:
        yield frame_of_arrow(file.schema_arrow.empty_table())


_FORMATS: Mapping[str, _Reader] = {
    ".parquet": _from_parquet,
    ".pq": _from_parquet,
    ".csv": csv_frames,
    ".jsonl": json_line_frames,
    ".ndjson": json_line_frames,
}
