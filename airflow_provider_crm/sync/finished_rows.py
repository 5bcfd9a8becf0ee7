"""Store the rows of a run that have their outcome as text while the task is deferred."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter

_DIGEST_LENGTH = 12


class FinishedRows:
    """The rows of a run that have their outcome, small enough to be stored with a deferred task.

    A row is identified by a digest of its record id, and rows of one id are counted. So they are found again in any
    order of the rows.

    Args:
        text: The result of an earlier `text()`, or empty.
    """

    def __init__(self, text: str = "") -> None:
        self._before = Counter(text[start : start + _DIGEST_LENGTH] for start in range(0, len(text), _DIGEST_LENGTH))
        self._since = bytearray()
        self._text = text

    def skip(self, record_id: str) -> bool:
        """Return whether the next row of that id was finished before; each finished row is skipped once."""
        if not self._before:
            return False
        digest = _text(_digest(record_id))
        self._before[digest] -= 1
        return self._before[digest] >= 0

    def add(self, record_id: str) -> None:
        """Note that a row has its outcome."""
        self._since += _digest(record_id)

    def text(self) -> str:
        """Return all rows that are finished, as text."""
        return self._text + _text(self._since)


def _digest(record_id: str) -> bytes:
    """Return nine bytes: twelve characters as text, without any padding between two of them."""
    return hashlib.blake2b(record_id.encode("utf-8", "surrogatepass"), digest_size=9).digest()


def _text(digests: bytes | bytearray) -> str:
    return base64.b64encode(digests).decode()
