"""Write the refused rows of a run as a CSV file without formulas for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_crm.queries.changes import RefusedRow

COLUMNS = ("record_id", "outcome", "code", "reason", "fields")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", *"\uff1d\uff0b\uff0d\uff20")


def refused_file(rows: Iterable[RefusedRow]) -> Iterator[str]:
    """Yield the file, some kilobytes at a time.

    A cell that a spreadsheet could run gets an apostrophe in front, as OWASP advises ("CSV Injection"), and each is in
    quotes: some programs read semicolons and tabs as separators, and would begin a new cell behind one.
    """
    text = io.StringIO()
    table = csv.writer(text, quoting=csv.QUOTE_ALL)
    table.writerow(COLUMNS)
    for row in rows:
        cells = (row.record_id, row.outcome, row.code, row.reason, " ".join(row.fields))
        table.writerow(map(_harmless, cells))
        if text.tell() > io.DEFAULT_BUFFER_SIZE:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
