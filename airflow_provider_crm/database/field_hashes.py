"""Hashes in place of values that the ledger must not keep: made with a key, so that nobody finds a value by trying.

A phone number has so few digits that all of them can be hashed in minutes; without the key that leads nowhere. Each
hash names its key by a short id, so that a hash made with another key is known to say nothing about a value.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

_PREFIX = "hmac:"
_OLD_PREFIX = "sha256:"
_ID_DIGITS = 8


@dataclass(frozen=True, slots=True)
class HashKey:
    """A key for hashes; its repr shows nothing of it.

    Attributes:
        secret: The key itself.
        key_id: Tells keys apart, and nothing about them.
    """

    secret: bytes = field(repr=False)
    key_id: str = field(init=False)

    def __post_init__(self) -> None:
        """Name the key by what it makes of a fixed text."""
        object.__setattr__(self, "key_id", self._digest("the id of this key")[:_ID_DIGITS])

    def derived(self, purpose: str) -> HashKey:
        """Another key, from which nothing of this one can be told.

        Args:
            purpose: What it is for; the same for the same purpose.
        """
        return HashKey(hmac.digest(self.secret, purpose.encode(), "sha256"))

    def hash(self, value: str) -> str:
        """The hash of a value, with the id of the key."""
        return f"{_PREFIX}{self.key_id}:{self._digest(value)}"

    def made(self, kept: str) -> bool:
        """Whether this key made a hash."""
        return kept.startswith(f"{_PREFIX}{self.key_id}:")

    def _digest(self, text: str) -> str:
        return hmac.digest(self.secret, text.encode("utf-8", "surrogatepass"), "sha256").hex()


@dataclass(frozen=True, slots=True)
class FieldHashes:
    """Which fields are kept as hashes, and the key for them.

    Attributes:
        fields: The vendor's keys of those fields.
        key: Of the hashes; None only where no field is kept as one.
    """

    fields: frozenset[str] = frozenset()
    key: HashKey | None = None

    def stored_form(self, field_key: str, value: str) -> str:
        """The form in which a value is kept: a hash for the fields that were named for it."""
        if field_key not in self.fields:
            return value
        if self.key is None:
            raise TypeError(field_key)
        return self.key.hash(value)

    def comparable(self, kept: str) -> bool:
        """Whether a kept value says anything: it stands in clear, or is a hash of the present key."""
        return not is_hash(kept) or (self.key is not None and self.key.made(kept))

    def is_of(self, kept: str, value: str) -> bool:
        """Whether a hash is the hash of a value."""
        return self.key is not None and hmac.compare_digest(self.key.hash(value), kept)

    def fingerprint(self, values: Mapping[str, str]) -> str:
        """A digest of the values of one row, the same for the same values, from which none of them can be found."""
        kept = {key: self.stored_form(key, value) for key, value in sorted(values.items())}
        return hashlib.sha256(json.dumps(kept).encode()).hexdigest()


def is_hash(kept: str) -> bool:
    """Whether a kept value is a hash: JSON text never starts like one."""
    return kept.startswith((_PREFIX, _OLD_PREFIX))
