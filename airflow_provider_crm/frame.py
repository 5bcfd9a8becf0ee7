"""DataFrames to updates: the only module that knows pandas. Types, nulls, duplicates and data times are settled here.

A column is turned once into a list of plain Python objects that lose nothing (`None` for a null), each distinct value
is fitted to its field once, and the rows are put together from those lists. pandas, numpy and pyarrow are imported
inside functions: a DAG file that imports an operator does not pay for them.
"""

from __future__ import annotations

import csv
import datetime as dt
import difflib
import enum
import gzip
import io
import json
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeGuard

from airflow_provider_crm.exceptions import ConfigurationError, InvalidValueError
from airflow_provider_crm.opportunity import (
    Field,
    FieldValue,
    Kind,
    Outcome,
    OutcomeWord,
    Update,
    ValueRules,
    parse_moment,
    path_segment,
    zone,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]

__all__ = ["ColumnRules", "FrameReader", "frame_of_rows", "frames"]

_NULL_RULES = ("skip", "clear", "error")
_DUPLICATE_RULES = ("error", "last")
_AS_OF = Field("as_of", "as_of", Kind.DATETIME)
_PLAIN = frozenset({str, int, float, bool, Decimal, dt.date, dt.datetime, type(None)})
# Equal values of these types are the same value, also written as text; datetimes of two zones or folds are not.
_CACHEABLE = frozenset({str, int, float, dt.date, type(None)})
_ROWS_NAMED = 5
_MAX_ID_DIGITS = 40
_UNREADABLE = (ArithmeticError, LookupError, NotImplementedError, RecursionError, TypeError, ValueError)


class _Mark(enum.Enum):
    """What a cell can be that is no value."""

    ABSENT = "the row of a list of dicts or a JSON line has no such key: neither null nor a value"
    SKIP = "the field is left alone"


class _Refused(NamedTuple):
    """A cell that no field takes: `text` goes on after "takes a number, "."""

    code: str
    text: str


class _Problem(NamedTuple):
    """Why a row is refused."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class ColumnRules:
    """Which column goes to which field, and what the odd cells mean.

    Attributes:
        id_column: Column of record ids: text or whole numbers.
        fields: Field name by column; each field once.
        nulls: What an empty (null) cell means: "skip" leaves the field alone, "clear" empties it in the CRM, "error"
            refuses the row. One word for all, or a word by column, where columns not named are "skip".
        on_duplicate: "error" refuses every row whose id occurs more than once; "last" writes the last of each chunk.
        as_of: Column with the data time of the row, or None to take the run's.
        values: Time zone and rounding.

    Raises:
        ConfigurationError: For an empty mapping or a wrong word, saying what to write instead.
    """

    id_column: str
    fields: Mapping[str, str]
    nulls: str | Mapping[str, str] = "skip"
    on_duplicate: str = "error"
    as_of: str | None = None
    values: ValueRules = field(default_factory=ValueRules)

    def __post_init__(self) -> None:
        """Check the words, not the columns: those are known only when the data is."""
        if not isinstance(self.id_column, str) or not self.id_column:
            msg = f"id_column is {self.id_column!r}; write the name of the column that holds the record ids."
            raise ConfigurationError(msg)
        if self.as_of is not None and (not isinstance(self.as_of, str) or not self.as_of):
            msg = f"as_of is {self.as_of!r}; write the name of the column with the data time, or None for the run's."
            raise ConfigurationError(msg)
        if self.on_duplicate not in _DUPLICATE_RULES:
            msg = f"on_duplicate is {self.on_duplicate!r}; write one of {', '.join(_DUPLICATE_RULES)}."
            raise ConfigurationError(msg)
        self._check_fields()
        self._check_nulls()

    def _check_fields(self) -> None:
        if not isinstance(self.fields, Mapping) or not self.fields:
            was = "empty" if isinstance(self.fields, Mapping) else repr(self.fields)
            msg = f"fields is {was}; write which column goes to which field, such as {{'arr': 'deal_value'}}."
            raise ConfigurationError(msg)
        column_of: dict[str, str] = {}
        for column, name in self.fields.items():
            if not (isinstance(column, str) and column and isinstance(name, str) and name):
                msg = f"fields has {column!r}: {name!r}; write a column name and a field name, both as text."
                raise ConfigurationError(msg)
            if name in column_of:
                msg = f"fields maps both {column_of[name]!r} and {column!r} to {name}; keep one of them."
                raise ConfigurationError(msg)
            column_of[name] = column

    def _check_nulls(self) -> None:
        if isinstance(self.nulls, Mapping):
            unknown = [column for column in self.nulls if column not in self.fields]
            if unknown:
                names, known = ", ".join(map(repr, unknown)), ", ".join(self.fields)
                msg = f"nulls names {names}, which fields does not map; write one of its columns: {known}."
                raise ConfigurationError(msg)
        words = self.nulls if isinstance(self.nulls, Mapping) else {"": self.nulls}
        for column, word in words.items():
            if word not in _NULL_RULES:
                of = f" of column {column!r}" if column else ""
                msg = f"nulls{of} is {word!r}; write one of {', '.join(_NULL_RULES)}."
                raise ConfigurationError(msg)

    def null_rule(self, column: str) -> str:
        """What a null in this column means: skip, clear or error."""
        return self.nulls.get(column, "skip") if isinstance(self.nulls, Mapping) else self.nulls

    @property
    def used(self) -> tuple[str, ...]:
        """All columns that are read, each once."""
        names = (self.id_column, *self.fields, *([self.as_of] if self.as_of is not None else []))
        return tuple(dict.fromkeys(names))

    def check(self, columns: Sequence[str]) -> None:
        """Check that the data has every column that is read, once.

        Raises:
            ConfigurationError: Naming every missing or doubled column, the columns there are, and close matches.
        """
        names = [name for name in columns if isinstance(name, str)]
        known = dict.fromkeys(names)
        missing = [_suggested(name, list(known)) for name in self.used if name not in known]
        if missing:
            there = f"its columns are: {', '.join(map(str, columns))}" if len(columns) else "it has no columns at all"
            msg = f"The data has no column {', '.join(missing)}; {there}."
            raise ConfigurationError(msg)
        doubled = [name for name in self.used if names.count(name) > 1] if len(known) < len(names) else []
        if doubled:
            msg = f"The data has more than one column {', '.join(map(repr, doubled))}; rename or drop the others."
            raise ConfigurationError(msg)


class FrameReader:
    """Reads the frames of one run, chunk after chunk: row numbers run on, duplicate ids are noticed across chunks.

    Args:
        columns: The mapping and its rules.
        fields: The account's catalogue by field name; holds every field that is mapped.
        as_of: Data time of the rows when no column tells it, aware.
    """

    def __init__(self, columns: ColumnRules, fields: Mapping[str, Field], as_of: dt.datetime | None) -> None:
        self._columns = columns
        self._fields = {column: fields[name] for column, name in columns.fields.items()}
        self._as_of = as_of
        self._rules = columns.values  # noqa: PD011 - not pandas' attribute
        self._rows = 0
        self._seen = _SeenIds()

    def check(self, columns: Sequence[str]) -> None:
        """Check the columns of the data, see `ColumnRules.check`."""
        self._columns.check(columns)

    def read(self, frame: pd.DataFrame) -> Iterator[Update | Outcome]:
        """Make one update or one outcome of every row, in row order.

        The frame is read when this is called; what it returns only puts the rows together.

        Args:
            frame: One row per opportunity; its index is not used.

        Raises:
            ConfigurationError: For a missing or doubled column, see `check`.
        """
        self.check(list(frame.columns))
        problems: dict[int, list[_Problem]] = {}
        first, self._rows = self._rows, self._rows + len(frame)
        cells = {name: _cells(frame[name]) for name in self._columns.used}
        limit = _exact_integers(frame[self._columns.id_column].dtype)
        record_ids = self._record_ids(cells[self._columns.id_column], limit, problems)
        superseded = self._duplicates(record_ids, first, problems)
        times = self._times(cells, len(frame), problems)
        values = [self._values(column, cells[column], problems) for column in self._fields]
        return self._rows_of(
            first, record_ids=record_ids, times=times, values=values, problems=problems, superseded=superseded
        )

    def _rows_of(
        self,
        first: int,
        *,
        record_ids: list[str],
        times: Sequence[dt.datetime | None],
        values: list[list[Any]],
        problems: dict[int, list[_Problem]],
        superseded: dict[int, int],
    ) -> Iterator[Update | Outcome]:
        names = [field.name for field in self._fields.values()]
        skips = any(_Mark.SKIP in column for column in values)
        for index, row in enumerate(zip(*values, strict=True)):
            number, record_id = first + index, record_ids[index]
            if index in superseded:
                reason = (
                    f"Row {first + superseded[index]} has the same id {record_id!r}, comes later and is taken instead."
                )
                yield Outcome(number, record_id, OutcomeWord.STALE, "SUPERSEDED", reason)
            elif index in problems:
                reasons = " ".join(problem.reason for problem in problems[index])
                yield Outcome(number, record_id, OutcomeWord.INVALID, problems[index][0].code, reasons)
            else:
                fields = dict(zip(names, row, strict=True))
                if skips:
                    fields = {name: value for name, value in fields.items() if value is not _Mark.SKIP}
                yield Update(number, record_id, fields, times[index])

    def _record_ids(self, cells: list[object], limit: int, problems: dict[int, list[_Problem]]) -> list[str]:
        """The id of every row as text; a row without a good one gets a problem and what can be shown of its id."""
        column = self._columns.id_column
        record_ids = []
        for index, cell in enumerate(cells):
            record_id, problem = _text_id(cell) if type(cell) is str else _record_id(cell, limit)
            if problem is not None:
                problems[index] = [_Problem(problem.code, f"column {column!r} {problem.text}")]
            record_ids.append(record_id)
        return record_ids

    def _duplicates(self, record_ids: list[str], first: int, problems: dict[int, list[_Problem]]) -> dict[int, int]:
        """Add a problem to doubled rows ("error"), or tell which later row supersedes a row ("last")."""
        places: dict[str, list[int]] = {}
        for index, record_id in enumerate(record_ids):
            if index not in problems:
                places.setdefault(record_id, []).append(index)
        if self._columns.on_duplicate == "last":
            return {index: rows[-1] for rows in places.values() if len(rows) > 1 for index in rows[:-1]}
        before = self._seen.add({record_id: first + rows[0] for record_id, rows in places.items()})
        for record_id, rows in places.items():
            if len(rows) == 1 and record_id not in before:
                continue
            everywhere = [*([before[record_id]] if record_id in before else []), *(first + index for index in rows)]
            for index in rows:
                text = _row_names(everywhere, first + index)
                reason = (
                    f"column {self._columns.id_column!r}: the id {record_id!r} is also in {text} (rows count from 0); "
                    "make it unique, or pass on_duplicate='last'."
                )
                problems.setdefault(index, []).append(_Problem("DUPLICATE", reason))
        return {}

    def _times(
        self, cells: Mapping[str, list[object]], rows: int, problems: dict[int, list[_Problem]]
    ) -> Sequence[dt.datetime | None]:
        if self._columns.as_of is None:
            return [self._as_of] * rows
        return self._fitted(cells[self._columns.as_of], self._time, problems)

    def _time(self, cell: object) -> dt.datetime | _Problem:
        """The data time in UTC: two times of one zone would compare by the clock on the wall, which repeats an hour."""
        column = f"column {self._columns.as_of!r}: "
        if cell is None or cell is _Mark.ABSENT:
            return _Problem("AS_OF", f"{column}the data time is empty (null); fill it, or leave as_of out.")
        moment: dt.datetime | _Problem = self._value(_AS_OF, column, _moment_of_date(cell, self._rules))
        if isinstance(moment, _Problem):
            return _Problem("AS_OF", moment.reason)
        try:
            return moment.astimezone(dt.UTC)
        except (OverflowError, ValueError):
            return _Problem("AS_OF", f"{column}as_of is out of the calendar.")

    def _values(self, column: str, cells: list[object], problems: dict[int, list[_Problem]]) -> list[Any]:
        field = self._fields[column]
        prefix = "" if column == field.name else f"column {column!r}: "
        rule = self._columns.null_rule(column)

        def value(cell: object) -> FieldValue | _Mark | _Problem:
            if cell is None or cell is _Mark.ABSENT:
                return self._null(field, prefix, column, "skip" if cell is _Mark.ABSENT and rule == "clear" else rule)
            fitted: FieldValue | _Problem = self._value(field, prefix, cell)
            return fitted

        return self._fitted(cells, value, problems)

    def _value(self, field: Field, prefix: str, cell: object) -> Any:  # noqa: ANN401 - FieldValue, or the type of the field's kind
        if isinstance(cell, _Refused):
            return _Problem(cell.code, f"{prefix}{field.name} takes {field.kind.value}, {cell.text}.")
        try:
            return self._rules.value(field, cell)
        except InvalidValueError as err:
            return _Problem(err.code, f"{prefix}{err}")

    def _null(self, field: Field, prefix: str, column: str, rule: str) -> FieldValue | _Mark | _Problem:
        if rule == "skip":
            return _Mark.SKIP
        hint = f"fill it, or pass nulls={{{column!r}: 'skip'}} to leave the field alone."
        if rule == "error":
            return _Problem("NULL", f"{prefix}{field.name} is empty (null), and nulls is 'error'; {hint}")
        if not field.clearable:
            return _Problem("NOT_CLEARABLE", f"{prefix}{field.name} is empty (null), and cannot be cleared; {hint}")
        return None

    @staticmethod
    def _fitted(cells: list[object], value: Callable[[object], Any], problems: dict[int, list[_Problem]]) -> list[Any]:
        """Apply `value` to every cell, once per distinct one where that is safe, and note the problems."""
        kinds = set(map(type, cells))
        if kinds <= _CACHEABLE and not kinds >= {int, float}:  # 2**60 equals 2.0**60, and reads otherwise
            known = {cell: value(cell) for cell in set(cells)}
            values = [known[cell] for cell in cells]
            wrong = any(type(found) is _Problem for found in known.values())
        else:
            values = [value(cell) for cell in cells]
            wrong = True
        if wrong:
            for index, found in enumerate(values):
                if type(found) is _Problem:
                    problems.setdefault(index, []).append(found)
        return values


class _SeenIds:
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


def _suggested(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known) or [other for other in known if other.casefold() == name.casefold()]
    return f"{name!r} (did you mean {' or '.join(map(repr, close))}?)" if close else repr(name)


def _row_names(rows: list[int], own: int) -> str:
    """The other rows of an id, the first few of them by number."""
    others = len(rows) - 1
    shown = [str(row) for row in rows[: _ROWS_NAMED + 1] if row != own][:_ROWS_NAMED]
    if others > _ROWS_NAMED:
        shown.append(f"{others - _ROWS_NAMED} more")
    listed = shown[0] if others == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return f"row{'' if others == 1 else 's'} {listed}"


def _record_id(cell: object, limit: int) -> tuple[str, _Refused | None]:
    """The id as text, or what can be shown of it and why it is refused. `limit`: whole floats are exact below it."""
    if cell is None or cell is _Mark.ABSENT:
        return "", _Refused("NO_ID", "is empty (null); every row needs the id of its opportunity.")
    if isinstance(cell, _Refused):
        return "", _Refused("RECORD_ID", f"takes record ids (text or whole numbers), {cell.text}.")
    if isinstance(cell, str):
        return _text_id(cell)
    if isinstance(cell, (int, float, Decimal)) and not isinstance(cell, bool):
        return _number_id(cell, limit)
    return "", _Refused("RECORD_ID", f"takes record ids (text or whole numbers), the row has a {type(cell).__name__}.")


def _text_id(cell: str) -> tuple[str, _Refused | None]:
    text = cell.strip()
    if not text:
        return "", _Refused("NO_ID", "is empty; every row needs the id of its opportunity.")
    try:
        path_segment(text)
    except InvalidValueError as err:
        return text.encode("utf-8", "backslashreplace").decode(), _Refused(err.code, f"takes record ids: {err}")
    return text, None


def _number_id(cell: float | Decimal, limit: int) -> tuple[str, _Refused | None]:
    number = Decimal(cell)
    if not number.is_finite() or number.adjusted() >= _MAX_ID_DIGITS or number != number.to_integral_value():
        shown = str(cell)[:60] if isinstance(cell, float) or not number.is_finite() else f"{number:.20g}"
        return shown, _Refused("RECORD_ID", f"takes record ids (text or whole numbers), the row has {shown}.")
    text = str(int(number))
    if isinstance(cell, float) and abs(cell) >= limit:
        hint = "the column became floats, which hold no id of that size exactly; keep it as text or as Int64"
        return text, _Refused("RECORD_ID", f"has {text} as a float: {hint}.")
    return text, None


def _moment_of_date(cell: object, rules: ValueRules) -> object:
    """A date, or a text that is one, as the first moment of that day in the time zone; anything else as it is."""
    date = parse_moment(cell) if isinstance(cell, str) else cell
    if not isinstance(date, dt.date) or isinstance(date, dt.datetime):
        return cell
    midnight = dt.datetime.combine(date, dt.time())
    if rules.timezone is None:
        return midnight
    return midnight.replace(tzinfo=zone(rules.timezone))


# --- columns ---------------------------------------------------------------------------------------------------------


def _exact_integers(dtype: object) -> int:
    """The size from which floats of this column no longer tell neighbouring whole numbers apart."""
    import numpy as np

    plain = getattr(dtype, "numpy_dtype", dtype)
    bits = np.finfo(plain).nmant + 1 if isinstance(plain, np.dtype) and plain.kind == "f" else 53
    limit: int = 2 ** min(int(bits), 53)
    return limit


def _cells(column: pd.Series[Any]) -> list[object]:
    """Every cell as a plain Python object without loss, None for a null, `_Refused` for what no field can hold."""
    try:
        return _converted(column)
    except _UNREADABLE:  # one cell is out of the calendar or the like: halve until it stands alone
        middle = len(column) // 2
        if not middle:
            return [_Refused("TYPE", f"the row has a {column.dtype} that cannot be read")] * len(column)
        return _cells(column.iloc[:middle]) + _cells(column.iloc[middle:])


def _converted(column: pd.Series[Any]) -> list[object]:  # noqa: PLR0911 - one per family of types
    import numpy as np
    import pandas as pd

    dtype: Any = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        categories = [*_cells(pd.Series(dtype.categories)), None]  # code -1 is a null, and the last place
        return [categories[code] for code in column.cat.codes.tolist()]
    array: Any = column.array
    if isinstance(dtype, pd.ArrowDtype):
        return _arrow_cells(array.__arrow_array__())
    if isinstance(dtype, pd.SparseDtype):
        return _converted(column.astype(dtype.subtype))
    if isinstance(dtype, pd.StringDtype):
        return list(array.to_numpy(dtype=object, na_value=None))
    if isinstance(dtype, pd.DatetimeTZDtype):
        return _moments(column)
    if isinstance(dtype, np.dtype):
        return _numpy_cells(column, dtype)
    plain = getattr(dtype, "numpy_dtype", None)
    if isinstance(plain, np.dtype) and plain.kind in "iufb":  # nullable: values and a mask
        values = _numpy_cells(pd.Series(array.to_numpy(dtype=plain, na_value=plain.type(0))), plain)
        return [None if null else value for value, null in zip(values, column.isna().tolist(), strict=True)]
    return [_cell(value) for value in column.astype(object).tolist()]


def _numpy_cells(column: pd.Series[Any], dtype: np.dtype[Any]) -> list[object]:
    if dtype.kind == "f":
        return _floats(column.to_numpy())
    if dtype.kind == "M":
        return _moments(column)
    values: list[object] = column.tolist()
    return values if dtype.kind in "iub" or _exact_plain(values) else [_cell(value) for value in values]


def _exact_plain(values: list[object]) -> bool:
    """Whether all are plain objects already, and none is a NaN."""
    kinds = set(map(type, values))
    return kinds <= _PLAIN and float not in kinds and Decimal not in kinds


def _floats(values: np.ndarray) -> list[object]:
    """Floats by the shortest text of their own width: 0.1 in float32 is 0.1, not 0.10000000149011612."""
    if values.dtype.itemsize == 8:  # noqa: PLR2004 - bytes of a Python float
        numbers = values.tolist()
    elif values.dtype.itemsize < 8:  # noqa: PLR2004
        numbers = [float(text) for text in values.astype(str).tolist()]
    else:
        numbers = [None if value != value else Decimal(str(value)) for value in values]  # noqa: PLR0124 - NaN
    return [None if number != number else number for number in numbers]  # noqa: PLR0124 - NaN


def _moments(column: pd.Series[Any]) -> list[object]:
    moments: Any = column.array
    nulls = column.isna().tolist()
    return [None if null else moment for moment, null in zip(moments.to_pydatetime(), nulls, strict=True)]


def _arrow_cells(array: pa.ChunkedArray | pa.Array) -> list[object]:
    import pyarrow as pa

    kind = array.type
    if pa.types.is_dictionary(kind):
        return _arrow_cells(array.cast(kind.value_type))
    if pa.types.is_floating(kind):
        return _floats(_numpy_of(array))
    if pa.types.is_timestamp(kind):
        return _moments(array.to_pandas())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return [None if not item.is_valid else _list_cell(_arrow_cells(item.values)) for item in array]
    values: list[object] = array.to_pylist()
    return values if _exact_plain(values) else [_cell(value) for value in values]


def _numpy_of(array: pa.ChunkedArray | pa.Array) -> np.ndarray:
    import pyarrow as pa

    values: np.ndarray = array.to_numpy(**({} if isinstance(array, pa.ChunkedArray) else {"zero_copy_only": False}))
    return values


def _cell(value: Any) -> object:  # noqa: ANN401, C901, PLR0911 - one branch per type
    """One cell of an object column."""
    import numpy as np
    import pandas as pd

    if value is None or value is pd.NA or value is pd.NaT or isinstance(value, (_Mark, _Refused)):
        return None if value is pd.NA or value is pd.NaT else value
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (str, uuid.UUID)):
        return str.__str__(value) if isinstance(value, str) else str(value)
    if isinstance(value, Decimal):
        return None if value.is_nan() else value
    if isinstance(value, (np.datetime64, pd.Timestamp)):
        return _timestamp(value)
    if isinstance(value, (dt.date, dt.datetime)):
        return value
    if isinstance(value, np.floating):
        return _floats(np.array([value]))[0]
    if isinstance(value, (int, np.integer)) and not isinstance(value, np.timedelta64):
        return int(value)
    if isinstance(value, float):
        return None if value != value else float(value)  # noqa: PLR0124 - NaN
    if isinstance(value, np.ndarray):
        return _list_cell([_cell(item) for item in value]) if value.ndim else _cell(value[()])
    if type(value) in (list, tuple):
        return _list_cell([_cell(item) for item in value])
    if isinstance(value, (set, frozenset)):
        return _list_cell(sorted((_cell(item) for item in value), key=str))
    return _Refused("TYPE", f"the row has a {type(value).__name__}")


def _timestamp(value: np.datetime64 | pd.Timestamp) -> object:
    import numpy as np
    import pandas as pd

    if isinstance(value, np.datetime64):
        if np.isnat(value):
            return None
        if np.datetime_data(value.dtype)[0] == "D":
            date = value.item()
            return date if isinstance(date, dt.date) else _Refused("TYPE", "the row has a date out of the calendar")
    try:
        return pd.Timestamp(value).to_pydatetime(warn=False)
    except (OverflowError, ValueError):
        return _Refused("TYPE", "the row has a point in time out of the calendar")


def _list_cell(items: list[object]) -> object:
    if any(item is None for item in items):
        return _Refused("NULL", "the row has a list with an empty (null) value in it; leave those out of the list")
    refused = next((item for item in items if isinstance(item, _Refused)), None)
    if refused:
        return _Refused(refused.code, f"{refused.text} in a list")
    if any(isinstance(item, list) for item in items):
        return _Refused("LIST", "the row has a list of lists")
    return items


# --- sources ---------------------------------------------------------------------------------------------------------


class _ObjectPath(Protocol):
    """What is needed of a path: `pathlib.Path` and Airflow's `ObjectStoragePath` have it."""

    @property
    def name(self) -> str: ...

    def open(self, mode: str) -> IO[Any]: ...


_Reader: TypeAlias = Callable[[Any, int], "Iterator[pd.DataFrame]"]

_TAKEN = (
    "a pandas DataFrame, a list of dicts, or a path (str or ObjectStoragePath) to "
    ".parquet, .pq, .csv, .jsonl, .ndjson, .csv.gz, .jsonl.gz or .ndjson.gz"
)


def frames(data: object, *, chunk_rows: int = 10_000) -> Iterator[pd.DataFrame]:
    """Cut the data into frames of at most `chunk_rows` rows; files are read piece by piece, never whole.

    Text of a CSV stays text ("NA", "007"), only an empty cell is null; numbers of JSON and Parquet keep all digits.
    A key that a dict or JSON line lacks is no null: "clear" leaves such a field alone. In JSON lines a key counts as a
    column from the chunk on in which it first occurs, so each mapped key has to occur in the first chunk.

    Args:
        data: A DataFrame, a list of dicts, or a path to a Parquet, CSV or JSON lines file, on disk or, with a scheme
            such as `s3://`, on any object store that `airflow.sdk.ObjectStoragePath` opens.
        chunk_rows: The most rows of one frame.

    Returns:
        The frames in order. A source without rows gives one frame without rows where it tells its columns, else none.

    Raises:
        ConfigurationError: For other types and suffixes at once; for a missing or broken file when it is read.
    """
    if chunk_rows < 1:
        msg = f"chunk_rows is {chunk_rows}; write at least 1."
        raise ConfigurationError(msg)
    if isinstance(data, (list, tuple)):
        return _from_dicts(data, chunk_rows)
    if isinstance(data, str) or _is_path(data):
        return _from_path(data, chunk_rows)
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return _slices(data, chunk_rows)
    msg = f"data is a {type(data).__name__}; pass {_TAKEN}."
    raise ConfigurationError(msg)


def _is_path(data: object) -> TypeGuard[_ObjectPath]:
    return isinstance(getattr(data, "name", None), str) and callable(getattr(data, "open", None))


def _slices(frame: pd.DataFrame, chunk_rows: int) -> Iterator[pd.DataFrame]:
    for start in range(0, max(len(frame), 1), chunk_rows):
        yield frame.iloc[start : start + chunk_rows]


def _from_dicts(rows: Sequence[object], chunk_rows: int) -> Iterator[pd.DataFrame]:
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            msg = f"data is a list whose item {index} is a {type(row).__name__}; pass {_TAKEN}."
            raise ConfigurationError(msg)
    keys = dict.fromkeys(key for row in rows for key in row)  # type: ignore[attr-defined]
    return (_frame_of_dicts(rows[start : start + chunk_rows], keys) for start in range(0, len(rows), chunk_rows))


def _frame_of_dicts(rows: Sequence[Any], keys: Mapping[str, None]) -> pd.DataFrame:
    return _frame({key: [row.get(key, _Mark.ABSENT) for row in rows] for key in keys}, len(rows))


def frame_of_rows(names: Sequence[str], rows: Sequence[Sequence[object]]) -> pd.DataFrame:
    """A frame of what a database cursor gave, every value as it came.

    Args:
        names: Name of each column; a name may occur twice as long as it is not used.
        rows: One sequence of values per row.
    """
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    frame = _frame(dict(enumerate(map(list, columns))), len(rows))
    frame.columns = list(names)
    return frame


def _frame(columns: Mapping[Any, list[Any]], rows: int) -> pd.DataFrame:
    """A frame of objects: pandas would guess types, and lose digits."""
    import pandas as pd

    return pd.DataFrame({key: pd.Series(cells, dtype=object) for key, cells in columns.items()}, index=range(rows))


def _from_path(data: str | _ObjectPath, chunk_rows: int) -> Iterator[pd.DataFrame]:
    name = data if isinstance(data, str) else data.name
    if name.lstrip().startswith(("[", "{")):
        msg = (
            "data is text that looks like rows, not a path: templates render to text. Pass the task's output as an "
            f"XComArg, or set render_template_as_native_obj=True on the DAG. Taken are {_TAKEN}."
        )
        raise ConfigurationError(msg)
    suffixes = PurePosixPath(name.casefold().replace("\\", "/")).suffixes
    packed = suffixes[-1:] == [".gz"]
    suffix = "".join(suffixes[-2:-1] if packed else suffixes[-1:])
    read = _FORMATS.get(suffix)
    if read is None or (packed and read is _from_parquet):
        msg = f"data is the path {str(data)!r}; pass {_TAKEN}."
        raise ConfigurationError(msg)
    return _from_file(data, read, chunk_rows, packed=packed)


def _from_file(data: str | _ObjectPath, read: _Reader, chunk_rows: int, *, packed: bool) -> Iterator[pd.DataFrame]:
    try:
        with _path(data).open("rb") as raw, gzip.open(raw) if packed else nullcontext(raw) as plain:
            yield from read(plain, chunk_rows)
    except FileNotFoundError as err:
        msg = f"There is no file {str(data)!r}."
        raise ConfigurationError(msg) from err
    except (IsADirectoryError, NotADirectoryError, PermissionError) as err:
        msg = f"{str(data)!r} cannot be opened: {err.strerror}."
        raise ConfigurationError(msg) from err
    except (ValueError, csv.Error, gzip.BadGzipFile, zlib.error, EOFError) as err:  # pyarrow's are ValueErrors too
        msg = f"{str(data)!r} cannot be read: {err}"
        raise ConfigurationError(msg) from err


def _path(data: str | _ObjectPath) -> _ObjectPath:
    if not isinstance(data, str):
        return data
    if "://" not in data:
        return Path(data)
    from airflow.sdk import ObjectStoragePath

    path: _ObjectPath = ObjectStoragePath(data)
    return path


def _from_parquet(raw: IO[bytes], chunk_rows: int) -> Iterator[pd.DataFrame]:
    """Arrow types throughout: a nullable int64 would become a float. The pandas metadata would hide index columns."""
    import pandas as pd
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    file = pq.ParquetFile(raw)
    batch: pa.RecordBatch | pa.Table | None = None
    for batch in file.iter_batches(chunk_rows):
        yield batch.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
    if batch is None:
        yield file.schema_arrow.empty_table().to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)


def _from_csv(raw: IO[bytes], chunk_rows: int) -> Iterator[pd.DataFrame]:
    """By the csv module: pandas fills rows that are too short, and shifts columns where rows are too long."""
    with io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, strict=True)
        header = next((row for row in reader if row), None)
        if header is None:
            msg = "it is empty; the first line of a CSV file names its columns."
            raise ValueError(msg)
        rows = _csv_rows(reader, len(header))
        chunk = list(islice(rows, chunk_rows))
        yield frame_of_rows(header, chunk)
        while chunk := list(islice(rows, chunk_rows)):
            yield frame_of_rows(header, chunk)


def _csv_rows(reader: Any, width: int) -> Iterator[list[str | None]]:  # noqa: ANN401 - the csv module does not export its type
    for row in reader:
        if len(row) == width:
            yield [cell or None for cell in row]
        elif row:
            msg = f"line {reader.line_num} has {len(row)} cells, the header has {width}."
            raise ValueError(msg)


def _from_json_lines(raw: IO[bytes], chunk_rows: int) -> Iterator[pd.DataFrame]:
    keys: dict[str, None] = {}
    with io.TextIOWrapper(raw, encoding="utf-8-sig", newline="\n") as lines:
        rows = _json_rows(lines)
        while chunk := list(islice(rows, chunk_rows)):
            keys.update(dict.fromkeys(key for row in chunk for key in row))
            yield _frame_of_dicts(chunk, keys)


def _json_rows(lines: IO[str]) -> Iterator[dict[str, object]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_float=Decimal)
        except (ValueError, ArithmeticError, RecursionError) as err:
            msg = f"line {number} is not JSON: {err}."
            raise ValueError(msg) from err
        if not isinstance(row, dict):
            msg = f"line {number} is a JSON {type(row).__name__}, not an object (one pair of braces per line)."
            raise ValueError(msg)  # noqa: TRY004 - about the file, like the other
        yield row


_FORMATS: Mapping[str, _Reader] = {
    ".parquet": _from_parquet,
    ".pq": _from_parquet,
    ".csv": _from_csv,
    ".jsonl": _from_json_lines,
    ".ndjson": _from_json_lines,
}
