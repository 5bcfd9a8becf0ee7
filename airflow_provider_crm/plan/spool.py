"""Objects in a temporary file, so that rows can be counted before they are used, in constant memory."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Generic, Self, TypeVar

_T = TypeVar("_T")


class Spool(Generic[_T]):
    """A list of objects of this package, in a file that is deleted when the list is closed.

    Args:
        items: The first objects.
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
        """Close the file, which deletes it."""
        self._file.close()

    def append(self, item: _T) -> None:
        """Append one object; not while the file is read."""
        pickle.dump(item, self._file, pickle.HIGHEST_PROTOCOL)
        self._count += 1

    def __iter__(self) -> Iterator[_T]:
        """Read all objects, from the first."""
        self._file.seek(0)
        for _ in range(self._count):
            yield pickle.load(self._file)  # noqa: S301 - written by this process, a moment ago
