"""Read rows as updates: each row of a frame becomes exactly one update or one outcome."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from airflow_provider_crm.rows.cells import exact_integers
from airflow_provider_crm.rows.data_times import DataTimes
from airflow_provider_crm.rows.field_columns import FieldColumns
from airflow_provider_crm.rows.null_texts import NullTexts
from airflow_provider_crm.rows.record_ids import RowIds
from airflow_provider_crm.values.opportunity import Field, Outcome, OutcomeWord, Update

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from airflow_provider_crm.rows.problems import Problems, RowProblem
    from airflow_provider_crm.rows.rules import ColumnRules

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
            for index, record_id, present, time in zip(indexes, ids, fields, times, strict=True):
                if index in superseded:
                    later = first + superseded[index]
                    reason = f"Row {later} has the same id {record_id!r}, comes later and is taken instead."
                    yield Outcome(first + index, record_id, OutcomeWord.STALE, "SUPERSEDED", reason)
                elif index - start in refused:
                    yield _invalid(first + index, record_id, refused[index - start])
                else:
                    yield Update(first + index, record_id, present, time)

    def _data_times(self, part: pd.DataFrame, problems: Problems) -> Sequence[dt.datetime | None]:
        column = self._columns.as_of
        if column is None:
            return self._times.of_run(len(part), problems)
        return self._times.of_cells(self._null_texts.cells(column, part[column]), problems)


def _invalid(row: int, record_id: str, problems: list[RowProblem]) -> Outcome:
    reasons = " ".join(problem.reason for problem in problems)
    return Outcome(row, record_id, OutcomeWord.INVALID, problems[0].code, reasons)
