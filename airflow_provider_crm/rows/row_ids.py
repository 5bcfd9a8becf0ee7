"""Read the record id of each row, and find rows that share one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from airflow_provider_crm.rows.problems import Problem, Problems
from airflow_provider_crm.rows.record_ids import SeenIds, plain_ids, record_id_of, row_names, text_id
from airflow_provider_crm.rows.rules import ColumnRules


class _Occurrences(NamedTuple):
    """Where ids stand in a frame: the first row of each, and all rows of each id that occurs more than once."""

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
        self._seen = SeenIds()

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
                problems[index] = [Problem(refused.code, f"column {self._rules.id_column!r} {refused.text}")]
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
        if not self._seen.add(good, first):
            self._refuse_repeated(_occurrences(record_ids, problems), first, problems)
        return {}

    def _refuse_repeated(self, found: _Occurrences, first: int, problems: Problems) -> None:
        before = self._seen.before(found.first, first)
        for record_id in (*found.repeated, *(known for known in before if known not in found.repeated)):
            rows = found.repeated.get(record_id) or [found.first[record_id]]
            everywhere = [*([before[record_id]] if record_id in before else []), *(first + index for index in rows)]
            for index in rows:
                text = row_names(everywhere, first + index)
                reason = (
                    f"column {self._rules.id_column!r}: the id {record_id!r} is also in {text} (rows count from 0); "
                    "make it unique, or pass on_duplicate='last'."
                )
                problems.setdefault(index, []).append(Problem("DUPLICATE", reason))


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
