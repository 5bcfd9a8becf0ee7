"""Store record ids with a row number each in a temporary file instead of memory.

It is among the values because `rows` and `plan` both need it, and it depends on SQLite only.
"""

from __future__ import annotations

import json
import sqlite3
import weakref
from collections.abc import Iterable, Sequence
from typing import Self

_CACHE_KILOBYTES = 8_000
_PAGE_BYTES = 16_384
_IDS_AT_ONCE = 10_000
_TABLE = "CREATE TABLE ids (id TEXT PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID"
# In the order of the ids, so that ids on one page of the table are inserted together.
_ADD_FIRST = """
    INSERT OR IGNORE INTO ids SELECT value, ? + key FROM json_each(?) WHERE value IS NOT NULL ORDER BY value, key
"""
_ADD_LAST = "INSERT OR REPLACE INTO ids VALUES (?, ?)"
_FIND = "SELECT id, row FROM ids WHERE row < ? AND id IN (SELECT value FROM json_each(?))"
_NO_BOUND = 2**63 - 1


class TemporaryIdTable:
    """A table of one row number for each id, in a temporary file: its memory does not grow with the number of ids.

    The file is deleted when the table is closed or garbage-collected.
    """

    def __init__(self) -> None:
        # The empty name is SQLite's for a database of this connection alone; any thread may drop it.
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._close = weakref.finalize(self, self._file.close)
        for setting in ("journal_mode = OFF", f"page_size = {_PAGE_BYTES}", f"cache_size = -{_CACHE_KILOBYTES}"):
            self._file.execute(f"PRAGMA {setting}")
        self._file.execute(_TABLE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def __len__(self) -> int:
        """Count the ids."""
        count: int = self._file.execute("SELECT count(*) FROM ids").fetchone()[0]
        return count

    def add_first(self, record_ids: Sequence[str | None], first: int) -> bool:
        """Store the ids of rows that come after all earlier ones; an id keeps the row that it has.

        Args:
            record_ids: Of one row after another; None where a row has no valid one.
            first: Number of the first row.

        Returns:
            Whether each of them is new, and occurs once.
        """
        before = self._file.total_changes
        self._file.execute("BEGIN")
        for start in range(0, len(record_ids), _IDS_AT_ONCE):
            ids = json.dumps(record_ids[start : start + _IDS_AT_ONCE])
            self._file.execute(_ADD_FIRST, (first + start, ids))
        self._file.execute("COMMIT")
        return self._file.total_changes - before == len(record_ids) - record_ids.count(None)

    def add_last(self, rows: Iterable[tuple[str, int]]) -> None:
        """Store ids with their rows; an id gets the row that comes last."""
        self._file.execute("BEGIN")
        self._file.executemany(_ADD_LAST, rows)
        self._file.execute("COMMIT")

    def rows_of(self, record_ids: Iterable[str], *, before: int = _NO_BOUND) -> dict[str, int]:
        """Return the stored row of each of these ids that has one.

        Args:
            record_ids: Some thousands at most.
            before: Leave out this row and all rows after it.
        """
        return dict(self._file.execute(_FIND, (before, json.dumps(list(record_ids)))))
