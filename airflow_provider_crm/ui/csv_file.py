"""Write rows as a CSV file without formulas for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", *"\uff1d\uff0b\uff0d\uff20")


def csv_file(columns: Sequence[str], rows: Iterable[Sequence[str | Decimal]]) -> Iterator[str]:
    """Yield the file, some kilobytes at a time.

    A cell that a spreadsheet could run gets an apostrophe in front, as OWASP advises ("CSV Injection"), and each is in
    quotes: some programs read semicolons and tabs as separators, and would begin a new cell behind one. A number of our
    own stays as it is, also a negative one.
    """
    text = io.StringIO()
    table = csv.writer(text, quoting=csv.QUOTE_ALL)
    table.writerow(columns)
    for row in rows:
        table.writerow(map(_harmless, row))
        if text.tell() > io.DEFAULT_BUFFER_SIZE:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


def _harmless(cell: str | Decimal) -> str:
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def file_name(kind: str, key: str) -> str:
    """Return a name that cannot leave its header."""
    name = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in key)
    return f"{kind}-{name}.csv"
