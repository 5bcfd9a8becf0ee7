"""Read CSV and JSON lines piece by piece."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice
from typing import IO, Any

# In this order: the mark of UTF-16 is the beginning of that of UTF-32.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_UTF_8 = "utf-8-sig"
_OTHER_SEPARATORS = ";\t|"


def csv_chunks(raw: IO[bytes], chunk_rows: int) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Read by the csv module: pandas fills rows that are too short, and shifts columns where rows are too long.

    Raises:
        ValueError: The file is broken or written in another way, with the line and what to write instead.
    """
    with _text(raw, newline="") as lines:
        reader = csv.reader(lines, strict=True)
        header = next((row for row in reader if row), None)
        if header is None:
            msg = "it is empty; the first line of a CSV file names its columns."
            raise ValueError(msg)
        if len(header) == 1 and any(separator in header[0] for separator in _OTHER_SEPARATORS):
            msg = (
                f"its first line is one column, {header[0][:60]!r}. Write the file with commas between cells, and with "
                "a point in decimal numbers."
            )
            raise ValueError(msg)
        rows = _csv_rows(reader, len(header))
        chunk = list(islice(rows, chunk_rows))
        yield header, chunk
        while chunk := list(islice(rows, chunk_rows)):
            yield header, chunk


def json_line_chunks(raw: IO[bytes], chunk_rows: int) -> Iterator[tuple[list[str], list[dict[str, object]]]]:
    """Read JSON objects, one per line.

    Raises:
        ValueError: The file is broken or written in another way, with the line.
    """
    keys: dict[str, None] = {}
    with _text(raw, newline="\n") as lines:
        rows = _json_rows(lines)
        while chunk := list(islice(rows, chunk_rows)):
            keys.update(dict.fromkeys(key for row in chunk for key in row))
            yield list(keys), chunk


@contextmanager
def _text(raw: IO[bytes], newline: str) -> Iterator[IO[str]]:
    """Decode a file as UTF-8, or as the Unicode encoding that its first bytes name."""
    peekable: Any = raw if hasattr(raw, "peek") else io.BufferedReader(raw)
    first = peekable.peek(4)[:4]
    encoding = next((encoding for mark, encoding in _MARKS.items() if first.startswith(mark)), _UTF_8)
    if encoding == _UTF_8 and b"\0" in first:
        msg = "it has zero bytes; write it in UTF-8, or in UTF-16 with a byte order mark."
        raise ValueError(msg)
    with io.TextIOWrapper(peekable, encoding=encoding, newline=newline) as lines:
        try:
            yield lines
        except UnicodeDecodeError as err:
            where = _undecodable_line(peekable) if encoding == _UTF_8 and peekable.seekable() else f"it ({err.reason})"
            msg = f"{where} is not {encoding.removesuffix('-sig').upper()}; convert the file, as iconv -t utf-8 does."
            raise ValueError(msg) from err


def _undecodable_line(raw: IO[bytes]) -> str:
    """Name the first line that is not UTF-8; text is decoded in blocks, whose errors name no line."""
    raw.seek(0)
    for number, line in enumerate(raw, 1):
        try:
            line.decode()
        except UnicodeDecodeError as err:
            return f"line {number} (byte {line[err.start]:#x})"
    return "it"


def _csv_rows(reader: Any, width: int) -> Iterator[list[str]]:  # noqa: ANN401 - the csv module does not export its type
    try:
        for row in reader:
            if len(row) == width:
                yield row
            elif row:
                msg = f"line {reader.line_num} has {len(row)} cells, the header has {width}."
                raise ValueError(msg)
    except csv.Error as err:
        cure = ""
        if "field limit" in str(err):
            cure = ": a quote is not closed, or a text is too long for a CSV file; write JSON lines or Parquet"
        msg = f"line {reader.line_num}: {err}{cure}."
        raise ValueError(msg) from err


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
