"""Show a stored deal as HubSpot does, with the properties that HubSpot calculates."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.hubspot.properties import ALWAYS_SHOWN, CURRENCY, DEFAULT_PROPERTIES
from airflow_provider_crm.sandbox.hubspot.values import stamp

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.hubspot.pipelines import DealStage
    from airflow_provider_crm.sandbox.hubspot.portal import Portal
    from airflow_provider_crm.sandbox.records import Fields

Calculation = Callable[["Fields", "Portal"], "str | None"]


def represent(stored: Fields, names: Iterable[str], account: Portal) -> dict[str, Any]:
    """Return a record with some of its properties; those that the account does not have are left out."""
    record_id, archived = stored["id"], stored["archived"]
    record = {
        "id": record_id,
        "properties": {name: value_of(name, stored, account) for name in names if account.shows(name)},
        "createdAt": stamp(stored["created"]),
        "updatedAt": stamp(stored["updated"]),
        "archived": archived is not None,
        "url": f"https://{account.ui_domain}/contacts/{account.portal_id}/record/0-3/{record_id}",
    }
    if archived is not None:
        record["archivedAt"] = stamp(archived)
    return record


def shown_names(named: Iterable[str] | None) -> tuple[str, ...]:
    """Return the properties that a read shows: those that it names, and three in any case."""
    names = tuple(named or ())
    return tuple(dict.fromkeys((*names, *ALWAYS_SHOWN))) if names else DEFAULT_PROPERTIES


def value_of(name: str, stored: Fields, account: Portal) -> str | None:
    """Return the text of a property, None for no value."""
    calculation = _CALCULATIONS.get(name)
    if calculation is not None:
        return calculation(stored, account)
    text: str | None = stored["properties"].get(name)
    return text


def history(name: str, stored: Fields) -> list[dict[str, Any]]:
    """Return the values that a property has had, the last one first."""
    return [
        {"value": value or "", "timestamp": stamp(at), "sourceType": "INTEGRATION", "sourceId": source}
        for value, at, source in reversed(stored["history"].get(name, ()))
    ]


def _stage(stored: Fields, account: Portal) -> DealStage | None:
    properties = stored["properties"]
    return account.stage(properties.get("pipeline"), properties.get("dealstage"))


def _is_closed(stored: Fields, account: Portal) -> str:
    stage = _stage(stored, account)
    return "true" if stage is not None and stage.is_closed else "false"


def _is_won(stored: Fields, account: Portal) -> str:
    stage = _stage(stored, account)
    return "true" if stage is not None and stage.is_won else "false"


def _probability(stored: Fields, account: Portal) -> str | None:
    stage = _stage(stored, account)
    return None if stage is None else stage.probability.removesuffix(".0")


def _amount(stored: Fields) -> Decimal | None:
    text = stored["properties"].get("amount")
    return Decimal(text) if text else None


def _home_amount(stored: Fields, account: Portal) -> str | None:
    amount = _amount(stored)
    if amount is None:
        return None
    code = stored["properties"].get(CURRENCY) or account.company_currency
    return stored["properties"]["amount"] if code == account.company_currency else _text(amount * account.rate(code))


def _closed_amount(stored: Fields, account: Portal) -> str | None:
    return _home_amount(stored, account) if _is_won(stored, account) == "true" else "0"


def _projected_amount(stored: Fields, account: Portal) -> str | None:
    amount, stage = _amount(stored), _stage(stored, account)
    return None if amount is None or stage is None else _text(amount * Decimal(stage.probability))


def _days_to_close(stored: Fields, _account: Portal) -> str | None:
    closes = stored["properties"].get("closedate")
    if not closes:
        return None
    return str(max((datetime.fromisoformat(closes) - stored["created"]).days, 0))


def _text(amount: Decimal) -> str:
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


_CALCULATIONS: dict[str, Calculation] = {
    "hs_object_id": lambda stored, _: str(stored["id"]),
    "createdate": lambda stored, _: stamp(stored["created"]),
    "hs_lastmodifieddate": lambda stored, _: stamp(stored["updated"]),
    "hs_merged_object_ids": lambda stored, _: ";".join(stored["merged_ids"]) or None,
    "amount_in_home_currency": _home_amount,
    "days_to_close": _days_to_close,
    "hs_closed_amount": _closed_amount,
    "hs_deal_stage_probability": _probability,
    "hs_is_closed": _is_closed,
    "hs_is_closed_won": _is_won,
    "hs_projected_amount": _projected_amount,
}

COMPUTED = frozenset(_CALCULATIONS)
"""Properties that no record stores."""
