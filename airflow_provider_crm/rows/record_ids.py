"""Record ids: one cell as the text that names an opportunity, and which ids came before."""

from __future__ import annotations

import json
import sqlite3
import weakref
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import cast

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.rows.cells import Mark, RefusedCell
from airflow_provider_crm.values.record_ids import are_plain_ids, path_segment

_ROWS_NAMED = 5
_MAX_ID_DIGITS = 40
_CACHE_KILOBYTES = 8_000
_PAGE_BYTES = 16_384
_IDS_AT_ONCE = 10_000
_SEEN = "CREATE TABLE seen (id TEXT PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID"
# In the order of the ids, so that those that share a page of the table meet it at once.
_REMEMBER = """
    INSERT OR IGNORE INTO seen SELECT value, ? + key FROM json_each(?) WHERE value IS NOT NULL ORDER BY value, key
"""
_KNOWN = "SELECT id, row FROM seen WHERE row < ? AND id IN (SELECT value FROM json_each(?))"


def record_id_of(cell: object, limit: int) -> tuple[str, RefusedCell | None]:
    """The id as text, or what can be shown of it and why it is refused. `limit`: whole floats are exact below it."""
    if cell is None or cell is Mark.ABSENT:
        return "", RefusedCell("NO_ID", "is empty (null); every row needs the id of its opportunity.")
    if isinstance(cell, RefusedCell):
        return "", RefusedCell("RECORD_ID", f"takes record ids (text or whole numbers), {cell.text}.")
    if isinstance(cell, str):
        return text_id(cell)
    if isinstance(cell, (int, float, Decimal)) and not isinstance(cell, bool):
        return _number_id(cell, limit)
    return "", RefusedCell(
        "RECORD_ID", f"takes record ids (text or whole numbers), the row has a {type(cell).__name__}."
    )


def plain_ids(cells: Sequence[object]) -> list[str] | None:
    """The ids themselves, if every cell is a text that is an id as it stands; None if they have to be looked at."""
    if set(map(type, cells)) != {str}:
        return None
    ids = cast("list[str]", list(cells))
    return ids if are_plain_ids(ids) else None


def text_id(cell: str) -> tuple[str, RefusedCell | None]:
    """An id that is text, without surrounding white space, or why it is refused."""
    text = cell.strip()
    if not text:
        return "", RefusedCell("NO_ID", "is empty; every row needs the id of its opportunity.")
    try:
        path_segment(text)
    except InvalidValueError as err:
        return text.encode("utf-8", "backslashreplace").decode(), RefusedCell(err.code, f"takes record ids: {err}")
    return text, None


def _number_id(cell: float | Decimal, limit: int) -> tuple[str, RefusedCell | None]:
    number = Decimal(cell)
    if not number.is_finite() or number.adjusted() >= _MAX_ID_DIGITS or number != number.to_integral_value():
        shown = str(cell)[:60] if isinstance(cell, float) or not number.is_finite() else f"{number:.20g}"
        return shown, RefusedCell("RECORD_ID", f"takes record ids (text or whole numbers), the row has {shown}.")
    text = str(int(number))
    if isinstance(cell, float) and abs(cell) >= limit:
        hint = "the column became floats, which hold no id of that size exactly; keep it as text or as Int64"
        return text, RefusedCell("RECORD_ID", f"has {text} as a float: {hint}.")
    return text, None


class SeenIds:
    """The ids of earlier chunks and their rows, in a temporary file: the memory they take does not grow with them."""

    def __init__(self) -> None:
        # The empty name is SQLite's for a database that nobody else sees; any thread may be the one that drops it.
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._file.close)
        for setting in ("journal_mode = OFF", f"page_size = {_PAGE_BYTES}", f"cache_size = -{_CACHE_KILOBYTES}"):
            self._file.execute(f"PRAGMA {setting}")
        self._file.execute(_SEEN)

    def add(self, record_ids: Sequence[str | None], first: int) -> bool:
        """Remember the ids of rows that come after all earlier ones.

        Args:
            record_ids: Of one row after another; None where a row has no good one.
            first: Number of the first row.

        Returns:
            Whether each of them is new, and occurs once.
        """
        before = self._file.total_changes
        self._file.execute("BEGIN")
        for start in range(0, len(record_ids), _IDS_AT_ONCE):
            ids = json.dumps(record_ids[start : start + _IDS_AT_ONCE])
            self._file.execute(_REMEMBER, (first + start, ids))
        self._file.execute("COMMIT")
        return self._file.total_changes - before == len(record_ids) - record_ids.count(None)

    def before(self, record_ids: Iterable[str], first: int) -> dict[str, int]:
        """The earliest row of each of these ids that occurs before the row `first`."""
        return dict(self._file.execute(_KNOWN, (first, json.dumps(list(record_ids)))))


def row_names(rows: list[int], own: int) -> str:
    """The other rows of an id, the first few of them by number."""
    others = len(rows) - 1
    shown = [str(row) for row in rows[: _ROWS_NAMED + 1] if row != own][:_ROWS_NAMED]
    if others > _ROWS_NAMED:
        shown.append(f"{others - _ROWS_NAMED} more")
    listed = shown[0] if others == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return f"row{'' if others == 1 else 's'} {listed}"
