"""Fit the cells of a column, once for each distinct value."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.rows.cells import Mark, RefusedCell
from airflow_provider_crm.rows.problems import Problem, Problems
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Field

# Equal values of these types are the same value, also written as text; datetimes of two zones or folds are not.
_CACHEABLE = frozenset({str, int, float, dt.date, type(None)})
# Datetimes of one column that are equal in every way are one object, see `cells_of`.
_MOMENTS = frozenset({dt.datetime, type(None)})


class FittedColumn(NamedTuple):
    """The values of one column, and whether some of them are `Mark.SKIP`."""

    values: list[Any]
    skips: bool = False


def fit_cells(cells: list[object], fit: Callable[[object], Any], problems: Problems) -> FittedColumn:
    """Fit every cell, once per distinct one where that is safe, and note the problems.

    Args:
        cells: The cells of one column.
        fit: Returns the value of a cell, or a `Problem`.
        problems: Gets the problems of each row.
    """
    types = set(map(type, cells))
    keys: Sequence[Any] = range(len(cells))
    if types <= _CACHEABLE and not types >= {int, float}:  # 2**60 equals 2.0**60, and reads otherwise
        keys = cells
    elif types <= _MOMENTS:
        keys = list(map(id, cells))
    known = {key: fit(cell) for key, cell in dict(zip(keys, cells, strict=True)).items()}
    values, fitted_types = list(map(known.__getitem__, keys)), set(map(type, known.values()))
    if Problem in fitted_types:
        for index, value in enumerate(values):
            if type(value) is Problem:
                problems.setdefault(index, []).append(value)
    return FittedColumn(values, Mark in fitted_types)


def fit_value(rules: ValueRules, field: Field, prefix: str, cell: object) -> Any:  # noqa: ANN401 - of the field's kind
    """Return the value of one cell for a field, or a `Problem` whose reason begins with the prefix."""
    if isinstance(cell, RefusedCell):
        return Problem(cell.code, f"{prefix}{field.name} takes {field.kind.value}, {cell.text}.")
    try:
        return rules.value(field, cell)
    except InvalidValueError as err:
        return Problem(err.code, f"{prefix}{err}")
