"""Check the values of each field of an opportunity as Raze does."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.wire import Json, RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping

UPDATABLE = (
    "name",
    "email",
    "phone",
    "company",
    "position",
    "deal_value",
    "deal_currency",
    "notes",
    "responsible_user_id",
)
"""The nine fields that PUT takes."""

CREATABLE = (*UPDATABLE, "status", "source", "linkedin_url")
STATUSES = ("new", "contacted", "qualified", "proposal", "negotiation", "won", "lost")
SERVER_STATUSES = (
    "leads",
    "invite_sent",
    "accepted",
    "qualifying",
    "qualified",
    "discarded",
    "scheduled",
    "won",
    "lost",
)
SOURCES = ("linkedin", "google_maps", "list", "paid_traffic", "other")

STAGES: Mapping[str, str] = {
    f"5a9e0000-0000-4000-8000-{number:012d}": name
    for number, name in enumerate(
        ("Novo", "Contatado", "Qualificado", "Proposta", "Negociação", "Ganho", "Perdido"), start=1
    )
}
"""Stage ids and names of the server that takes `stage_id`. None is called `won`, so none sets `won_at`."""

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_CURRENCY = re.compile(r"[A-Z]{3}")
_CENT = Decimal("0.01")
_TOO_MUCH = Decimal(10) ** 13


def error(code: str, message: str, details: Json = None) -> dict[str, Any]:
    """Build Raze's error envelope."""
    content = {"code": code, "message": message}
    return {"success": False, "error": content if details is None else content | {"details": details}}


def checked(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to store for the fields sent. Null clears; money is rounded to cents, as its column does.

    Raises:
        RefusalError: 400, or the server's 500 for a name of null.
    """
    stored, problems, code = {}, {}, "VALIDATION_ERROR"
    for name, value in sent.items():
        problem = _problem(name, value)
        if problem is None:
            stored[name] = _cents(value) if name == "deal_value" and value is not None else value
        else:
            problems[name] = problem
            code = "INVALID_EMAIL" if name == "email" and isinstance(value, str) else code
    if problems:
        if len(problems) > 1:
            code = "VALIDATION_ERROR"
        raise RefusalError(HTTPStatus.BAD_REQUEST, error(code, "Invalid field values", {"fields": problems}))
    if "name" in sent and sent["name"] is None:
        raise RefusalError(HTTPStatus.INTERNAL_SERVER_ERROR, error("INTERNAL_ERROR", "Internal server error"))
    return stored


def _problem(name: str, value: Json) -> str | None:  # noqa: PLR0911 - one line per rule
    if value is None:
        return None
    if name == "deal_value":
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            return "deal_value must be a number"
        return "deal_value is too large" if abs(_cents(value)) >= _TOO_MUCH else None
    if not isinstance(value, str):
        return f"{name} must be a string"
    if name == "email" and not _EMAIL.fullmatch(value):
        return "email is not a valid email address"
    if name == "deal_currency" and not _CURRENCY.fullmatch(value):
        return "deal_currency must be a three-letter currency code"
    return None


def _cents(value: int | Decimal) -> Decimal:
    """Round as a PostgreSQL `DECIMAL(15,2)` does: half away from zero. Larger numbers are left for the range check."""
    exact = Decimal(value)
    return exact if abs(exact) >= _TOO_MUCH else exact.quantize(_CENT, rounding=ROUND_HALF_UP)
