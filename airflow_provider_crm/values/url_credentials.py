"""Remove user and password from the addresses that a text quotes, such as that of a proxy or of a database."""

from __future__ import annotations

import re

HIDDEN_SECRET = "***"  # noqa: S105 - what stands in its place
# A message of ours that says what an address looks like has these very words.
_USER_AND_PASSWORD = re.compile(r"(?<=://)(?!user:password@)[^/?#\s\"'<>]+@")
_IN_BYTES = re.compile(_USER_AND_PASSWORD.pattern.encode())


def without_credentials(text: str) -> str:
    """Return a text whose addresses name no user and no password."""
    return _USER_AND_PASSWORD.sub(f"{HIDDEN_SECRET}@", text)


def bytes_without_credentials(content: bytes) -> bytes:
    """Return a page or a body whose addresses name no user and no password."""
    return _IN_BYTES.sub(f"{HIDDEN_SECRET}@".encode(), content)
