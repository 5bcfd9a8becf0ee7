"""Define what a vendor sees of an HTTP answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class HttpResponse(Protocol):
    """An HTTP answer, of any status; a `requests.Response` is one."""

    @property
    def status_code(self) -> int:
        """HTTP status."""
        ...

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers, whose names are found in upper and lower case."""
        ...

    @property
    def content(self) -> bytes:
        """The body."""
        ...

    @property
    def text(self) -> str:
        """The body, decoded by the charset that the answer names."""
        ...

    @property
    def url(self) -> str | None:
        """The address that answered."""
        ...
