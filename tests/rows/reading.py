"""Read frames of a few fields, and say what becomes of each cell."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.rows import ColumnRules, FrameReader
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Field, Kind, Outcome, Update

CATALOGUE = {
    field.name: field
    for field in (
        Field("deal_value", "value", Kind.MONEY),
        Field("deal_currency", "value_currency", Kind.CURRENCY, clearable=False),
        Field("stage", "status_id", Kind.STAGE, clearable=False),
        Field("date_won", "date_won", Kind.DATE),
        Field("notes", "note"),
        Field("phone", "phone", personal=True),
        Field("number", "number", Kind.NUMBER),
        Field("whole", "whole", Kind.INTEGER),
        Field("moment", "moment", Kind.DATETIME),
        Field("flag", "flag", Kind.BOOLEAN),
        Field("tags", "tags", multiple=True),
        Field("numbers", "numbers", Kind.NUMBER, multiple=True),
    )
}


RUN = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
NEW_YORK = ZoneInfo("America/New_York")
ZONED = ValueRules(timezone="America/New_York")
SKIPPED = object()
INVALID = object()
properties = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def read(
    *chunks: pd.DataFrame, fields: dict[str, str], as_of: dt.datetime | None = RUN, **rules: Any
) -> list[Update | Outcome]:
    """Read chunks by one reader."""
    reader = FrameReader(ColumnRules("id", fields, **rules), CATALOGUE, as_of)
    return [row for chunk in chunks for row in reader.read(chunk)]


def column(cells: Any, field: str, **rules: Any) -> list[object]:
    """Return the result for each cell of one column: its value, SKIPPED or INVALID."""
    series = cells if isinstance(cells, pd.Series) else pd.Series(cells)
    frame = pd.DataFrame({"id": [f"o{row}" for row in range(len(series))]})
    frame["cell"] = series.reset_index(drop=True)
    rows = read(frame, fields={"cell": field}, **rules)
    assert [row.row for row in rows] == list(range(len(series)))
    return [row.fields.get(field, SKIPPED) if isinstance(row, Update) else INVALID for row in rows]


def only(value: object, field: str = "notes", **rules: Any) -> Update | Outcome:
    """Return the update or outcome of one cell of an object column."""
    frame = pd.DataFrame({"id": ["o1"], "cell": pd.Series([value], dtype=object)})
    return read(frame, fields={"cell": field}, **rules)[0]


def ids(values: Any) -> list[tuple[str, str]]:
    """Return record id and code (empty for an update) of each cell of an id column."""
    frame = pd.DataFrame({"id": values, "n": "x"})
    rows = read(frame, fields={"n": "notes"})
    return [(row.record_id, row.code if isinstance(row, Outcome) else "") for row in rows]


def arrow(values: Sequence[object], kind: pa.DataType) -> pd.Series[Any]:
    """Return an Arrow-backed column."""
    return pd.Series(pd.array(pa.array(values, kind), dtype=pd.ArrowDtype(kind)))


def error(call: Any, *args: Any, **kwargs: Any) -> str:
    """Return the message of the ConfigurationError that a call raises."""
    with pytest.raises(ConfigurationError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


D = Decimal


class Color(enum.StrEnum):
    """A text of another class."""

    RED = "red"


DAY = dt.date(2026, 3, 1)
NAIVE = dt.datetime(2026, 3, 1, 23, 30)  # noqa: DTZ001
LATE = dt.datetime(2026, 3, 2, 4, 30, tzinfo=dt.UTC)  # 23:30 of the day before, in New York
INT64 = st.integers(-(2**63), 2**63 - 1)
