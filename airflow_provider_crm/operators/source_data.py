"""Read rows from an operator's argument, by the same code in every operator, and hide their values from Airflow.

Airflow stores each rendered template field in its database and shows it in the UI. `data` is a template field, so that
it can be the output of another task. Airflow stores a summary of the rows, without their values.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2
    import pandas as pd
    from airflow.sdk import Context


_COLUMNS_SHOWN = 50
_ROWS_LOOKED_AT = 1_000
_NAME_LENGTH = 60
_RENDERED_BY_AIRFLOW = (str, list, tuple, dict, set)


class SourceData:
    """Rows that print and serialize as a summary of them.

    Args:
        value: A frame, a list of dicts, or anything else that `frames` reads.

    Attributes:
        value: The same.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:  # noqa: ANN401 - any type of rows
        self.value = value

    def __repr__(self) -> str:
        return summary(self.value)

    def serialize(self) -> str:
        """Return the summary, which Airflow stores instead of the rows."""
        return summary(self.value)


def summary(value: Any) -> str:  # noqa: ANN401 - any type of rows
    """Summarise rows without their values: `DataFrame, 3,293 rows, columns: id, arr`."""
    from airflow_provider_crm.rows import row_count  # a DAG file without rows does not pay for it

    parts = [type(value).__name__]
    if isinstance(value, str):
        return f"text of {len(value):,} characters that looks like rows"
    rows = row_count(value)
    if rows is not None:
        parts.append(f"{rows:,} row{'' if rows == 1 else 's'}")
    columns = _column_names(value)
    if columns:
        shown = [name if len(name) <= _NAME_LENGTH else f"{name[:_NAME_LENGTH]}…" for name in columns[:_COLUMNS_SHOWN]]
        more = f" and {len(columns) - _COLUMNS_SHOWN} more" if len(columns) > _COLUMNS_SHOWN else ""
        parts.append(f"columns: {', '.join(shown)}{more}")
    return ", ".join(parts)


def as_source_data(value: Any, *, rendered: bool) -> Any:  # noqa: ANN401 - as given
    """Return rows as `SourceData`; paths, templates and references to other tasks as they are.

    Args:
        value: The argument `data`.
        rendered: Whether Airflow has rendered it; until then, Airflow has to find templates in text and containers.
    """
    if value is None or isinstance(value, (SourceData, os.PathLike)):
        return value
    if isinstance(value, str):
        return SourceData(value) if rendered and value.lstrip().startswith(("[", "{")) else value
    is_reference = callable(getattr(type(value), "resolve", None))  # of the type: a frame's may be a column
    if is_reference or callable(value) or (not rendered and isinstance(value, _RENDERED_BY_AIRFLOW)):
        return value
    return SourceData(value)


class DataRows:
    """A mixin of `OpportunityOperator` that reads the rows from its argument `data`, a template field."""

    data: Any

    def frames(self, context: Context) -> Iterator[pd.DataFrame]:  # noqa: ARG002 - part of the interface
        """Return the data, chunk by chunk; a text with a scheme is a path on an object store.

        Raises:
            ConfigurationError: The data cannot be read.
        """
        from airflow.sdk.execution_time.lazy_sequence import LazyXComSequence

        from airflow_provider_crm.rows import frames
        from airflow_provider_crm.sync.object_files import object_path

        rows = self._rows()
        if isinstance(rows, LazyXComSequence):
            rows = rows[:]  # one call for all outputs of the mapped task; the iterator makes one call for each
        is_url = isinstance(rows, str) and "://" in rows and not rows.lstrip().startswith(("[", "{"))
        return frames(object_path(rows) if is_url else rows)

    def is_in_memory(self) -> bool:
        """Return whether the data is a list or a frame, and no path or iterator."""
        from airflow_provider_crm.rows import is_in_memory

        return is_in_memory(self._rows())

    def total_rows(self) -> int | None:
        """Return the number of rows of a frame or a list; that of a file is not known."""
        from airflow_provider_crm.rows import row_count

        return row_count(self._rows())

    def _rows(self) -> Any:  # noqa: ANN401 - any type of rows
        return self.data.value if isinstance(self.data, SourceData) else self.data

    def _do_render_template_fields(
        self,
        parent: Any,  # noqa: ANN401 - Airflow's
        template_fields: Iterable[str],
        context: Context,
        jinja_env: jinja2.Environment,
        seen_oids: set[int],
    ) -> None:
        """Render as Airflow does, then wrap the rows, so that Airflow stores and shows their summary."""
        super()._do_render_template_fields(  # type: ignore[misc]  # of the operator that this is mixed into
            parent, template_fields, context, jinja_env, seen_oids
        )
        if parent is self:
            self.data = as_source_data(self.data, rendered=True)


def _column_names(value: Any) -> list[str]:  # noqa: ANN401 - any type of rows
    """Return the names of the columns; those of a list are the keys of its first rows."""
    if isinstance(value, (list, tuple)):
        first = [row for row in islice(value, _ROWS_LOOKED_AT) if isinstance(row, Mapping)]
        return list(dict.fromkeys(str(key) for row in first for key in row))
    names = getattr(value, "column_names", None)  # of Arrow, whose columns are the values
    return [str(name) for name in (getattr(value, "columns", ()) if names is None else names)]
