"""Read columns: fit each distinct value once, and put rows together from the columns that are mapped to fields."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.rows.cells import Mark, RefusedCell, cells_of
from airflow_provider_crm.rows.problems import Problems, RowProblem
from airflow_provider_crm.values.conversion import COLUMN_KINDS, ValueRules
from airflow_provider_crm.values.opportunity import Field, FieldValue, Row, SourceValue
from airflow_provider_crm.values.source_values import SourceCell, source_values

if TYPE_CHECKING:
    import pandas as pd

    from airflow_provider_crm.rows.null_texts import NullTexts
    from airflow_provider_crm.rows.rules import ColumnRules

# Equal values of these types are the same value, also written as text; datetimes of two zones or folds are not.
_CACHEABLE = frozenset({str, int, float, dt.date, type(None)})
_FLAGS = frozenset({bool, type(None)})  # apart from numbers: True equals 1
# Datetimes of one column that are equal in every way are one object, see `cells_of`.
_MOMENTS = frozenset({dt.datetime, type(None)})


class FieldColumns:
    """The columns that are mapped to fields.

    Args:
        rules: The mapping and its rules.
        fields: Each mapped field by its column.
        null_texts: Texts that are missing values.
    """

    def __init__(self, rules: ColumnRules, fields: Mapping[str, Field], null_texts: NullTexts) -> None:
        self._rules = rules
        self._values = rules.values  # noqa: PD011 - not pandas' attribute
        self._fields = fields
        self._null_texts = null_texts

    def rows(self, part: pd.DataFrame, problems: Problems) -> Iterable[Mapping[str, FieldValue]]:
        """Return the values of each row by field name, without fields that are left alone.

        Args:
            part: Some rows.
            problems: Gets the problems of each row.
        """
        columns: dict[str, list[Any]] = {}
        skipping = []
        for column, field in self._fields.items():
            cells = self._null_texts.cells(column, part[column])
            columns[field.name], skips = self._column(column, cells, problems)
            if skips:
                skipping.append(field.name)
        if skipping:
            return _without_skipped(columns, skipping, len(part))
        return map(Row, repeat(columns), range(len(part)))

    def source_values(self, part: pd.DataFrame, problems: Problems) -> Mapping[int, tuple[SourceValue, ...]]:
        """Return the values of the refused rows as the source has them, by their index.

        Args:
            part: Some rows.
            problems: The problems of each refused row.
        """
        refused = sorted(problems)
        rows = part.iloc[refused]
        columns = [(field, cells_of(rows[column])) for column, field in self._fields.items()]
        return {
            index: source_values(
                [SourceCell(field, _seen(cells[row])) for field, cells in columns if cells[row] is not Mark.ABSENT],
                {problem.field for problem in problems[index]},
            )
            for row, index in enumerate(refused)
        }

    def _column(self, column: str, cells: list[object], problems: Problems) -> tuple[list[Any], bool]:
        field = self._fields[column]
        prefix = "" if column == field.name else f"column {column!r}: "
        rule = self._rules.null_rule(column)

        def value(cell: object) -> FieldValue | Mark | RowProblem:
            if cell is None or cell is Mark.ABSENT:
                return _null(field, prefix, column, "skip" if cell is Mark.ABSENT and rule == "clear" else rule)
            fitted: FieldValue | RowProblem = fit_value(self._values, field, prefix, cell)
            if isinstance(fitted, tuple) and field.multiple and self._null_texts.among(fitted):
                text = "takes a list without empty (null) values; leave those out"
                return RowProblem("NULL", f"{prefix}{field.name} {text}, or pass other null_values.", field.name)
            return fitted

        whole = self._whole_column(field, cells, value)
        return fit_cells(cells, value, problems) if whole is None else whole

    def _whole_column(
        self, field: Field, cells: Sequence[object], value: Callable[[object], FieldValue | Mark | RowProblem]
    ) -> tuple[list[Any], bool] | None:
        """Return the value of every cell where the rules convert a whole column in less time than cell by cell."""
        if field.kind not in COLUMN_KINDS:
            return None
        present = [cell for cell in cells if cell is not None]
        values = self._values.values(field, present) if present else None
        if values is None or len(values) == len(cells):
            return None if values is None else (values, False)
        null, rest = value(None), iter(values)
        if isinstance(null, RowProblem):
            return None
        return [null if cell is None else next(rest) for cell in cells], null is Mark.SKIP


def _seen(cell: object) -> object:
    """Return a cell as a person sees it: of one that cannot be read, what it is."""
    return cell.text.removeprefix("the row has ") if isinstance(cell, RefusedCell) else cell


def _null(field: Field, prefix: str, column: str, rule: str) -> FieldValue | Mark | RowProblem:
    if rule == "skip":
        return Mark.SKIP
    hint = f"fill it, or pass nulls={{{column!r}: 'skip'}} to leave the field alone."
    if rule == "error":
        return RowProblem("NULL", f"{prefix}{field.name} is empty (null), and nulls is 'error'; {hint}", field.name)
    if not field.clearable:
        reason = f"{prefix}{field.name} is empty (null), and cannot be cleared; {hint}"
        return RowProblem("NOT_CLEARABLE", reason, field.name)
    return None


def _without_skipped(columns: Mapping[str, list[Any]], skipping: Sequence[str], rows: int) -> list[Row[FieldValue]]:
    """Return rows without the values to be left alone; rows that lack the same fields share their columns."""
    left_out = zip(*([value is Mark.SKIP for value in columns[name]] for name in skipping), strict=True)
    shapes: dict[tuple[bool, ...], Mapping[str, list[Any]]] = {}
    rows_of_shapes = []
    for index, shape in zip(range(rows), left_out, strict=True):
        if shape not in shapes:
            skipped = {name for name, skip in zip(skipping, shape, strict=True) if skip}
            shapes[shape] = {name: values for name, values in columns.items() if name not in skipped}
        rows_of_shapes.append(Row(shapes[shape], index))
    return rows_of_shapes


def fit_cells(cells: list[object], fit: Callable[[object], Any], problems: Problems) -> tuple[list[Any], bool]:
    """Fit every cell, once per distinct one where that is safe, and note the problems.

    Args:
        cells: The cells of one column.
        fit: Returns the value of a cell, or a `RowProblem`.
        problems: Gets the problems of each row.

    Returns:
        The values, and whether some of them are `Mark.SKIP`.
    """
    types = set(map(type, cells))
    keys: Sequence[Any] = range(len(cells))
    if (types <= _CACHEABLE and not types >= {int, float}) or types <= _FLAGS:  # 2**60 equals 2.0**60, reads otherwise
        keys = cells
    elif types <= _MOMENTS:
        keys = list(map(id, cells))
    known = {key: fit(cell) for key, cell in dict(zip(keys, cells, strict=True)).items()}
    values, fitted_types = list(map(known.__getitem__, keys)), set(map(type, known.values()))
    if RowProblem in fitted_types:
        for index, value in enumerate(values):
            if type(value) is RowProblem:
                problems.setdefault(index, []).append(value)
    return values, Mark in fitted_types


def fit_value(rules: ValueRules, field: Field, prefix: str, cell: object) -> Any:  # noqa: ANN401 - of the field's kind
    """Return the value of one cell for a field, or a `RowProblem` whose reason begins with the prefix."""
    if isinstance(cell, RefusedCell):
        return RowProblem(cell.code, f"{prefix}{field.name} takes {field.kind.value}, {cell.text}.", field.name)
    try:
        return rules.value(field, cell)
    except InvalidValueError as err:
        return RowProblem(err.code, f"{prefix}{err}", field.name)
