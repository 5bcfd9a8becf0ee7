"""Read rows as updates: each row of a frame becomes exactly one update or one outcome.

Record ids are read first, as rows that share one can be anywhere in a frame.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, cast

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.rows.cells import Mark, RefusedCell, exact_integers
from airflow_provider_crm.rows.data_times import DataTimes
from airflow_provider_crm.rows.field_columns import FieldColumns
from airflow_provider_crm.rows.null_texts import NullTexts
from airflow_provider_crm.rows.problems import Problems, RowProblem
from airflow_provider_crm.rows.rules import ColumnRules
from airflow_provider_crm.values.opportunity import Field, Outcome, OutcomeWord, SourceValue, Update
from airflow_provider_crm.values.record_ids import TemporaryIdTable, are_plain_ids, path_segment

if TYPE_CHECKING:
    import pandas as pd

_ROWS_NAMED = 5
_MAX_ID_DIGITS = 40
_ROWS_AT_ONCE = 10_000
_now = partial(dt.datetime.now, dt.UTC)


class FrameReader:
    """A reader of one run's frames: row numbers run on, and duplicate ids are found across frames.

    Args:
        columns: The mapping and its rules.
        fields: The account's catalogue by field name, with every field that is mapped.
        as_of: Data time of the rows without a column of data times, aware.
        canonical_id: Returns the one spelling of an id, see `Vendor.canonical_id`.
        now: Returns the time, aware; a data time may not lie ahead of it.
    """

    def __init__(
        self,
        columns: ColumnRules,
        fields: Mapping[str, Field],
        as_of: dt.datetime | None,
        *,
        canonical_id: Callable[[str], str] = str,
        now: Callable[[], dt.datetime] = _now,
    ) -> None:
        mapped = {column: fields[name] for column, name in columns.fields.items()}
        self._columns = columns
        self._rows = 0
        self._null_texts = NullTexts(columns.null_texts)
        self._ids = RowIds(columns, canonical_id)
        self._fields = FieldColumns(columns, mapped, self._null_texts)
        self._times = DataTimes(columns, mapped, as_of, now)

    def warnings(self) -> list[str]:
        """Return a sentence for each column whose texts were read as missing values and may have been meant."""
        return self._null_texts.warnings()

    def read(self, frame: pd.DataFrame) -> Iterator[Update | Outcome]:
        """Make one update or one outcome of every row, in row order.

        All ids are read at once, as duplicates can be anywhere; the fields are read a part of the frame at a time,
        as the caller takes the rows.

        Args:
            frame: One row per opportunity; its index is not used.

        Raises:
            ConfigurationError: For a missing or doubled column, see `ColumnRules.check`.
        """
        self._columns.check(list(frame.columns), list(frame.index.names))
        problems: Problems = {}
        first, self._rows = self._rows, self._rows + len(frame)
        ids = frame[self._columns.id_column]
        cells = self._null_texts.cells(self._columns.id_column, ids)
        record_ids = self._ids.read(cells, exact_integers(ids.dtype), problems)
        superseded = self._ids.superseded(record_ids, first, problems)
        return self._rows_of(frame, first, record_ids, problems, superseded)

    def _rows_of(
        self,
        frame: pd.DataFrame,
        first: int,
        record_ids: list[str],
        problems: Problems,
        superseded: Mapping[int, int],
    ) -> Iterator[Update | Outcome]:
        for start in range(0, len(frame), _ROWS_AT_ONCE):
            indexes = range(start, min(start + _ROWS_AT_ONCE, len(frame)))
            refused = {index - start: [*problems[index]] for index in indexes if index in problems} if problems else {}
            part, ids = frame.iloc[start : indexes.stop], record_ids[start : indexes.stop]
            fields, times = self._fields.rows(part, refused), self._data_times(part, refused)
            if not refused and not superseded:
                yield from map(Update, count(first + start), ids, fields, times)
                continue
            sources = self._fields.source_values(part, refused)
            for index, record_id, present, time in zip(indexes, ids, fields, times, strict=True):
                if index in superseded:
                    later = first + superseded[index]
                    reason = f"Row {later} has the same id {record_id!r}, comes later and is taken instead."
                    yield Outcome(first + index, record_id, OutcomeWord.STALE, "SUPERSEDED", reason)
                elif index - start in refused:
                    yield _invalid(first + index, record_id, refused[index - start], sources[index - start])
                else:
                    yield Update(first + index, record_id, present, time)

    def _data_times(self, part: pd.DataFrame, problems: Problems) -> Sequence[dt.datetime | None]:
        column = self._columns.as_of
        if column is None:
            return self._times.of_run(len(part), problems)
        return self._times.of_cells(self._null_texts.cells(column, part[column]), problems)


def _invalid(row: int, record_id: str, problems: list[RowProblem], source: tuple[SourceValue, ...]) -> Outcome:
    reasons = " ".join(problem.reason for problem in problems)
    return Outcome(row, record_id, OutcomeWord.INVALID, problems[0].code, reasons, source=source)


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
