"""Write refused rows as a CSV file without formulas for spreadsheets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from airflow_provider_crm.ui.csv_file import csv_file
from airflow_provider_crm.values.opportunity import OutcomeKind, OutcomeWord

if TYPE_CHECKING:
    from airflow_provider_crm.queries.changes import RefusedRow
    from airflow_provider_crm.queries.values import Values

COLUMNS = ("record_id", "name", "outcome", "code", "reason", "fields", "source_values")
_REFUSALS = frozenset(word.value for word in OutcomeWord if word.kind is OutcomeKind.PERMANENT)


def refused_file(rows: Iterable[RefusedRow], values: Values) -> Iterator[str]:
    """Yield the file of one run, some kilobytes at a time."""
    return csv_file(COLUMNS, (_cells(row, values) for row in rows))


def refused_in_runs(
    parts: Iterable[tuple[str, dt.datetime, Iterable[RefusedRow]]],
    values: Values,
    *,
    outcome: OutcomeWord | None = None,
    account: str | None = None,
) -> Iterator[str]:
    """Yield the file of several runs, some kilobytes at a time.

    Args:
        parts: Key and start of each run, and its rows that did not land.
        values: Shows values of the source.
        outcome: The outcome of the wanted rows; default: all refusals, but no row that met an outage.
        account: Their account; default: any.
    """
    words = _REFUSALS if outcome is None else {outcome.value}
    cells = (
        (started_at.astimezone(dt.UTC).isoformat(timespec="seconds"), row.account, key, *_cells(row, values))
        for key, started_at, rows in parts
        for row in rows
        if row.outcome in words and account in (None, row.account)
    )
    return csv_file(("started_at", "account", "run", *COLUMNS), cells)


def _cells(row: RefusedRow, values: Values) -> tuple[str, ...]:
    source = (f"{one.field}: {values.source(row.account, one).text}" for one in row.values.source)
    return row.record_id, row.name, row.outcome, row.code, row.reason, " ".join(row.fields), "; ".join(source)
