"""Write the fields that a run has written, or a plan is to write, as a CSV file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from airflow_provider_crm.ui.csv_file import csv_file

if TYPE_CHECKING:
    from airflow_provider_crm.queries.changes import Change
    from airflow_provider_crm.queries.plans import PlannedField
    from airflow_provider_crm.queries.values import Values

WRITTEN_COLUMNS = ("record_id", "field", "vendor_field", "before", "after", "difference", "at")
PLAN_COLUMNS = ("record_id", "field", "vendor_field", "before", "after", "difference", "verdict", "code", "reason")


def written_file(changes: Iterable[Change], values: Values) -> Iterator[str]:
    """Yield the file of written fields, some kilobytes at a time."""
    rows = (
        (
            change.record_id,
            *_value_cells(values, change.account, change.field, change.before, change.after),
            change.at.isoformat(timespec="seconds"),
        )
        for change in changes
    )
    return csv_file(WRITTEN_COLUMNS, rows)


def plan_file(fields: Iterable[PlannedField], account: str, values: Values) -> Iterator[str]:
    """Yield the file of a plan, some kilobytes at a time."""
    rows = (
        (
            one.record_id,
            *_value_cells(values, account, one.field, one.before, one.after),
            one.verdict,
            one.code,
            one.reason,
        )
        for one in fields
    )
    return csv_file(PLAN_COLUMNS, rows)


def _value_cells(
    values: Values, account: str, field: str, before: str | None, after: str | None
) -> tuple[str | Decimal, ...]:
    """Return name and key of a field, its values, and their difference; amounts as plain numbers."""
    label = values.label(account, field)
    change = values.change(account, field, before, after)
    texts = (_cell(values, account, field, text) for text in (before, after))
    return (label.name, label.key, *texts, "" if change is None else change)


def _cell(values: Values, account: str, field: str, text: str | None) -> str | Decimal:
    amount = values.amount(account, field, text)
    shown = values.shown(account, field, text)
    if amount is not None:
        return amount
    return "" if shown.kind in ("empty", "unknown") else shown.text
