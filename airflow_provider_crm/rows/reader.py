"""Rows to updates: each row of a frame becomes exactly one update or one outcome."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.rows.cells import Mark, RefusedCell, cells_of, exact_integers
from airflow_provider_crm.rows.null_texts import NullTexts
from airflow_provider_crm.rows.record_ids import SeenIds, plain_ids, record_id_of, row_names, text_id
from airflow_provider_crm.rows.rules import ColumnRules
from airflow_provider_crm.values.columns import Row
from airflow_provider_crm.values.conversion import COLUMN_KINDS, ValueRules
from airflow_provider_crm.values.opportunity import Field, FieldValue, Kind, Outcome, OutcomeWord, Update
from airflow_provider_crm.values.time_zones import future_data_time, parse_moment, zone

if TYPE_CHECKING:
    import pandas as pd

_ROWS_AT_ONCE = 10_000
_FUTURE = "FUTURE_AS_OF"
_RUN_CURE = "start the run for a date that has come, or pass as_of with the column that tells when the data was read."
_COLUMN_CURE = (
    "write when the value was read or last changed (an open end such as 9999-12-31 is no such time, and a local time "
    "needs its zone or the argument timezone), or leave as_of out."
)
_now = partial(dt.datetime.now, dt.UTC)
_AS_OF = Field("as_of", "as_of", Kind.DATETIME)
# Equal values of these types are the same value, also written as text; datetimes of two zones or folds are not.
_CACHEABLE = frozenset({str, int, float, dt.date, type(None)})
# Those of one column that are equal in every way are one object, see `cells_of`.
_MOMENTS = frozenset({dt.datetime, type(None)})


class _Problem(NamedTuple):
    """Why a row is refused."""

    code: str
    reason: str


class _Column(NamedTuple):
    """The values of one column, and whether some of them are `Mark.SKIP`."""

    values: list[Any]
    skips: bool = False


class _Places(NamedTuple):
    """Where ids stand in a chunk: the first row of each, and all rows of those that occur more than once."""

    first: dict[str, int]
    again: dict[str, list[int]]


class FrameReader:
    """Reads the frames of one run, chunk after chunk: row numbers run on, duplicate ids are noticed across chunks.

    Args:
        columns: The mapping and its rules.
        fields: The account's catalogue by field name; holds every field that is mapped.
        as_of: Data time of the rows when no column tells it, aware.
        canonical_id: The one spelling of an id, see `Vendor.canonical_id`.
        now: The time, aware; a data time may not lie ahead of it.
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
        self._columns = columns
        self._fields = {column: fields[name] for column, name in columns.fields.items()}
        self._as_of = as_of
        mapped = self._fields.get(columns.as_of or "")
        self._as_of_field = replace(_AS_OF, personal=mapped is not None and mapped.personal)
        self._canonical_id = canonical_id
        self._now = now
        self._rules = columns.values  # noqa: PD011 - not pandas' attribute
        self._rows = 0
        self._seen = SeenIds()
        self._null_texts = NullTexts(columns.null_texts)

    def warnings(self) -> list[str]:
        """What a person should know of the rows that were read, a sentence each."""
        return self._null_texts.warnings()

    def read(self, frame: pd.DataFrame) -> Iterator[Update | Outcome]:
        """Make one update or one outcome of every row, in row order.

        The ids are read when this is called, as each may stand twice; the fields a part of the frame at a time, as its
        rows are taken.

        Args:
            frame: One row per opportunity; its index is not used.

        Raises:
            ConfigurationError: For a missing or doubled column, see `ColumnRules.check`.
        """
        self._columns.check(list(frame.columns), list(frame.index.names))
        problems: dict[int, list[_Problem]] = {}
        first, self._rows = self._rows, self._rows + len(frame)
        ids = frame[self._columns.id_column]
        cells = self._cells(ids, self._columns.id_column)
        record_ids = self._record_ids(cells, exact_integers(ids.dtype), problems)
        superseded = self._duplicates(record_ids, first, problems)
        return self._rows_of(frame, first, record_ids, problems, superseded)

    def _rows_of(
        self,
        frame: pd.DataFrame,
        first: int,
        record_ids: list[str],
        problems: Mapping[int, list[_Problem]],
        superseded: Mapping[int, int],
    ) -> Iterator[Update | Outcome]:
        for start in range(0, len(frame), _ROWS_AT_ONCE):
            places = range(start, min(start + _ROWS_AT_ONCE, len(frame)))
            found = {place - start: [*problems[place]] for place in places if place in problems} if problems else {}
            part, ids = frame.iloc[start : places.stop], record_ids[start : places.stop]
            fields, times = self._fields_of(part, found), self._times(part, found)
            if not found and not superseded:
                yield from map(Update, count(first + start), ids, fields, times)
                continue
            for place, record_id, present, time in zip(places, ids, fields, times, strict=True):
                if place in superseded:
                    later = first + superseded[place]
                    reason = f"Row {later} has the same id {record_id!r}, comes later and is taken instead."
                    yield Outcome(first + place, record_id, OutcomeWord.STALE, "SUPERSEDED", reason)
                elif place - start in found:
                    why = found[place - start]
                    reasons = " ".join(problem.reason for problem in why)
                    yield Outcome(first + place, record_id, OutcomeWord.INVALID, why[0].code, reasons)
                else:
                    yield Update(first + place, record_id, present, time)

    def _cells(self, cells: pd.Series[Any], column: str) -> list[object]:
        """The cells of one column, None for each text that is a missing value."""
        return self._null_texts.replaced(column, cells_of(cells))

    def _fields_of(self, part: pd.DataFrame, problems: dict[int, list[_Problem]]) -> Iterable[Mapping[str, FieldValue]]:
        """The values of each row by field name; what is to be left alone is left out."""
        columns: dict[str, list[Any]] = {}
        skipping = []
        for column, field in self._fields.items():
            columns[field.name], skips = self._values(column, self._cells(part[column], column), problems)
            if skips:
                skipping.append(field.name)
        if skipping:
            return _without_skipped(columns, skipping, len(part))
        return map(Row, repeat(columns), range(len(part)))

    def _record_ids(self, cells: list[object], limit: int, problems: dict[int, list[_Problem]]) -> list[str]:
        """The id of every row in its one spelling; a row without a good one gets a problem and what can be shown."""
        if (plain := plain_ids(cells)) is not None:
            return list(map(self._canonical_id, plain))
        column = self._columns.id_column
        record_ids = []
        for index, cell in enumerate(cells):
            record_id, problem = text_id(cell) if type(cell) is str else record_id_of(cell, limit)
            if problem is not None:
                problems[index] = [_Problem(problem.code, f"column {column!r} {problem.text}")]
            record_ids.append(record_id if problem is not None else self._canonical_id(record_id))
        return record_ids

    def _duplicates(self, record_ids: list[str], first: int, problems: dict[int, list[_Problem]]) -> dict[int, int]:
        """Add a problem to doubled rows ("error"), or tell which later row supersedes a row ("last")."""
        if self._columns.on_duplicate == "last":
            return {index: rows[-1] for rows in _places(record_ids, problems).again.values() for index in rows[:-1]}
        good: Sequence[str | None] = record_ids
        if problems:
            good = [None if row in problems else record_id for row, record_id in enumerate(record_ids)]
        if self._seen.add(good, first):
            return {}
        places = _places(record_ids, problems)
        before = self._seen.before(places.first, first)
        for record_id in (*places.again, *(known for known in before if known not in places.again)):
            rows = places.again.get(record_id) or [places.first[record_id]]
            everywhere = [*([before[record_id]] if record_id in before else []), *(first + index for index in rows)]
            for index in rows:
                text = row_names(everywhere, first + index)
                reason = (
                    f"column {self._columns.id_column!r}: the id {record_id!r} is also in {text} (rows count from 0); "
                    "make it unique, or pass on_duplicate='last'."
                )
                problems.setdefault(index, []).append(_Problem("DUPLICATE", reason))
        return {}

    def _times(self, part: pd.DataFrame, problems: dict[int, list[_Problem]]) -> Sequence[dt.datetime | None]:
        if self._columns.as_of is None:
            if self._as_of is not None and (why := future_data_time(self._as_of, self._now())) is not None:
                reason = f"{why}: {_RUN_CURE}"
                for row in range(len(part)):
                    problems.setdefault(row, []).append(_Problem(_FUTURE, reason))
            return [self._as_of] * len(part)
        times, _ = self._fitted(self._cells(part[self._columns.as_of], self._columns.as_of), self._time, problems)
        return times

    def _time(self, cell: object) -> dt.datetime | _Problem:
        """The data time in UTC: two times of one zone would compare by the clock on the wall, which repeats an hour."""
        column = f"column {self._columns.as_of!r}: "
        if cell is None or cell is Mark.ABSENT:
            return _Problem("AS_OF", f"{column}the data time is empty (null); fill it, or leave as_of out.")
        moment: dt.datetime | _Problem = self._value(self._as_of_field, column, _moment_of_date(cell, self._rules))
        if isinstance(moment, _Problem):
            return _Problem("AS_OF", moment.reason)
        utc = moment.astimezone(dt.UTC)
        why = future_data_time(utc, self._now())
        return utc if why is None else _Problem(_FUTURE, f"{column}{why}; {_COLUMN_CURE}")

    def _values(self, column: str, cells: list[object], problems: dict[int, list[_Problem]]) -> _Column:
        field = self._fields[column]
        prefix = "" if column == field.name else f"column {column!r}: "
        rule = self._columns.null_rule(column)

        def value(cell: object) -> FieldValue | Mark | _Problem:
            if cell is None or cell is Mark.ABSENT:
                return self._null(field, prefix, column, "skip" if cell is Mark.ABSENT and rule == "clear" else rule)
            fitted: FieldValue | _Problem = self._value(field, prefix, cell)
            if isinstance(fitted, tuple) and field.multiple and self._null_texts.among(fitted):
                text = "takes a list without empty (null) values; leave those out"
                return _Problem("NULL", f"{prefix}{field.name} {text}, or pass other null_values.")
            return fitted

        together = self._together(field, cells, value)
        return self._fitted(cells, value, problems) if together is None else together

    def _together(
        self, field: Field, cells: Sequence[object], value: Callable[[object], FieldValue | Mark | _Problem]
    ) -> _Column | None:
        """The value of every cell, where the field's rules apply to all at once in less time than cell by cell."""
        if field.kind not in COLUMN_KINDS:
            return None
        present = [cell for cell in cells if cell is not None]
        values = self._rules.values(field, present) if present else None
        if values is None or len(values) == len(cells):
            return None if values is None else _Column(values)
        nothing, found = value(None), iter(values)
        if isinstance(nothing, _Problem):
            return None
        return _Column([nothing if cell is None else next(found) for cell in cells], nothing is Mark.SKIP)

    def _value(self, field: Field, prefix: str, cell: object) -> Any:  # noqa: ANN401 - FieldValue, or the type of the field's kind
        if isinstance(cell, RefusedCell):
            return _Problem(cell.code, f"{prefix}{field.name} takes {field.kind.value}, {cell.text}.")
        try:
            return self._rules.value(field, cell)
        except InvalidValueError as err:
            return _Problem(err.code, f"{prefix}{err}")

    def _null(self, field: Field, prefix: str, column: str, rule: str) -> FieldValue | Mark | _Problem:
        if rule == "skip":
            return Mark.SKIP
        hint = f"fill it, or pass nulls={{{column!r}: 'skip'}} to leave the field alone."
        if rule == "error":
            return _Problem("NULL", f"{prefix}{field.name} is empty (null), and nulls is 'error'; {hint}")
        if not field.clearable:
            return _Problem("NOT_CLEARABLE", f"{prefix}{field.name} is empty (null), and cannot be cleared; {hint}")
        return None

    @staticmethod
    def _fitted(cells: list[object], fit: Callable[[object], Any], problems: dict[int, list[_Problem]]) -> _Column:
        """Fit every cell, once per distinct one where that is safe, and note the problems."""
        kinds = set(map(type, cells))
        keys: Sequence[Any] = range(len(cells))
        if kinds <= _CACHEABLE and not kinds >= {int, float}:  # 2**60 equals 2.0**60, and reads otherwise
            keys = cells
        elif kinds <= _MOMENTS:
            keys = list(map(id, cells))
        known = {key: fit(cell) for key, cell in dict(zip(keys, cells, strict=True)).items()}
        values, found = list(map(known.__getitem__, keys)), set(map(type, known.values()))
        if _Problem in found:
            for index, value in enumerate(values):
                if type(value) is _Problem:
                    problems.setdefault(index, []).append(value)
        return _Column(values, Mark in found)


def _without_skipped(columns: Mapping[str, list[Any]], skipping: Sequence[str], rows: int) -> list[Row[FieldValue]]:
    """Rows of columns some of which hold values to be left alone; rows without the same ones share their columns."""
    left_out = zip(*([value is Mark.SKIP for value in columns[name]] for name in skipping), strict=True)
    shapes: dict[tuple[bool, ...], Mapping[str, list[Any]]] = {}
    found = []
    for place, shape in zip(range(rows), left_out, strict=True):
        if shape not in shapes:
            skipped = {name for name, skip in zip(skipping, shape, strict=True) if skip}
            shapes[shape] = {name: values for name, values in columns.items() if name not in skipped}
        found.append(Row(shapes[shape], place))
    return found


def _places(record_ids: Sequence[str], problems: Mapping[int, object]) -> _Places:
    """The rows of each good id of a chunk."""
    first = dict(zip(reversed(record_ids), range(len(record_ids) - 1, -1, -1), strict=True))
    if not problems and len(first) == len(record_ids):
        return _Places(first, {})
    rows: dict[str, list[int]] = {}
    for index, record_id in enumerate(record_ids):
        if index not in problems:
            rows.setdefault(record_id, []).append(index)
    first = {record_id: places[0] for record_id, places in rows.items()}
    return _Places(first, {record_id: places for record_id, places in rows.items() if len(places) > 1})


def _moment_of_date(cell: object, rules: ValueRules) -> object:
    """A date, or a text that is one, as the first moment of that day in the time zone; anything else as it is."""
    date = parse_moment(cell) if isinstance(cell, str) else cell
    if not isinstance(date, dt.date) or isinstance(date, dt.datetime):
        return cell
    midnight = dt.datetime.combine(date, dt.time())
    if rules.timezone is None:
        return midnight
    return midnight.replace(tzinfo=zone(rules.timezone))
