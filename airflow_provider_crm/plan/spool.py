"""Rows on their way through temporary files: counted and looked up before they are used, in constant memory."""

from __future__ import annotations

import json
import pickle
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Generic, Self, TypeVar

_T = TypeVar("_T")
_CACHE_KILOBYTES = 8_000


class Spool(Generic[_T]):
    """A list of objects of this package in a file that is gone with it.

    Args:
        items: What to put into it at once.
    """

    def __init__(self, items: Iterable[_T] = ()) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="crm-")  # noqa: SIM115 - closed by the with of the spool
        self._count = 0
        try:
            for item in items:
                self.append(item)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self._count

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def append(self, item: _T) -> None:
        """Add one object at the end; not while the file is read."""
        pickle.dump(item, self._file, pickle.HIGHEST_PROTOCOL)
        self._count += 1

    def __iter__(self) -> Iterator[_T]:
        """All objects, from the first."""
        self._file.seek(0)
        for _ in range(self._count):
            yield pickle.load(self._file)  # noqa: S301 - written by this process, a moment ago


class LastRows:
    """The last row of each record, in a database that is gone with it.

    Args:
        rows: Record id and row number, in order.
    """

    def __init__(self, rows: Iterable[tuple[str, int]]) -> None:
        self._file = sqlite3.connect("", isolation_level=None)  # the empty name: a file that nobody else sees
        for setting in ("journal_mode = OFF", f"cache_size = -{_CACHE_KILOBYTES}"):
            self._file.execute(f"PRAGMA {setting}")
        self._file.execute("CREATE TABLE rows (id TEXT PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID")
        self._file.execute("BEGIN")
        try:
            self._file.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", rows)
            self._count: int = self._file.execute("SELECT count(*) FROM rows").fetchone()[0]
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        """How many records there are."""
        return self._count

    def of(self, record_ids: Iterable[str]) -> dict[str, int]:
        """The last row of those of these records that there are."""
        query = "SELECT id, row FROM rows WHERE id IN (SELECT value FROM json_each(?))"
        return dict(self._file.execute(query, (json.dumps(list(record_ids)),)))
