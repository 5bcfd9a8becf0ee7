"""Keep the record ids of very many keys, and write keys as text."""

from __future__ import annotations

import json
import sqlite3
import weakref
from collections.abc import Iterable
from decimal import Decimal

_TABLE = (
    "CREATE TABLE keys (value TEXT NOT NULL, record_id TEXT NOT NULL, PRIMARY KEY (value, record_id)) WITHOUT ROWID"
)
_ADD = "INSERT OR IGNORE INTO keys VALUES (?, ?)"
_FIND = "SELECT value, record_id FROM keys WHERE value IN (SELECT value FROM json_each(?)) ORDER BY record_id"


class TemporaryKeyTable:
    """A table of keys and their record ids in a temporary file, which is deleted with it.

    A key may have several records. The memory does not grow with their number.
    """

    def __init__(self) -> None:
        # The empty name is SQLite's for a database of this connection alone; any thread may drop it.
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._close = weakref.finalize(self, self._file.close)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute(_TABLE)

    def close(self) -> None:
        """Delete the file."""
        self._close()

    def add(self, keys: Iterable[tuple[str, str]]) -> None:
        """Store pairs of a key and a record id."""
        self._file.execute("BEGIN")
        self._file.executemany(_ADD, keys)
        self._file.execute("COMMIT")

    def find(self, values: Iterable[str]) -> list[tuple[str, str]]:
        """Return each pair of one of these keys and a record id."""
        return list(self._file.execute(_FIND, (json.dumps(list(values)),)))


def key_text(value: object) -> str | None:
    """Return a key as text, a number without zeros at its end; None for a value that is no key."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    number = Decimal(str(value))
    if not number.is_finite():
        return None
    whole = number.to_integral_value()
    return str(int(whole)) if number == whole else f"{number.normalize():f}"
