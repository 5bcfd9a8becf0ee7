"""Write and read the file of all rows that did not land: CSV, JSON lines or Parquet, in constant memory."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Protocol, TypeAlias

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.report.rejects import Reject
from airflow_provider_crm.values.parquet import require_pyarrow

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]

_AT_ONCE = 5_000
_PARQUET = ".parquet"

WriteReject: TypeAlias = Callable[[Reject], object]
"""Add one row to the file."""


class ObjectPath(Protocol):
    """The methods that a path must have: `pathlib.Path` and Airflow's `ObjectStoragePath` have them."""

    @property
    def name(self) -> str:
        """The last part, with its suffix."""

    def open(self, mode: str) -> IO[bytes]:
        """Open for reading or writing bytes."""


def check_rejects_path(path: str) -> None:
    """Refuse a form that the rejects file does not have, or cannot have in this environment.

    Raises:
        ConfigurationError: Naming the forms it has, or what to install.
    """
    suffix = PurePosixPath(path).suffix
    if suffix not in _FORMATS:
        msg = f"rejects_path is {path!r}; let it end in {', '.join([*_FORMATS][:-1])} or {[*_FORMATS][-1]}."
        raise ConfigurationError(msg)
    if suffix == _PARQUET:
        require_pyarrow(f"rejects_path {path!r} is a Parquet file")


@contextmanager
def rejects_file(path: ObjectPath, *, resumed: bool = False) -> Iterator[WriteReject]:
    """Open the file; it is complete when the context ends, also by an error.

    It is written even if no row fails: a file of an earlier try must not look like the rejects of this one.

    Args:
        path: Path of the file; its suffix was checked before.
        resumed: Whether to keep the rows that are in the file. Object stores cannot append, and Parquet cannot be
            appended to. So the file is copied to this machine's disk first, and then written before the new rows.

    Raises:
        ConfigurationError: If it cannot be written, or the rows that it should keep cannot be read.
    """
    with tempfile.TemporaryFile() as before:
        try:
            if resumed:
                with path.open("rb") as old:
                    shutil.copyfileobj(old, before)
                before.seek(0)
            file = path.open("wb")
        except OSError as err:
            msg = f"rejects_path {str(path)!r} cannot be written: {err}."
            raise ConfigurationError(msg) from err
        with file, _FORMATS[PurePosixPath(path.name).suffix](file, before) as write:
            yield write


def read_rejects(path: ObjectPath) -> Iterator[Reject]:
    """Yield the rows of a file that `rejects_file` wrote, in their order.

    Raises:
        OSError: It cannot be read.
        ConfigurationError: It is a Parquet file, and there is no pyarrow to read it.
    """
    if PurePosixPath(path.name).suffix == _PARQUET:
        require_pyarrow(f"{str(path)!r} is a Parquet file")
    with path.open("rb") as file:
        yield from (Reject(**row) for row in _READERS[PurePosixPath(path.name).suffix](file))


@contextmanager
def _csv(file: IO[bytes], before: IO[bytes]) -> Iterator[WriteReject]:
    shutil.copyfileobj(before, file)
    with io.TextIOWrapper(file, encoding="utf-8", newline="") as lines:
        names = [field.name for field in fields(Reject)]
        # Everything in quotes: Python 3.11 leaves a lone carriage return bare, which then ends a line.
        table = csv.DictWriter(lines, names, lineterminator="\n", quoting=csv.QUOTE_ALL)
        if before.tell() == 0:
            table.writeheader()
        yield lambda reject: table.writerow(reject.to_row())


@contextmanager
def _json_lines(file: IO[bytes], before: IO[bytes]) -> Iterator[WriteReject]:
    shutil.copyfileobj(before, file)
    yield lambda reject: file.write(json.dumps(reject.to_row()).encode() + b"\n")


@contextmanager
def _parquet(file: IO[bytes], before: IO[bytes]) -> Iterator[WriteReject]:
    import pyarrow as pa
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    schema = pa.schema([(field.name, pa.string()) for field in fields(Reject)])
    with pq.ParquetWriter(file, schema) as writer:
        if before.seek(0, io.SEEK_END):
            for batch in _batches(before):
                writer.write_batch(batch)
        rows: list[dict[str, str]] = []

        def flush() -> None:
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows.clear()

        def write(reject: Reject) -> None:
            rows.append(reject.to_row())
            if len(rows) == _AT_ONCE:
                flush()

        try:
            yield write
        finally:
            flush()


def _batches(before: IO[bytes]) -> Iterator[pa.RecordBatch]:
    """Yield the rows that were in the file before.

    Raises:
        ConfigurationError: It is no Parquet file any more.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        old = pq.ParquetFile(before)
    except pa.ArrowInvalid as err:
        msg = f"The rejects file was changed while the task was deferred, and cannot be continued: {err}."
        raise ConfigurationError(msg) from err
    if old.num_row_groups:  # pyarrow 18 refuses to iterate over none
        yield from old.iter_batches(_AT_ONCE)


def _csv_rows(file: IO[bytes]) -> Iterator[dict[str, str]]:
    with io.TextIOWrapper(file, encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def _json_rows(file: IO[bytes]) -> Iterator[dict[str, str]]:
    yield from map(json.loads, file)


def _parquet_rows(file: IO[bytes]) -> Iterator[dict[str, str]]:
    import pyarrow.parquet as pq

    rows = pq.ParquetFile(file)
    for batch in rows.iter_batches(_AT_ONCE) if rows.num_row_groups else ():  # pyarrow 18 refuses to iterate over none
        yield from batch.to_pylist()


_FORMATS: Mapping[str, Callable[[IO[bytes], IO[bytes]], AbstractContextManager[WriteReject]]] = {
    ".csv": _csv,
    ".jsonl": _json_lines,
    _PARQUET: _parquet,
}
_READERS: Mapping[str, Callable[[IO[bytes]], Iterator[dict[str, str]]]] = {
    ".csv": _csv_rows,
    ".jsonl": _json_rows,
    _PARQUET: _parquet_rows,
}
