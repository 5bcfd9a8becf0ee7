"""Read texts that are missing values, and count them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_crm.rows.cells import cells_of

if TYPE_CHECKING:
    import pandas as pd


class NullTexts:
    """Texts that are missing values, compared without surrounding white space, with the columns that had them.

    Args:
        texts: The texts, without surrounding white space.
    """

    def __init__(self, texts: frozenset[str]) -> None:
        self._texts = texts
        self._counts: Counter[tuple[str, str]] = Counter()

    def cells(self, column: str, series: pd.Series[Any]) -> list[object]:
        """Return the cells of a column, with None for each of the texts."""
        cells = cells_of(series)
        kinds = set(map(type, cells))
        if str not in kinds:
            return cells
        words = cast("list[str]", cells if kinds == {str} else [cell for cell in cells if type(cell) is str])
        distinct = set(words)
        if self._texts.isdisjoint(map(str.strip, distinct)):
            return cells
        null = {word for word in distinct if word.strip() in self._texts}
        self._counts.update((column, word.strip()) for word in words if word in null and word.strip())
        return [None if type(cell) is str and cell in null else cell for cell in cells]

    def among(self, items: Iterable[object]) -> bool:
        """Return whether one of some items is such a text."""
        return any(isinstance(item, str) and item.strip() in self._texts for item in items)

    def warnings(self) -> list[str]:
        """Return a sentence for each column and non-empty text that may have been meant as text."""
        return [
            f"Column {column!r}: {count} row{' has' if count == 1 else 's have'} the text {text!r}, which counts as a "
            "missing value; pass null_values=[''] to write such text."
            for (column, text), count in self._counts.items()
        ]
