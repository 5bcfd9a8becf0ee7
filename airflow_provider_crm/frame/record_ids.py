"""Record ids: one cell as the text that names an opportunity, and which ids came before."""

from __future__ import annotations

import json
import re
import sqlite3
import weakref
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import cast

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.frame.cells import Mark, Refused
from airflow_provider_crm.opportunity import path_segment

_ROWS_NAMED = 5
_MAX_ID_DIGITS = 40
_CACHE_KILOBYTES = 8_000
_PLAIN_IDS = re.compile(r"(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*+\n)++", re.ASCII)
_SEEN = "CREATE TABLE seen (id TEXT PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID"


def record_id_of(cell: object, limit: int) -> tuple[str, Refused | None]:
    """The id as text, or what can be shown of it and why it is refused. `limit`: whole floats are exact below it."""
    if cell is None or cell is Mark.ABSENT:
        return "", Refused("NO_ID", "is empty (null); every row needs the id of its opportunity.")
    if isinstance(cell, Refused):
        return "", Refused("RECORD_ID", f"takes record ids (text or whole numbers), {cell.text}.")
    if isinstance(cell, str):
        return text_id(cell)
    if isinstance(cell, (int, float, Decimal)) and not isinstance(cell, bool):
        return _number_id(cell, limit)
    return "", Refused("RECORD_ID", f"takes record ids (text or whole numbers), the row has a {type(cell).__name__}.")


def plain_ids(cells: Sequence[object]) -> list[str] | None:
    """The ids themselves, if every cell is a text that is an id as it stands; None if they have to be looked at."""
    if set(map(type, cells)) != {str}:
        return None
    ids = cast("list[str]", list(cells))
    joined = "\n".join(ids) + "\n"
    return ids if _PLAIN_IDS.fullmatch(joined) and joined.count("\n") == len(ids) else None


def text_id(cell: str) -> tuple[str, Refused | None]:
    """An id that is text, without surrounding white space, or why it is refused."""
    text = cell.strip()
    if not text:
        return "", Refused("NO_ID", "is empty; every row needs the id of its opportunity.")
    try:
        path_segment(text)
    except InvalidValueError as err:
        return text.encode("utf-8", "backslashreplace").decode(), Refused(err.code, f"takes record ids: {err}")
    return text, None


def _number_id(cell: float | Decimal, limit: int) -> tuple[str, Refused | None]:
    number = Decimal(cell)
    if not number.is_finite() or number.adjusted() >= _MAX_ID_DIGITS or number != number.to_integral_value():
        shown = str(cell)[:60] if isinstance(cell, float) or not number.is_finite() else f"{number:.20g}"
        return shown, Refused("RECORD_ID", f"takes record ids (text or whole numbers), the row has {shown}.")
    text = str(int(number))
    if isinstance(cell, float) and abs(cell) >= limit:
        hint = "the column became floats, which hold no id of that size exactly; keep it as text or as Int64"
        return text, Refused("RECORD_ID", f"has {text} as a float: {hint}.")
    return text, None


class SeenIds:
    """The ids of earlier chunks and their rows, in a temporary file: the memory they take does not grow with them."""

    def __init__(self) -> None:
        # The empty name is SQLite's for a database that nobody else sees; any thread may be the one that drops it.
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._file.close)
        for statement in ("PRAGMA journal_mode = OFF", f"PRAGMA cache_size = -{_CACHE_KILOBYTES}", _SEEN):
            self._file.execute(statement)

    def add(self, row_by_id: Mapping[str, int]) -> dict[str, int]:
        """Remember these ids, whose rows come after all earlier ones; returns the first row of each that was known."""
        before = self._file.total_changes
        self._file.execute("BEGIN")
        self._file.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", row_by_id.items())
        self._file.execute("COMMIT")
        if self._file.total_changes - before == len(row_by_id):
            return {}
        known = "SELECT id, row FROM seen WHERE row < ? AND id IN (SELECT value FROM json_each(?))"
        return dict(self._file.execute(known, (min(row_by_id.values()), json.dumps(list(row_by_id)))))


def row_names(rows: list[int], own: int) -> str:
    """The other rows of an id, the first few of them by number."""
    others = len(rows) - 1
    shown = [str(row) for row in rows[: _ROWS_NAMED + 1] if row != own][:_ROWS_NAMED]
    if others > _ROWS_NAMED:
        shown.append(f"{others - _ROWS_NAMED} more")
    listed = shown[0] if others == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return f"row{'' if others == 1 else 's'} {listed}"
