"""Replace values that the ledger must not store by hashes with a key, so that trying all values finds none.

A phone number has so few digits that all of them can be hashed in minutes; without the key their hashes match nothing.
Each hash names its key by a short id: the hash of another key is not compared with a value.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_PREFIX = "hmac:"
_OLD_PREFIX = "sha256:"
_ID_DIGITS = 8


@dataclass(frozen=True, slots=True)
class HashKey:
    """A key for hashes; its repr shows nothing of it.

    Attributes:
        secret: The key itself.
        key_id: Distinguishes keys, and reveals nothing about them.
    """

    secret: bytes = field(repr=False)
    key_id: str = field(init=False)

    def __post_init__(self) -> None:
        """Derive the id of the key from its hash of a fixed text."""
        object.__setattr__(self, "key_id", self._digest("the id of this key")[:_ID_DIGITS])

    def derived(self, purpose: str) -> HashKey:
        """Derive another key, which reveals nothing about this one.

        Args:
            purpose: What it is for; the same for the same purpose.
        """
        return HashKey(hmac.digest(self.secret, purpose.encode(), "sha256"))

    def hash(self, value: str) -> str:
        """Return the hash of a value, with the id of the key."""
        return f"{_PREFIX}{self.key_id}:{self._digest(value)}"

    def made(self, stored: str) -> bool:
        """Return whether this key made a hash."""
        return stored.startswith(f"{_PREFIX}{self.key_id}:")

    def _digest(self, text: str) -> str:
        return hmac.digest(self.secret, text.encode("utf-8", "surrogatepass"), "sha256").hex()


@dataclass(frozen=True, slots=True)
class FieldHashes:
    """The fields that are stored as hashes, and the key for them.

    Attributes:
        fields: The vendor's keys of those fields.
        key: Of the hashes; None only where no field is stored as one.
    """

    fields: frozenset[str] = frozenset()
    key: HashKey | None = None

    def form_of(self, field_key: str) -> Callable[[str], str]:
        """Return the function that gives values of a field the form in which they are stored.

        It hashes the values of the fields that were named for it, and leaves all others as they are.
        """
        if field_key not in self.fields:
            return str
        if self.key is None:
            raise TypeError(field_key)
        return self.key.hash

    def stored_rows(self, rows: Mapping[str, Mapping[str, str]]) -> Mapping[str, Mapping[str, str]]:
        """Return the values of some rows as they are stored, by record id and key."""
        return {
            record_id: {key: self.form_of(key)(text) for key, text in row.items()} for record_id, row in rows.items()
        }

    def comparable(self, stored: str) -> bool:
        """Return whether a stored value can be compared: it is in clear, or a hash of the present key."""
        return not is_hash(stored) or (self.key is not None and self.key.made(stored))

    def is_of(self, stored: str, value: str) -> bool:
        """Return whether a hash is the hash of a value."""
        return self.key is not None and hmac.compare_digest(self.key.hash(value), stored)

    def fingerprint(self, values: Mapping[str, str]) -> str:
        """Return a digest of the values of one row, the same for the same values; it reveals none of them."""
        stored = {key: self.form_of(key)(value) for key, value in sorted(values.items())}
        return hashlib.sha256(json.dumps(stored).encode()).hexdigest()


def is_hash(stored: str) -> bool:
    """Return whether a stored value is a hash: JSON text never starts like one."""
    return stored.startswith((_PREFIX, _OLD_PREFIX))
