"""Write refused rows as a CSV file without formulas for spreadsheets."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from airflow_provider_crm.values.opportunity import OutcomeKind, OutcomeWord

if TYPE_CHECKING:
    from airflow_provider_crm.queries.changes import RefusedRow

COLUMNS = ("record_id", "outcome", "code", "reason", "fields")
_REFUSALS = frozenset(word.value for word in OutcomeWord if word.kind is OutcomeKind.PERMANENT)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", *"\uff1d\uff0b\uff0d\uff20")


def refused_file(rows: Iterable[RefusedRow]) -> Iterator[str]:
    """Yield the file of one run, some kilobytes at a time."""
    return csv_file(COLUMNS, map(_cells, rows))


def refused_in_runs(
    parts: Iterable[tuple[str, dt.datetime, Iterable[RefusedRow]]],
    *,
    outcome: OutcomeWord | None = None,
    account: str | None = None,
) -> Iterator[str]:
    """Yield the file of several runs, some kilobytes at a time.

    Args:
        parts: Key and start of each run, and its rows that did not land.
        outcome: The outcome of the wanted rows; default: all refusals, but no row that met an outage.
        account: Their account; default: any.
    """
    words = _REFUSALS if outcome is None else {outcome.value}
    cells = (
        (started_at.astimezone(dt.UTC).isoformat(timespec="seconds"), row.account, key, *_cells(row))
        for key, started_at, rows in parts
        for row in rows
        if row.outcome in words and account in (None, row.account)
    )
    return csv_file(("started_at", "account", "run", *COLUMNS), cells)


def _cells(row: RefusedRow) -> tuple[str, ...]:
    return row.record_id, row.outcome, row.code, row.reason, " ".join(row.fields)


def csv_file(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a file, some kilobytes at a time.

    A cell that a spreadsheet could run gets an apostrophe in front, as OWASP advises ("CSV Injection"), and each is in
    quotes: some programs read semicolons and tabs as separators, and would begin a new cell behind one.
    """
    text = io.StringIO()
    table = csv.writer(text, quoting=csv.QUOTE_ALL)
    table.writerow(columns)
    for row in rows:
        table.writerow(map(_harmless, row))
        if text.tell() > io.DEFAULT_BUFFER_SIZE:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
