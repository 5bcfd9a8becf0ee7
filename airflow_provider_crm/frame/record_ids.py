"""Record ids: one cell as the text that names an opportunity, and which ids came before."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.frame.cells import Mark, Refused
from airflow_provider_crm.opportunity import (
    path_segment,
)

if TYPE_CHECKING:
    import numpy as np

_ROWS_NAMED = 5
_MAX_ID_DIGITS = 40


def record_id_of(cell: object, limit: int) -> tuple[str, Refused | None]:
    """The id as text, or what can be shown of it and why it is refused. `limit`: whole floats are exact below it."""
    if cell is None or cell is Mark.ABSENT:
        return "", Refused("NO_ID", "is empty (null); every row needs the id of its opportunity.")
    if isinstance(cell, Refused):
        return "", Refused("RECORD_ID", f"takes record ids (text or whole numbers), {cell.text}.")
    if isinstance(cell, str):
        return text_id(cell)
    if isinstance(cell, (int, float, Decimal)) and not isinstance(cell, bool):
        return _number_id(cell, limit)
    return "", Refused("RECORD_ID", f"takes record ids (text or whole numbers), the row has a {type(cell).__name__}.")


def text_id(cell: str) -> tuple[str, Refused | None]:
    """An id that is text, without surrounding white space, or why it is refused."""
    text = cell.strip()
    if not text:
        return "", Refused("NO_ID", "is empty; every row needs the id of its opportunity.")
    try:
        path_segment(text)
    except InvalidValueError as err:
        return text.encode("utf-8", "backslashreplace").decode(), Refused(err.code, f"takes record ids: {err}")
    return text, None


def _number_id(cell: float | Decimal, limit: int) -> tuple[str, Refused | None]:
    number = Decimal(cell)
    if not number.is_finite() or number.adjusted() >= _MAX_ID_DIGITS or number != number.to_integral_value():
        shown = str(cell)[:60] if isinstance(cell, float) or not number.is_finite() else f"{number:.20g}"
        return shown, Refused("RECORD_ID", f"takes record ids (text or whole numbers), the row has {shown}.")
    text = str(int(number))
    if isinstance(cell, float) and abs(cell) >= limit:
        hint = "the column became floats, which hold no id of that size exactly; keep it as text or as Int64"
        return text, Refused("RECORD_ID", f"has {text} as a float: {hint}.")
    return text, None


class SeenIds:
    """The ids of earlier chunks by 64-bit hash: 16 bytes per row, where a dict of texts takes some 200.

    Kept as sorted runs that are merged when a newer one is as large, so a look-up reads few of them. Two ids of one
    hash (one pair in 10**7 runs of a million rows) would refuse a row, never write one.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, row_by_id: Mapping[str, int]) -> dict[str, int]:
        """Remember these ids; returns the earlier row of each that is known already."""
        import numpy as np

        hashes = np.fromiter(map(hash, row_by_id), np.int64, len(row_by_id))
        rows = np.fromiter(row_by_id.values(), np.int64, len(row_by_id))
        found: dict[str, int] = {}
        for known, known_rows in self._runs:
            places = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
            hits = np.flatnonzero(known[places] == hashes)
            if len(hits):
                names = list(row_by_id)
                found.update((names[hit], int(known_rows[places[hit]])) for hit in hits.tolist())
        if len(hashes):
            self._remember(hashes, rows)
        return found

    def _remember(self, hashes: np.ndarray, rows: np.ndarray) -> None:
        import numpy as np

        while True:
            order = np.argsort(hashes, kind="stable")
            hashes, rows = hashes[order], rows[order]
            if not self._runs or len(self._runs[-1][0]) > len(hashes):
                break
            earlier, earlier_rows = self._runs.pop()
            hashes, rows = np.concatenate([earlier, hashes]), np.concatenate([earlier_rows, rows])
        self._runs.append((hashes, rows))


def row_names(rows: list[int], own: int) -> str:
    """The other rows of an id, the first few of them by number."""
    others = len(rows) - 1
    shown = [str(row) for row in rows[: _ROWS_NAMED + 1] if row != own][:_ROWS_NAMED]
    if others > _ROWS_NAMED:
        shown.append(f"{others - _ROWS_NAMED} more")
    listed = shown[0] if others == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return f"row{'' if others == 1 else 's'} {listed}"
