"""Salesforce's record ids: fifteen characters whose case matters, or eighteen whose last three say the case."""

from __future__ import annotations

import re

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_SHORT, _PART = 15, 5
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-5]{3})?", re.ASCII)


def canonical_id(record_id: str) -> str:
    """Return the id in eighteen characters; a text that is no id of Salesforce stays as it is.

    Reports show fifteen characters. Spreadsheets may change the case of an id: the last three characters restore it.
    """
    return _long(record_id) or record_id


def is_id(text: str) -> bool:
    """Return whether a text is an id of any object, in either length."""
    return _long(text) is not None


def _long(text: str) -> str | None:
    """Return the id in eighteen characters; None if it is none, or its ending contradicts it."""
    if not _ID.fullmatch(text):
        return None
    short, ending = text[:_SHORT], text[_SHORT:].upper()
    short = _restored(short, ending) if ending else short
    computed = _ending(short)
    return f"{short}{computed}" if ending in ("", computed) else None


def _restored(short: str, ending: str) -> str:
    """Return fifteen characters in the case that the ending names."""
    bits = [_ALPHABET.index(ending[at // _PART]) >> at % _PART & 1 for at in range(_SHORT)]
    return "".join(one.upper() if bit else one.lower() for one, bit in zip(short, bits, strict=True))


def _ending(short: str) -> str:
    """Return the three characters that say which of the fifteen are capital letters."""
    parts = (short[at : at + _PART] for at in range(0, _SHORT, _PART))
    return "".join(_ALPHABET[sum(1 << at for at, one in enumerate(part) if "A" <= one <= "Z")] for part in parts)
