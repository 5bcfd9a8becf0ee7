"""List opportunities as Close does: filters, order, page, totals."""

from __future__ import annotations

import operator as comparison
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.close.fields import FieldError
from airflow_provider_crm.sandbox.close.update import refuse_errors
from airflow_provider_crm.sandbox.close.view import represent, totals
from airflow_provider_crm.sandbox.wire import ISO_DATE, parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import tzinfo

    from airflow_provider_crm.sandbox.close.account import CloseAccount
    from airflow_provider_crm.sandbox.close.switches import CloseSwitches
    from airflow_provider_crm.sandbox.records import Fields

_DEFAULT_LIMIT = 100
_MOST_LIMIT = 200
_EQUAL = ("lead_id", "organization_id", "user_id", "status_id", "status_type", "status_label", "value_period")
_DATES = ("date_won", "date_created", "date_updated")
_ORDERS = (*_DATES, "confidence", "user_name", "value", "annualized_value", "annualized_expected_value")
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "": comparison.eq,
    "gt": comparison.gt,
    "gte": comparison.ge,
    "lt": comparison.lt,
    "lte": comparison.le,
}
_SHOWN_AS = {"status": "status_label"}


def list_page(
    records: list[Fields], query: Mapping[str, Any], *, account: CloseAccount, switches: CloseSwitches, zone: tzinfo
) -> dict[str, Any]:
    """Answer a list call. Parameters that the vendor doesn't list (such as `id__in`) are ignored.

    Args:
        records: all stored opportunities.
        query: the parameters; values of `__in` are comma-separated, or lists when they come from `_params`.
        account: the organization.
        switches: the switches as set.
        zone: the caller's zone, for plain dates in date filters.

    Raises:
        RefusalError: 400, a parameter is out of its range.
    """
    limit = _number(query, "_limit", _DEFAULT_LIMIT, switches, most=_MOST_LIMIT)
    skip = _number(query, "_skip", 0, switches)
    shown = [(stored, represent(stored, account)) for stored in records]
    matching = [pair for pair in shown if _matches(pair[1], query, switches, zone)]
    order = str(query.get("_order_by", ""))
    if order:
        matching = _ordered(matching, order, switches)
    page = [record for _, record in matching[skip : skip + limit]]
    return {
        "data": [trimmed(record, query) for record in page],
        "has_more": skip + limit < len(matching),
        "total_results": len(matching),
        **totals([stored for stored, _ in matching], account.currency),
    }


def trimmed(record: dict[str, Any], query: Mapping[str, Any]) -> dict[str, Any]:
    """Return only the fields that `_fields` names, if it is in the query."""
    wanted = query.get("_fields")
    if not wanted:
        return record
    names = wanted if isinstance(wanted, list) else wanted.split(",")
    return {name: record[name] for name in names if name in record}


def _number(
    query: Mapping[str, Any], name: str, default: int, switches: CloseSwitches, *, most: int | None = None
) -> int:
    sent = str(query.get(name, default))
    if not (sent.isascii() and sent.isdigit()):
        refuse_errors(
            {name: FieldError(message="Value must be of int type.", pydantic="Input should be a valid integer")},
            switches,
        )
    if most is not None and int(sent) > most:
        refuse_errors({name: FieldError(message=f"Input should be less than or equal to {most}")}, switches)
    return int(sent)


def _ordered(
    matching: list[tuple[Fields, dict[str, Any]]], order: str, switches: CloseSwitches
) -> list[tuple[Fields, dict[str, Any]]]:
    name = order.removeprefix("-")
    if name not in _ORDERS:
        refuse_errors({"_order_by": FieldError(message=f"Cannot order by {name}.")}, switches)
    with_value = [pair for pair in matching if pair[1][name] is not None]
    without = [pair for pair in matching if pair[1][name] is None]
    return sorted(with_value, key=lambda pair: pair[1][name], reverse=order.startswith("-")) + without


def _matches(record: dict[str, Any], query: Mapping[str, Any], switches: CloseSwitches, zone: tzinfo) -> bool:
    for parameter, wanted in query.items():
        name, _, operator = parameter.partition("__")
        name = _SHOWN_AS.get(name, name)
        if name in _EQUAL and operator in ("", "in"):
            values = wanted if isinstance(wanted, list) else str(wanted).split(",") if operator else [wanted]
            if record[name] not in values:
                return False
        elif name in _DATES and operator in _COMPARISONS:
            limit = _limit(name, str(wanted), switches, zone)
            if record[name] is None or not _COMPARISONS[operator](*_comparable(record[name], limit, zone)):
                return False
        elif parameter == "is_stalled":
            if str(wanted).lower() == "true":
                return False
        elif parameter == "query" and str(wanted).lower() not in f"{record['lead_name']} {record['note']}".lower():
            return False
    return True


def _limit(name: str, wanted: str, switches: CloseSwitches, zone: tzinfo) -> date | datetime:
    """Read the value of a date filter: a plain date, or an instant (in the caller's zone if it has no offset)."""
    try:
        if ISO_DATE.fullmatch(wanted):
            return date.fromisoformat(wanted)
        instant = parse_instant(wanted)
    except ValueError:
        wrong = FieldError(message="Value must be a date.", pydantic="Input should be a valid date")
        refuse_errors({name: wrong}, switches)
        raise
    if name == "date_won":
        return instant.date()
    return instant if instant.tzinfo else instant.replace(tzinfo=zone)


def _comparable(have: str, limit: date | datetime, zone: tzinfo) -> tuple[Any, Any]:
    """Return two dates if one of them is a plain date, else two instants."""
    if isinstance(limit, datetime):
        return parse_instant(have), limit
    return date.fromisoformat(have) if ISO_DATE.fullmatch(have) else parse_instant(have).astimezone(zone).date(), limit
