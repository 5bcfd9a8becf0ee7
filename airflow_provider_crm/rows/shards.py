"""Divide one query's rows among several tasks, the same way on every machine."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.rows.cells import cells_of, exact_integers
from airflow_provider_crm.rows.reader import record_id_of

if TYPE_CHECKING:
    import pandas as pd

_BOTH = "write both, as in .partial(..., shards=8).expand(shard=list(range(8)))"


@dataclass(frozen=True, slots=True)
class Shard:
    """The rows of one task, where `count` tasks share the rows of one query.

    A row belongs to the shard that the CRC-32 of its record id names. So every row belongs to exactly one shard, and
    all rows of an id to the same one. Machine, Python version and the order of the rows make no difference. An id is
    hashed as the text that the CRM would get: 17, 17.0 and " 17 " are one, and so are two spellings of one UUID. A
    row without a valid id belongs to the shard of what can be shown of it (shard 0 without any), so it is reported
    once.

    Attributes:
        number: Number of this shard, from 0.
        count: Number of all shards.
    """

    number: int
    count: int

    @classmethod
    def from_arguments(cls, shard: object, shards: object) -> Self | None:
        """Return the shard that an operator's arguments name; None if both are None.

        Args:
            shard: A whole number from 0, also as text, as templates render it; or None.
            shards: A whole number from 1, also as text; or None.

        Raises:
            ConfigurationError: For one without the other, for other types, and for a shard that there is not.
        """
        if shard is None and shards is None:
            return None
        if shards is None:
            msg = f"shard is {shard!r} without shards; {_BOTH}."
            raise ConfigurationError(msg)
        if shard is None:
            msg = f"shards is {shards!r} without shard; {_BOTH}."
            raise ConfigurationError(msg)
        count = _whole(shards)
        if count is None or count < 1:
            msg = f"shards is {shards!r}; write how many tasks share the rows, a whole number from 1, such as 8."
            raise ConfigurationError(msg)
        number = _whole(shard)
        if number is None or not 0 <= number < count:
            allowed = "0" if count == 1 else f"a whole number from 0 to {count - 1}"
            msg = f"shard is {shard!r}, and shards is {count}; write {allowed}."
            raise ConfigurationError(msg)
        return cls(number, count)

    def part(self, frame: pd.DataFrame, id_column: str, canonical_id: Callable[[str], str] = str) -> pd.DataFrame:
        """Return the rows of this shard, in their order.

        Args:
            frame: Any rows.
            id_column: The column of record ids, which the frame has once.
            canonical_id: The one spelling of an id, see `Vendor.canonical_id`.
        """
        import numpy as np

        ids = frame[id_column]
        limit = exact_integers(ids.dtype)
        own = [_checksum(cell, limit, canonical_id) % self.count == self.number for cell in cells_of(ids)]
        return frame[np.array(own, dtype=bool)]


def _checksum(cell: object, limit: int, canonical_id: Callable[[str], str]) -> int:
    # Only the row's own shard pays for finding out whether text is a good id: here all texts are alike.
    text = canonical_id(cell.strip() if isinstance(cell, str) else record_id_of(cell, limit)[0])
    return zlib.crc32(text.encode("utf-8", "backslashreplace"))


def _whole(value: object) -> int | None:
    """Return a whole number, also as text; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else None
