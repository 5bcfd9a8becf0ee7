"""Claims about data times: instants in UTC, or refused."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from airflow_provider_crm.rows import ColumnRules, FrameReader
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Outcome, Update

from .reading import CATALOGUE, DAY, LATE, NAIVE, NEW_YORK, RUN, ZONED, arrow

AS_OF_COLUMNS: dict[str, tuple[Any, ValueRules, list[dt.datetime | str]]] = {
    "aware": (pd.Series([LATE.astimezone(NEW_YORK)]), ValueRules(), [LATE]),
    "aware text": (pd.Series(["2026-03-02T04:30:00Z"]), ValueRules(), [LATE]),
    "naive": (pd.Series([NAIVE]), ZONED, [LATE]),
    "naive without zone": (pd.Series([NAIVE]), ValueRules(), ["column 'at': as_of has no offset; pass timezone="]),
    "date": (pd.Series([DAY], dtype=object), ZONED, [dt.datetime(2026, 3, 1, 5, tzinfo=dt.UTC)]),
    "date text": (pd.Series(["2026-03-01"]), ZONED, [dt.datetime(2026, 3, 1, 5, tzinfo=dt.UTC)]),
    "date without zone": (
        arrow([DAY], pa.date32()),
        ValueRules(),
        ["column 'at': as_of has no offset; pass timezone="],
    ),
    "null": (pd.Series([pd.NaT]), ZONED, ["column 'at': the data time is empty (null); fill it, or leave as_of out."]),
    "number": (pd.Series([5]), ZONED, ["column 'at': as_of takes a point in time (ISO"]),
    "infinity": (
        pd.Series([dt.date.max, dt.date.min, dt.datetime.max, pd.Timestamp.min, "infinity", np.inf, ""], dtype=object),  # noqa: DTZ901
        ZONED,
        [
            "column 'at': as_of takes dates of the years 1900 to 2200 (infinity is no date), the row has '9999-12-31",
            "column 'at': as_of takes dates of the years 1900 to 2200 (infinity is no date), the row has '0001-01-01",
            "column 'at': as_of takes dates of the years 1900 to 2200 (infinity is no date), the row has '9999-12-31",
            "column 'at': as_of takes dates of the years 1900 to 2200 (infinity is no date), the row has '1677-09-21",
            "column 'at': as_of takes a point in time (ISO, such as 2026-03-01), the row has 'infinity'.",
            "column 'at': as_of takes a point in time (ISO, such as 2026-03-01), the row has 'inf'.",
            "column 'at': the data time is empty (null); fill it, or leave as_of out.",
        ],
    ),
    "list": (pd.Series([{}]), ZONED, ["column 'at': as_of takes a point in time, the row has a dict."]),
    "end of the calendar": (
        pd.Series(["9999-12-31T23:59:59-05:00"]),
        ZONED,
        ["column 'at': as_of takes dates of the years 1900 to 2200 (infinity is no date), the row has '9999-12-31T2"],
    ),
    "twice": (pd.Series([dt.datetime(2026, 11, 1, 1, 30)]), ZONED, ["column 'at': as_of happens twice or never"]),  # noqa: DTZ001
    "both folds": (
        pd.Series([dt.datetime(2026, 11, 1, 1, 30, tzinfo=NEW_YORK, fold=fold) for fold in (0, 1)], dtype=object),
        ZONED,
        [dt.datetime(2026, 11, 1, hour, 30, tzinfo=dt.UTC) for hour in (5, 6)],
    ),
}


@pytest.mark.parametrize("name", AS_OF_COLUMNS)
def test_data_times_are_instants_in_utc(name: str) -> None:
    """A column gives the data time of each row as an instant that orders rightly; unclear times are refused."""
    values, rules, expected = AS_OF_COLUMNS[name]
    frame = pd.DataFrame({"id": [f"o{row}" for row in range(len(values))], "n": "x", "at": values})
    reader = FrameReader(ColumnRules("id", {"n": "notes"}, as_of="at", values=rules), CATALOGUE, RUN)
    for row, wanted in zip(reader.read(frame), expected, strict=True):
        if isinstance(wanted, str):
            assert isinstance(row, Outcome)
            assert row.code == "AS_OF"
            assert row.reason.startswith(wanted)
        else:
            assert isinstance(row, Update)
            assert row.as_of == wanted
            assert row.as_of.tzinfo is dt.UTC
