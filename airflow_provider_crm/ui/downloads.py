"""Answer a request with a CSV file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fastapi.responses import StreamingResponse

from airflow_provider_crm.ui.csv_file import file_name

if TYPE_CHECKING:
    from airflow_provider_crm.ui.pages import PageMaker

DOWNLOAD_SECONDS = 300.0
"""Maximum time that a file is read from the ledger."""


def csv_response(pages: PageMaker, lines: Iterator[str], kind: str, key: str) -> StreamingResponse:
    """Return a CSV file as a download.

    Args:
        pages: Whose threads make it.
        lines: The file, piece by piece.
        kind: Beginning of its name.
        key: The rest of its name, of any letters.
    """
    return StreamingResponse(
        pages.pages.threads.iterate(lines),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{file_name(kind, key)}"'},
    )
