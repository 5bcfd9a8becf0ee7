"""Salesforce's record ids: fifteen characters, and three more that say which of them are capital letters."""

from __future__ import annotations

import re

OPPORTUNITY, ACCOUNT, USER, CAMPAIGN = "006", "001", "005", "701"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHORT, _LONG, _PART = 15, 18, 5
_INSTANCE = "ak00000"


def long_id(text: str) -> str | None:
    """Return the id in eighteen characters; None for a text that is none, such as one with a wrong ending.

    An id of fifteen characters is read as it stands, and one of eighteen in any case.
    """
    if not re.fullmatch(r"[A-Za-z0-9]{15}(?:[A-Za-z0-5]{3})?", text):
        return None
    if len(text) == _SHORT:
        return text + _ending(text)
    short = _with_capitals(text[:_SHORT], text[_SHORT:].upper())
    return short + _ending(short) if _ending(short) == text[_SHORT:].upper() else None


def numbered_id(prefix: str, number: int) -> str:
    """Return the id of the n-th record of an object."""
    digits = ""
    for _ in range(_SHORT - len(prefix) - len(_INSTANCE)):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    short = f"{prefix}{_INSTANCE}{digits}"
    return short + _ending(short)


def _ending(short: str) -> str:
    parts = (short[at : at + _PART] for at in range(0, _SHORT, _PART))
    return "".join(_ALPHABET[sum(1 << at for at, one in enumerate(part) if "A" <= one <= "Z")] for part in parts)


def _with_capitals(text: str, ending: str) -> str:
    bits = (_ALPHABET.index(ending[at // _PART]) >> at % _PART & 1 for at in range(_SHORT))
    return "".join(one.upper() if bit else one.lower() for one, bit in zip(text, bits, strict=True))
