"""Show a stored opportunity as Raze documents it, or as its published server does."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_crm.sandbox.raze.switches import RazeSwitches
    from airflow_provider_crm.sandbox.records import Fields

UPDATE_KEYS = ("id", "name", "email", "company", "status", "deal_value", "deal_currency", "notes", "updated_at")
"""Keys in the answer of an update: fewer than can be written."""

STAGE_KEYS = ("id", "name", "status", "won_at", "updated_at")
_RENAMED = {"deal_value": "value", "deal_currency": "currency"}


def shown_fields(stored: Fields, names: Iterable[str], switches: RazeSwitches) -> dict[str, Any]:
    """Return some fields of a record in the form that the switches choose."""
    record = {}
    for name in names:
        value = stored[name]
        if isinstance(value, datetime):
            value = stamp(value, postgres=switches.raze_postgres_timestamps)
        elif isinstance(value, Decimal) and switches.raze_string_numbers:
            value = str(value)
        record[_RENAMED.get(name, name) if switches.raze_value_keys else name] = value
    return record


def named(identifier: str | None, names: dict[str, str]) -> dict[str, Any] | None:
    """Return a reference with its name, or None."""
    return None if identifier is None else {"id": identifier, "name": names.get(identifier)}


def stamp(instant: datetime, *, postgres: bool) -> str:
    """Write an instant as documented (`2024-01-25T10:00:00Z`) or as PostgreSQL does (`2024-01-25 10:00:00.12+00`)."""
    utc = instant.astimezone(UTC)
    if not postgres:
        return utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    fraction = f".{utc.microsecond:06d}".rstrip("0").rstrip(".")
    return utc.strftime("%Y-%m-%d %H:%M:%S") + fraction + "+00"
