"""Make HTTP answers by hand: they have what `HttpResponse` promises, and nothing else that a vendor could use."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


class HandmadeHeaders(Mapping[str, str]):
    """Headers, found in upper and lower case."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = {name.lower(): value for name, value in headers.items()}

    def __getitem__(self, name: str) -> str:
        return self._headers[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)


class HandmadeAnswer:
    """An HTTP answer.

    Args:
        status_code: HTTP status.
        body: JSON, or bytes as they are.
        headers: Its headers.
    """

    def __init__(self, status_code: int, body: Any = b"", headers: Mapping[str, str] | None = None) -> None:  # noqa: ANN401 - any JSON
        self.status_code = status_code
        self.content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = HandmadeHeaders(headers or {})
        self.url: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status_code < 400

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode("utf-8", "replace")
