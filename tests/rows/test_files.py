"""Claims about sources: files of every kind and frames give the same rows, and broken ones are named."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import subprocess
import sys
from pathlib import Path

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach

from airflow_provider_crm.exceptions import TransientError
from airflow_provider_crm.rows import frame_of_rows, frames
from airflow_provider_crm.values.opportunity import Outcome, Update

from .reading import D, error, read

ROWS = [
    {"id": "9007199254740993", "arr": "0.10", "note": "NA", "day": "2026-03-01"},
    {"id": "007", "arr": None, "note": 'a "b", c\nd', "day": None},
    {"id": "x", "arr": "12345678901234.5", "note": None, "day": "2026-03-02"},
]


WRITTEN = [
    ("9007199254740993", {"deal_value": D("0.10"), "notes": "NA", "date_won": dt.date(2026, 3, 1)}),
    ("007", {"notes": 'a "b", c\nd'}),
    ("x", {"deal_value": D("12345678901234.50"), "date_won": dt.date(2026, 3, 2)}),
]


CSV = (
    "\ufeffid,arr,note,day\n9007199254740993,0.10,NA,2026-03-01\n\n"
    '007,,"a ""b"", c\nd",\nx,12345678901234.5,,2026-03-02\n'
)


JSON_LINES = (
    '{"id": 9007199254740993, "arr": 0.10, "note": "NA", "day": "2026-03-01"}\n\n'
    '{"id": "007", "arr": null, "note": "a \\"b\\", c\\nd", "day": null}\r\n'
    '{"id": "x", "arr": 12345678901234.5, "day": "2026-03-02"}'
)


def parquet() -> bytes:
    """Return the rows in Arrow types, with the id hidden in pandas' metadata as an index."""
    frame = pd.DataFrame(ROWS).set_index("id")
    table = pa.Table.from_pandas(frame)
    arr = pa.array([D("0.10"), None, D("12345678901234.5")], pa.decimal128(38, 2))
    table = table.set_column(table.schema.get_field_index("arr"), "arr", arr)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data


FILES = {
    "rows.csv": CSV.encode(),
    "rows.CSV": CSV.encode(),
    "rows.csv.gz": gzip.compress(CSV.encode()),
    "rows.jsonl": JSON_LINES.encode(),
    "rows.ndjson": JSON_LINES.encode(),
    "rows.jsonl.gz": gzip.compress(JSON_LINES.encode()),
    "rows.parquet": parquet(),
    "rows.pq": parquet(),
}


def written(data: object, chunk_rows: int) -> list[tuple[str, dict[str, object]]]:
    """Return id and fields of every update read from a source."""
    chunks = list(frames(data, chunk_rows=chunk_rows))
    assert all(len(chunk) <= chunk_rows for chunk in chunks)
    rows = read(*chunks, fields={"arr": "deal_value", "note": "notes", "day": "date_won"})
    return [(row.record_id, dict(row.fields)) for row in rows if isinstance(row, Update)]


@pytest.fixture(scope="module", autouse=True)
def _memory_store() -> None:
    """Attach a store in memory as Airflow's documentation says."""
    attach("memory", fs=fsspec.filesystem("memory"))


@pytest.mark.parametrize("chunk_rows", [1, 2, 10])
@pytest.mark.parametrize("name", FILES)
def test_files_of_every_kind_give_the_same_rows(name: str, chunk_rows: int, tmp_path: Path) -> None:
    """CSV, JSON lines and Parquet, packed or not, on disk or in an object store, give the same exact rows by chunks."""
    local = tmp_path / name
    local.write_bytes(FILES[name])
    remote = ObjectStoragePath(f"memory://bucket/{name}")
    with remote.open("wb") as file:
        file.write(FILES[name])
    for data in (str(local), local, ObjectStoragePath(f"file://{local}"), remote):
        assert written(data, chunk_rows) == WRITTEN


@pytest.mark.parametrize("chunk_rows", [1, 2, 10])
def test_frames_and_lists_give_the_same_rows(chunk_rows: int) -> None:
    """A DataFrame, a list of dicts and the rows of a cursor give the same rows as the files do."""
    names = list(ROWS[0])
    cursor = [tuple(row.values()) for row in ROWS]
    for data in (pd.DataFrame(ROWS), ROWS, tuple(ROWS), frame_of_rows(names, cursor)):
        assert written(data, chunk_rows) == WRITTEN
    assert list(frame_of_rows(names, []).columns) == names
    assert list(frame_of_rows(["a", "a"], [(1, [2])]).iloc[0]) == [1, [2]]


def test_no_digits_are_lost_on_the_way(tmp_path: Path) -> None:
    """Whole numbers beside nulls and long decimals stay exact, where pandas' own readers make floats of them."""
    number, long = 2**62 + 1, D("0.1000000000000000055511151231257827")
    rows = [{"id": number, "n": long}, {"id": None, "n": None}]
    (tmp_path / "a.jsonl").write_text(f'{{"id": {number}, "n": {long}}}\n{{"id": null}}\n')
    pq.write_table(pa.table({"id": [number, None], "n": [long, None]}), tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text(f"id,n\n{number},{long}\n,\n")
    for data in (rows, tmp_path / "a.jsonl", tmp_path / "a.parquet", tmp_path / "a.csv"):
        (frame,) = frames(data)
        row, nothing = read(frame, fields={"n": "notes"})
        assert isinstance(row, Update)
        assert (row.record_id, row.fields) == (str(number), {"notes": str(long)})
        assert isinstance(nothing, Outcome)


def test_booleans_come_out_of_every_file(tmp_path: Path) -> None:
    """JSON and Parquet have booleans, CSV has words for them; nulls are missing values."""
    rows = [{"id": "a", "flag": True}, {"id": "b", "flag": None}, {"id": "c", "flag": False}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("id,flag\na,true\nb,\nc,False\n")
    for data in (rows, tmp_path / "a.jsonl", tmp_path / "a.parquet", tmp_path / "a.csv", pa.Table.from_pylist(rows)):
        (frame,) = frames(data)
        found = [row.fields for row in read(frame, fields={"flag": "flag"}, nulls="clear") if isinstance(row, Update)]
        assert found == [{"flag": True}, {"flag": None}, {"flag": False}]
        assert {type(row["flag"]) for row in found} == {bool, type(None)}


def test_sources_without_rows_are_no_error(tmp_path: Path) -> None:
    """An empty source gives no rows, and where it names its columns, those are still checked."""
    assert list(frames([])) == []
    (tmp_path / "a.jsonl").write_text("\n")
    assert list(frames(tmp_path / "a.jsonl")) == []
    (tmp_path / "a.csv").write_text("id,n\n")
    pq.write_table(pa.table({"id": pa.array([], "int64"), "n": pa.array([], "string")}), tmp_path / "a.parquet")
    for data in (pd.DataFrame({"id": [], "n": []}), tmp_path / "a.csv", tmp_path / "a.parquet"):
        (frame,) = frames(data)
        assert (list(frame.columns), len(frame)) == (["id", "n"], 0)
        assert read(frame, fields={"n": "notes"}) == []
        assert "no column 'm'" in error(read, frame, fields={"m": "notes"})


BROKEN: dict[str, tuple[bytes, str]] = {
    "short.csv": (b"id,n\na,b\nc\n", "line 3 has 1 cells, the header has 2."),
    "long.csv": (b"id,n\na,b,c\n", "line 2 has 3 cells, the header has 2."),
    "empty.csv": (b"", "it is empty; the first line of a CSV file names its columns."),
    "quote.csv": (b'id,n\na,"b" c\n', ""),
    "latin.csv": ("id,n\na,é\n".encode("latin-1"), ""),
    "plain.csv.gz": (b"id,n\na,b\n", ""),
    "bad.jsonl": (b'{"id": 1}\n{"id": \n', "line 2 is not JSON: "),
    "deep.jsonl": (b"[" * 200_000, "line 1 is not JSON: "),
    "digits.jsonl": (b'{"id": ' + b"1" * 5000 + b"}", "line 1 is not JSON: "),
    "huge.jsonl": (b'{"id": 1e99999999999999999999}', "line 1 is not JSON: "),
    "list.jsonl": (b"[1]\n", "line 1 is a JSON list, not an object (one pair of braces per line)."),
    "latin.jsonl": ('{"id": "é"}'.encode("latin-1"), ""),
    "bad.parquet": (b"PAR1nothing", ""),
    "empty.parquet": (b"", ""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_reported_by_name_and_line(name: str, tmp_path: Path) -> None:
    """A file that cannot be read whole is a ConfigurationError with its path; rows are never shifted, filled or cut."""
    content, message = BROKEN[name]
    path = tmp_path / name
    path.write_bytes(content)
    assert error(lambda: list(frames(str(path)))).startswith(f"{str(path)!r} cannot be read: {message}")


def test_a_file_that_is_cut_may_be_whole_later(tmp_path: Path) -> None:
    """A packed file that ends too early, such as one that is still being written, is worth another try."""
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(b"id,n\na,b\n")[:-9])
    with pytest.raises(TransientError, match=r"cut\.csv\.gz' ends too early"):
        list(frames(str(path)))


def test_doubled_csv_columns_are_not_renamed(tmp_path: Path) -> None:
    """Two columns of one name stay two, so the reader can refuse them."""
    (tmp_path / "a.csv").write_text("id,n,n\na,1,2\n")
    (frame,) = frames(tmp_path / "a.csv")
    assert "more than one column 'n'" in error(read, frame, fields={"n": "notes"})


def test_a_key_of_json_lines_is_a_column_from_its_chunk_on(tmp_path: Path) -> None:
    """A column that was seen stays one, although a later chunk has no such key."""
    (tmp_path / "a.jsonl").write_text('{"id": 1, "n": "x"}\n{"id": 2}\n{"id": 3, "m": 1}\n')
    assert [list(frame.columns) for frame in frames(tmp_path / "a.jsonl", chunk_rows=1)] == [
        ["id", "n"],
        ["id", "n"],
        ["id", "n", "m"],
    ]


TAKEN = (
    "a pandas DataFrame, a list of dicts, a polars DataFrame or another Arrow table, an iterator of any of these, or a "
    "path (str or ObjectStoragePath) to "
    ".parquet, .pq, .csv, .jsonl, .ndjson, .csv.gz, .jsonl.gz or .ndjson.gz."
)


def test_what_is_no_source_is_reported_at_once(tmp_path: Path) -> None:
    """Other types and suffixes are ConfigurationErrors that say what is taken; a file that is away may come yet."""
    assert error(frames, 5) == f"data is a int; pass {TAKEN}"
    assert error(frames, None) == f"data is a NoneType; pass {TAKEN}"
    assert error(frames, "rows.xlsx") == f"data is the path 'rows.xlsx'; pass {TAKEN}"
    assert error(frames, "rows.parquet.gz") == f"data is the path 'rows.parquet.gz'; pass {TAKEN}"
    assert error(frames, "") == f"data is the path ''; pass {TAKEN}"
    assert error(frames, [{"id": 1}, 5]) == ("item 1 of data is a int; pass dicts, lists of dicts, or frames.")
    assert "XComArg" in error(frames, "[{'id': 'secret', 'x.csv': 1}]")
    assert "secret" not in error(frames, "[{'id': 'secret', 'x.csv': 1}]")
    assert error(frames, [], chunk_rows=0) == "chunk_rows is 0; write at least 1."
    for missing in (tmp_path / "no.csv", "no/such.csv"):
        with pytest.raises(TransientError) as caught:
            list(frames(missing))
        assert str(caught.value) == f"There is no file {str(missing)!r}."
    (tmp_path / "dir.csv").mkdir()
    assert "cannot be opened" in error(lambda: list(frames(tmp_path / "dir.csv")))


def test_importing_the_module_loads_no_heavy_library() -> None:
    """A DAG file that imports the module pays for neither pandas, numpy, pyarrow nor Airflow."""
    code = (
        "import sys, airflow_provider_crm.rows; "
        "print(*sorted({'pandas', 'numpy', 'pyarrow', 'airflow'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
