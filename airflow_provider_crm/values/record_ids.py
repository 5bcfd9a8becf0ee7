"""Check record ids, and encode each as one segment of a path, so that no id can reach another endpoint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from airflow_provider_crm.exceptions import InvalidValueError

LONGEST_RECORD_ID = 255  # characters; several times what any vendor uses, and within what a database's index holds
_PLAIN_SEGMENT = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*", re.ASCII)
_PLAIN_SEGMENTS = re.compile(rf"(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]{{0,{LONGEST_RECORD_ID - 1}}}+\n)++", re.ASCII)

# The spellings of a UUID that PostgreSQL reads: any case, braces, and a hyphen after any four digits or after none.
_UUID = re.compile(r"(\{)?(?:[0-9a-f]{4}-?){7}[0-9a-f]{4}(?(1)\})", re.ASCII | re.IGNORECASE)
_UUID_DIGITS = 32


def canonical_uuid(text: str) -> str | None:
    """Return a UUID of any spelling as PostgreSQL writes it; None for any other text."""
    if len(text) < _UUID_DIGITS or _UUID.fullmatch(text) is None:
        return None
    digits = text.strip("{}").replace("-", "").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def path_segment(record_id: str) -> str:
    """Percent-encode a record id so that it stays one segment of the path.

    Raises:
        InvalidValueError: For an empty id, for `.` and `..`, which URL libraries resolve even when encoded, for NUL and
            half characters, and for more than `LONGEST_RECORD_ID` characters.
    """
    if len(record_id) > LONGEST_RECORD_ID:
        msg = f"The record id has {len(record_id)} characters; no record id has more than {LONGEST_RECORD_ID}."
        raise InvalidValueError(msg, code="RECORD_ID")
    if _PLAIN_SEGMENT.fullmatch(record_id):
        return record_id
    if "\0" in record_id:
        msg = "The record id holds a NUL character, which no record id does."
        raise InvalidValueError(msg, code="RECORD_ID")
    if not record_id.strip(".") or not record_id.strip():
        msg = f"{record_id!r} is not a record id."
        raise InvalidValueError(msg, code="RECORD_ID", record_id=record_id)
    try:
        return quote(record_id, safe="")
    except UnicodeEncodeError as err:
        msg = "The record id holds characters that are not text (a lone surrogate)."
        raise InvalidValueError(msg, code="RECORD_ID") from err


def path_segments(record_ids: Sequence[str]) -> list[str]:
    """Percent-encode many ids; plain ones, as nearly all are, are checked together.

    Raises:
        InvalidValueError: One of them is no record id.
    """
    return list(record_ids) if are_plain_ids(record_ids) else list(map(path_segment, record_ids))


def are_plain_ids(record_ids: Sequence[str]) -> bool:
    """Return whether all ids are valid and need no percent-encoding."""
    joined = "\n".join(record_ids) + "\n"
    return _PLAIN_SEGMENTS.fullmatch(joined) is not None and joined.count("\n") == len(record_ids)
