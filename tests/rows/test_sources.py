"""Claims about sources of rows beyond frames, lists and good files: each is read, or the error says what to write."""

from __future__ import annotations

import codecs
import datetime as dt
import gzip
from collections import UserDict, deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.rows import ColumnRules, FrameReader, frames
from airflow_provider_crm.values.opportunity import Field, Kind, Update

FIELDS = {
    field.name: field
    for field in (Field("deal_value", "v", Kind.MONEY), Field("notes", "note"), Field("tags", "tags", multiple=True))
}
ROWS: list[dict[str, Any]] = [
    {"id": "a", "arr": 1, "tags": ["x", "y"]},
    {"id": "b", "arr": None, "tags": None},
    {"id": "c", "arr": 2**53 + 1, "tags": []},
]
TABLE = pa.table({"id": ["a", "b", "c"], "arr": pa.array([1, None, 2**53 + 1]), "tags": [["x", "y"], None, []]})
READ = [("a", {"deal_value": 1, "tags": ("x", "y")}), ("b", {}), ("c", {"tags": ()})]


class Capsules:
    """A table of a library that has Arrow's interface and nothing else."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand over the columns."""
        return self._table.__arrow_c_stream__(requested_schema)


class Outputs(Sequence[Any]):
    """The outputs of a mapped task, as Airflow hands them over: a sequence that is no list."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]


def read(data: object, **arguments: Any) -> list[tuple[str, dict[str, object]]]:
    """Return id and fields of every row; a row whose value is refused stands without that value's field."""
    found = []
    for column in ("arr", "tags"):
        reader = FrameReader(ColumnRules("id", {column: {"arr": "deal_value", "tags": "tags"}[column]}), FIELDS, None)
        source = data() if callable(data) else data
        found.append([row for frame in frames(source, **arguments) for row in reader.read(frame)])
    return [
        (
            money.record_id,
            {name: value for row in (money, tags) if isinstance(row, Update) for name, value in row.fields.items()},
        )
        for money, tags in zip(*found, strict=True)
    ]


SOURCES: dict[str, Any] = {
    "table": TABLE,
    "batch": TABLE.to_batches()[0],
    "reader": TABLE.to_reader,
    "capsules": Capsules(TABLE),
    "generator": lambda: (row for row in ROWS),
    "deque": deque(ROWS),
    "mappings": [UserDict(row) for row in ROWS],
    "outputs of rows": Outputs(ROWS),
    "outputs of lists": Outputs([ROWS[:2], [], ROWS[2:]]),
    "outputs of frames": Outputs([pd.DataFrame(ROWS[:1]), TABLE.slice(1)]),
    "list of frames": [TABLE.slice(0, 1), Capsules(TABLE.slice(1))],
    "generator of all kinds": lambda: iter([ROWS[0], TABLE.slice(1, 1), (ROWS[2],)]),
}


@pytest.mark.parametrize("chunk_rows", [1, 2, 10])
@pytest.mark.parametrize("name", SOURCES)
def test_every_source_gives_the_same_rows(name: str, chunk_rows: int) -> None:
    """Arrow tables and streams, iterators, sequences and what mapped tasks return give the rows of a list, exactly."""
    assert read(SOURCES[name], chunk_rows=chunk_rows) == READ
    source = SOURCES[name]
    assert all(
        len(frame) <= chunk_rows for frame in frames(source() if callable(source) else source, chunk_rows=chunk_rows)
    )


def test_a_polars_frame_is_read_through_arrow() -> None:
    """Frames of polars keep nulls, whole numbers, decimals, dates, categories and lists; a lazy one is refused."""
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(ROWS)
    assert read(frame, chunk_rows=2) == READ
    data = {
        "id": ["a", "b"],
        "n": polars.Series(["x", None], dtype=polars.Categorical),
        "d": [Decimal("1.10"), None],
        "day": [dt.date(2026, 3, 1), None],
        "nan": [float("nan"), None],
    }
    for column, expected in (("n", "x"), ("d", "1.10"), ("day", "2026-03-01")):
        (chunk,) = frames(polars.DataFrame(data))
        first, second = FrameReader(ColumnRules("id", {column: "notes"}), FIELDS, None).read(chunk)
        assert (first.fields, second.fields) == ({"notes": expected}, {})  # type: ignore[union-attr]
    (chunk,) = frames(polars.DataFrame(data))
    assert not isinstance(
        next(iter(FrameReader(ColumnRules("id", {"nan": "notes"}), FIELDS, None).read(chunk))), Update
    )
    assert refused(frame.lazy()).endswith("Pass what its collect() returns.")


def refused(data: object) -> str:
    """Return the message of the ConfigurationError that reading a source raises."""
    with pytest.raises(ConfigurationError) as caught:
        list(frames(data))
    return str(caught.value)


def test_a_source_is_taken_as_it_comes() -> None:
    """A generator is not run ahead of the requested chunk, and an empty table has its columns."""
    taken = []

    def rows() -> Iterator[dict[str, object]]:
        for row in ROWS:
            taken.append(row)
            yield row

    chunks = frames(rows(), chunk_rows=1)
    assert not taken
    next(chunks)
    assert len(taken) == 1
    (empty,) = frames(TABLE.slice(0, 0))
    assert (list(empty.columns), len(empty)) == (["id", "arr", "tags"], 0)
    assert list(frames(iter([]))) == []


def test_what_is_no_source_is_named() -> None:
    """An item that is no row, a column, bytes and a single dict are refused with what is taken."""
    assert refused([ROWS[0], 5]) == "item 1 of data is a int; pass dicts, lists of dicts, or frames."
    assert refused(iter([ROWS[0], "path.csv"])) == "item 1 of data is a str; pass dicts, lists of dicts, or frames."
    assert refused(Outputs([None])) == "item 0 of data is a NoneType; pass dicts, lists of dicts, or frames."
    assert refused(pa.chunked_array([[1]])).startswith(
        "data is a ChunkedArray, which Arrow does not take for a table: "
    )
    for data in (pd.Series([1]), b"id", ROWS[0], {1, 2}, object()):
        assert refused(data).startswith(f"data is a {type(data).__name__}; pass a pandas DataFrame, a list of dicts, ")


def test_an_id_in_the_index_is_named() -> None:
    """A frame whose index holds a column that is asked for is refused with the way to get it out."""
    rules = ColumnRules("id", {"arr": "deal_value"})
    reader = FrameReader(rules, FIELDS, None)
    for frame, names in (
        (pd.DataFrame({"arr": [1]}, index=pd.Index(["a"], name="id")), "'id'"),
        (pd.DataFrame({"n": [1]}, index=pd.MultiIndex.from_tuples([("a", 1)], names=["id", "arr"])), "'id' and 'arr'"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            reader.read(frame)
        assert str(caught.value).endswith(f" Its index is named {names}: pass reset_index() of the frame.")
        assert len(list(reader.read(frame.reset_index().assign(arr=1)))) == 1


# --- files -----------------------------------------------------------------------------------------------------------

TEXT = "id,arr,tags\na,1,é日\n"
LINES = '{"id": "a", "arr": 1, "tags": "é日"}\n'


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_every_unicode_is_read(suffix: str, encoding: str, packed: bool, tmp_path: Path) -> None:
    """A file says by its first bytes in which Unicode it is written, packed or not."""
    mark = {"utf-16-be": codecs.BOM_UTF16_BE, "utf-32-be": codecs.BOM_UTF32_BE}.get(encoding, b"")
    content = mark + {"csv": TEXT, "jsonl": LINES}[suffix].encode(encoding)
    path = tmp_path / f"rows.{suffix}{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(content) if packed else content)
    assert read(str(path)) == [("a", {"deal_value": 1, "tags": ("é日",)})]


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "cp1252.csv": (
        b"id,arr\n" + b"b,2\n" * 9_000 + "a,é\n".encode("cp1252"),
        "line 9002 (byte 0xe9) is not UTF-8; convert the file, as iconv -t utf-8 does.",
    ),
    "cp1252.jsonl": (
        '{"id": 1}\n{"id": "\u20ac"}\n'.encode("cp1252"),
        "line 2 (byte 0x80) is not UTF-8; convert the file, as iconv -t utf-8 does.",
    ),
    "half.csv": (
        codecs.BOM_UTF16_LE + "id,arr\na".encode("utf-16-le")[:-1],
        "it (truncated data) is not UTF-16; convert",
    ),
    "unmarked.csv": (
        "id,arr\na,1\n".encode("utf-16-le"),
        "it has zero bytes; write it in UTF-8, or in UTF-16 with a byte",
    ),
    "semicolons.csv": (
        b"id;arr\na;1.234,56\n",
        "its first line is one column, 'id;arr'. Write the file with commas between cells, and with a point in decimal",
    ),
    "excel.csv": (
        "\ufeffsep=;\nid;arr\n".encode(),
        "its first line is one column, 'sep=;'. Write the file with commas",
    ),
    "tabs.csv": (b"id\tarr\na\t1\n", "its first line is one column, 'id\\tarr'. Write the file with commas"),
    "long.csv": (
        b"id,arr\na,b\nc," + b"x" * 131_073 + b"\n",
        "line 3: field larger than field limit (131072): a quote is not closed, or a text is too long for a CSV file",
    ),
    "quote.csv": (b'id,arr\na,"b" c\n', "line 2: ',' expected after '\"'."),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_of_another_kind_is_reported_with_line_and_cure(name: str, packed: bool, tmp_path: Path) -> None:
    """Other encodings and separators, and cells that are too long, are refused with the line and the cure."""
    content, message = UNREADABLE[name]
    path = tmp_path / f"{name}{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(content) if packed else content)
    assert refused(str(path)).startswith(f"{str(path)!r} cannot be read: {message}")


def test_a_header_of_one_column_is_a_file_of_ids(tmp_path: Path) -> None:
    """A CSV file of one column is read; only one whose name holds another separator is not."""
    (tmp_path / "a.csv").write_text("id\na\n")
    (frame,) = frames(str(tmp_path / "a.csv"))
    assert frame["id"].tolist() == ["a"]
