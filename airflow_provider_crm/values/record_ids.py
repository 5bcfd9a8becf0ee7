"""Check record ids, encode each as one segment of a path that leads nowhere else, and keep many of them with a number.

Both `rows` and `plan` need all of it, and it depends on nothing but SQLite.
"""

from __future__ import annotations

import json
import re
import sqlite3
import weakref
from collections.abc import Iterable, Sequence
from typing import Self
from urllib.parse import quote

from airflow_provider_crm.exceptions import InvalidValueError

LONGEST_RECORD_ID = 255  # characters; several times what any vendor uses, and within what a database's index holds
_PLAIN_SEGMENT = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*", re.ASCII)
_PLAIN_SEGMENTS = re.compile(rf"(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]{{0,{LONGEST_RECORD_ID - 1}}}+\n)++", re.ASCII)

# The spellings of a UUID that PostgreSQL reads: any case, braces, and a hyphen after any four digits or after none.
_UUID = re.compile(r"(\{)?(?:[0-9a-f]{4}-?){7}[0-9a-f]{4}(?(1)\})", re.ASCII | re.IGNORECASE)
_UUID_DIGITS = 32


def canonical_uuid(text: str) -> str | None:
    """Return a UUID of any spelling as PostgreSQL writes it; None for any other text."""
    if len(text) < _UUID_DIGITS or _UUID.fullmatch(text) is None:
        return None
    digits = text.strip("{}").replace("-", "").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def path_segment(record_id: str) -> str:
    """Percent-encode a record id so that it stays one segment of the path.

    Raises:
        InvalidValueError: For an empty id, for `.` and `..`, which URL libraries resolve even when encoded, for NUL and
            half characters, and for more than `LONGEST_RECORD_ID` characters.
    """
    if len(record_id) > LONGEST_RECORD_ID:
        msg = f"The record id has {len(record_id)} characters; no record id has more than {LONGEST_RECORD_ID}."
        raise InvalidValueError(msg, code="RECORD_ID")
    if _PLAIN_SEGMENT.fullmatch(record_id):
        return record_id
    if "\0" in record_id:
        msg = "The record id holds a NUL character, which no record id does."
        raise InvalidValueError(msg, code="RECORD_ID")
    if not record_id.strip(".") or not record_id.strip():
        msg = f"{record_id!r} is not a record id."
        raise InvalidValueError(msg, code="RECORD_ID", record_id=record_id)
    try:
        return quote(record_id, safe="")
    except UnicodeEncodeError as err:
        msg = "The record id holds characters that are not text (a lone surrogate)."
        raise InvalidValueError(msg, code="RECORD_ID") from err


def path_segments(record_ids: Sequence[str]) -> list[str]:
    """Percent-encode many ids; plain ones, as nearly all are, are checked together.

    Raises:
        InvalidValueError: One of them is no record id.
    """
    return list(record_ids) if are_plain_ids(record_ids) else list(map(path_segment, record_ids))


def are_plain_ids(record_ids: Sequence[str]) -> bool:
    """Return whether all ids are valid and need no percent-encoding."""
    joined = "\n".join(record_ids) + "\n"
    return _PLAIN_SEGMENTS.fullmatch(joined) is not None and joined.count("\n") == len(record_ids)


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
