"""Authenticate by one header, for vendors that use neither Basic nor Digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from requests.auth import AuthBase

if TYPE_CHECKING:
    import requests


class HeaderAuth(AuthBase):
    """A header that signs requests; the repr shows only its name."""

    def __init__(self, name: str, value: str) -> None:
        self._name = name
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the header."""
        request.headers[self._name] = self._value
        return request

    def __repr__(self) -> str:
        """Name the header, never its value."""
        return f"HeaderAuth({self._name!r})"
