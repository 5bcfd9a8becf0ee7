"""Rows on their way through a temporary file: counted before they are used, in constant memory."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Generic, Self, TypeVar

_T = TypeVar("_T")


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
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def append(self, item: _T) -> None:
        """Add one object at the end; not while the file is read."""
        pickle.dump(item, self._file, pickle.HIGHEST_PROTOCOL)
        self._count += 1

    def __iter__(self) -> Iterator[_T]:
        """All objects, from the first."""
        self._file.seek(0)
        for _ in range(self._count):
            yield pickle.load(self._file)  # noqa: S301 - written by this process, a moment ago
