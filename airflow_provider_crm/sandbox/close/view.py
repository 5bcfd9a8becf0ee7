"""Show a stored opportunity as Close does: names looked up, amounts derived, times written out."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.close.organization import Organization
    from airflow_provider_crm.sandbox.records import Fields

MONTHS = 12
_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}
_PERIOD_WORDS = {"one_time": "", "monthly": " monthly", "annual": " annual"}


def stamp(instant: datetime | None) -> str | None:
    """Write an instant as Close does: with microseconds and `+00:00`."""
    return None if instant is None else instant.astimezone(UTC).isoformat(timespec="microseconds")


def money(cents: int, currency: str) -> str:
    """Write an amount for people: `100000` is `$1,000`. Two decimals are assumed for every currency."""
    amount = Decimal(abs(cents)) / 100
    text = f"{amount:,.2f}".removesuffix(".00")
    return f"{'-' if cents < 0 else ''}{_SYMBOLS.get(currency, currency + ' ')}{text}"


def annualized(value: int | None, period: str) -> int | None:
    """Return the value of a year: twelve times a monthly value, any other as it is."""
    return value * MONTHS if value is not None and period == "monthly" else value


def expected(value: int | None, confidence: int) -> int | None:
    """Return the value weighted by its confidence, rounded half up (the vendor doesn't say how)."""
    if value is None:
        return None
    return int((Decimal(value) * confidence / 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def represent(stored: Fields, organization: Organization) -> dict[str, Any]:
    """Return the full record as the API answers it. A custom field without a value has no key."""
    record = {
        "id": stored["id"],
        "organization_id": organization.organization_id,
        "lead_id": stored["lead_id"],
        "lead_name": organization.leads[stored["lead_id"]],
        "contact_id": stored["contact_id"],
        "contact_name": None,
        "user_id": stored["user_id"],
        "user_name": _user_name(stored["user_id"], organization),
        **_status(stored, organization),
        **_amounts(stored, organization.currency),
        "note": stored["note"],
        "note_html": None if stored["note"] is None else f"<p>{stored['note']}</p>",
        "date_won": stored["date_won"],
        "date_lost": stamp(stored["date_lost"]),
        "date_created": stamp(stored["date_created"]),
        "date_updated": stamp(stored["date_updated"]),
        "created_by": stored["created_by"],
        "created_by_name": _user_name(stored["created_by"], organization),
        "updated_by": stored["updated_by"],
        "updated_by_name": _user_name(stored["updated_by"], organization),
        "attachments": list(stored["attachments"]),
        "integration_links": [],
    }
    for name, content in stored["custom"].items():
        if content is not None:
            record[f"custom.{name}"] = list(content) if isinstance(content, list) else content
    return record


def _status(stored: Fields, organization: Organization) -> dict[str, Any]:
    status = organization.statuses[stored["status_id"]]
    return {
        "status_id": status.id,
        "status_label": status.label,
        "status_display_name": status.label,
        "status_type": status.type,
        "pipeline_id": status.pipeline_id,
        "pipeline_name": organization.pipelines[status.pipeline_id].name,
    }


def _amounts(stored: Fields, currency: str) -> dict[str, Any]:
    value, period, confidence = stored["value"], stored["value_period"], stored["confidence"]
    yearly = annualized(value, period)
    return {
        "value": value,
        "value_currency": currency,
        "value_formatted": None if value is None else money(value, currency) + _PERIOD_WORDS[period],
        "value_period": period,
        "annualized_value": yearly,
        "expected_value": expected(value, confidence),
        "annualized_expected_value": expected(yearly, confidence),
        "confidence": confidence,
    }


def totals(records: list[Fields], currency: str) -> dict[str, Any]:
    """Sum up all matches of a list, not only the page's."""
    sums: dict[str, Any] = {"count_by_value_period": dict.fromkeys(_PERIOD_WORDS, 0)}
    for period in (*_PERIOD_WORDS, "annualized"):
        sums[f"total_value_{period}"] = sums[f"expected_value_{period}"] = 0
    for stored in records:
        period, value = stored["value_period"], stored["value"]
        sums["count_by_value_period"][period] += 1
        yearly = annualized(value, period)
        for name, amount in ((period, value), ("annualized", yearly)):
            sums[f"total_value_{name}"] += amount or 0
            sums[f"expected_value_{name}"] += expected(amount, stored["confidence"]) or 0
    amounts = {name: cents for name, cents in sums.items() if name != "count_by_value_period"}
    return sums | {f"{name}_formatted": money(cents, currency) for name, cents in amounts.items()}


def _user_name(user_id: str | None, organization: Organization) -> str | None:
    user = organization.users.get(user_id or "")
    return user.name if user else None
