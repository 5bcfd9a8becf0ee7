"""Read record ids, and find rows that share one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, cast

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.rows.cells import Mark, RefusedCell
from airflow_provider_crm.rows.problems import Problems, RowProblem
from airflow_provider_crm.rows.rules import ColumnRules
from airflow_provider_crm.values.record_ids import TemporaryIdTable, are_plain_ids, path_segment

_ROWS_NAMED = 5
_MAX_ID_DIGITS = 40


def record_id_of(cell: object, limit: int) -> tuple[str, RefusedCell | None]:
    """Return the id as text, or what can be shown of it and why it is refused.

    Args:
        cell: A cell of the id column.
        limit: Whole floats are exact below it.
    """
    if cell is None or cell is Mark.ABSENT:
        return "", RefusedCell("NO_ID", "is empty (null); every row needs the id of its opportunity.")
    if isinstance(cell, RefusedCell):
        return "", RefusedCell("RECORD_ID", f"takes record ids (text or whole numbers), {cell.text}.")
    if isinstance(cell, str):
        return text_id(cell)
    if isinstance(cell, (int, float, Decimal)) and not isinstance(cell, bool):
        return _number_id(cell, limit)
    return "", RefusedCell(
        "RECORD_ID", f"takes record ids (text or whole numbers), the row has a {type(cell).__name__}."
    )


def plain_ids(cells: Sequence[object]) -> list[str] | None:
    """Return the cells if each is a text that is a valid id as it stands; None if they need a closer look."""
    if set(map(type, cells)) != {str}:
        return None
    ids = cast("list[str]", list(cells))
    return ids if are_plain_ids(ids) else None


def text_id(cell: str) -> tuple[str, RefusedCell | None]:
    """Return an id that is text, without surrounding white space, or why it is refused."""
    text = cell.strip()
    if not text:
        return "", RefusedCell("NO_ID", "is empty; every row needs the id of its opportunity.")
    try:
        path_segment(text)
    except InvalidValueError as err:
        return text.encode("utf-8", "backslashreplace").decode(), RefusedCell(err.code, f"takes record ids: {err}")
    return text, None


def _number_id(cell: float | Decimal, limit: int) -> tuple[str, RefusedCell | None]:
    number = Decimal(cell)
    if not number.is_finite() or number.adjusted() >= _MAX_ID_DIGITS or number != number.to_integral_value():
        shown = str(cell)[:60] if isinstance(cell, float) or not number.is_finite() else f"{number:.20g}"
        return shown, RefusedCell("RECORD_ID", f"takes record ids (text or whole numbers), the row has {shown}.")
    text = str(int(number))
    if isinstance(cell, float) and abs(cell) >= limit:
        hint = "the column became floats, which hold no id of that size exactly; keep it as text or as Int64"
        return text, RefusedCell("RECORD_ID", f"has {text} as a float: {hint}.")
    return text, None


def row_names(rows: list[int], own: int) -> str:
    """Name the other rows of an id, the first few of them by number."""
    others = len(rows) - 1
    shown = [str(row) for row in rows[: _ROWS_NAMED + 1] if row != own][:_ROWS_NAMED]
    if others > _ROWS_NAMED:
        shown.append(f"{others - _ROWS_NAMED} more")
    listed = shown[0] if others == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return f"row{'' if others == 1 else 's'} {listed}"


class _Occurrences(NamedTuple):
    """The first row of each id in a frame, and all rows of each id that occurs more than once."""

    first: dict[str, int]
    repeated: dict[str, list[int]]


class RowIds:
    """The record ids of one run's rows, frame after frame.

    Args:
        rules: The mapping and its rules.
        canonical_id: Returns the one spelling of an id, see `Vendor.canonical_id`.
    """

    def __init__(self, rules: ColumnRules, canonical_id: Callable[[str], str]) -> None:
        self._rules = rules
        self._canonical_id = canonical_id
        self._seen = TemporaryIdTable()

    def read(self, cells: list[object], limit: int, problems: Problems) -> list[str]:
        """Return the id of every row in its one spelling; a row without a good one gets a problem.

        Args:
            cells: The cells of the id column.
            limit: Whole floats are exact below it.
            problems: Gets the problems of each row.
        """
        if (plain := plain_ids(cells)) is not None:
            return list(map(self._canonical_id, plain))
        record_ids = []
        for index, cell in enumerate(cells):
            record_id, refused = text_id(cell) if type(cell) is str else record_id_of(cell, limit)
            if refused is not None:
                problems[index] = [RowProblem(refused.code, f"column {self._rules.id_column!r} {refused.text}")]
            record_ids.append(record_id if refused is not None else self._canonical_id(record_id))
        return record_ids

    def superseded(self, record_ids: list[str], first: int, problems: Problems) -> dict[int, int]:
        """Find rows that share an id: add a problem to each ("error"), or keep only the last ("last").

        Args:
            record_ids: The id of every row of a frame.
            first: Number of the frame's first row.
            problems: Gets the problems of each row.

        Returns:
            The row that supersedes a row, by the superseded one, both as indexes into the frame.
        """
        if self._rules.on_duplicate == "last":
            repeated = _occurrences(record_ids, problems).repeated
            return {index: rows[-1] for rows in repeated.values() for index in rows[:-1]}
        good: Sequence[str | None] = record_ids
        if problems:
            good = [None if row in problems else record_id for row, record_id in enumerate(record_ids)]
        if not self._seen.add_first(good, first):
            self._refuse_repeated(_occurrences(record_ids, problems), first, problems)
        return {}

    def _refuse_repeated(self, occurrences: _Occurrences, first: int, problems: Problems) -> None:
        before = self._seen.rows_of(occurrences.first, before=first)
        for record_id in (*occurrences.repeated, *(known for known in before if known not in occurrences.repeated)):
            rows = occurrences.repeated.get(record_id) or [occurrences.first[record_id]]
            everywhere = [*([before[record_id]] if record_id in before else []), *(first + index for index in rows)]
            for index in rows:
                text = row_names(everywhere, first + index)
                reason = (
                    f"column {self._rules.id_column!r}: the id {record_id!r} is also in {text} (rows count from 0); "
                    "make it unique, or pass on_duplicate='last'."
                )
                problems.setdefault(index, []).append(RowProblem("DUPLICATE", reason))


def _occurrences(record_ids: Sequence[str], problems: Mapping[int, object]) -> _Occurrences:
    """Return where each good id stands in a frame."""
    first = dict(zip(reversed(record_ids), range(len(record_ids) - 1, -1, -1), strict=True))
    if not problems and len(first) == len(record_ids):
        return _Occurrences(first, {})
    rows: dict[str, list[int]] = {}
    for index, record_id in enumerate(record_ids):
        if index not in problems:
            rows.setdefault(record_id, []).append(index)
    first = {record_id: indexes[0] for record_id, indexes in rows.items()}
    return _Occurrences(first, {record_id: indexes for record_id, indexes in rows.items() if len(indexes) > 1})
