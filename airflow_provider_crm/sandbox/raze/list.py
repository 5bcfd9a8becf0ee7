"""List opportunities as Raze does: filters, order, page."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.raze.fields import error
from airflow_provider_crm.sandbox.wire import RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_crm.sandbox.raze.account import RazeAccount
    from airflow_provider_crm.sandbox.raze.switches import RazeSwitches
    from airflow_provider_crm.sandbox.records import Fields

_DEFAULT_LIMIT = 20
_SERVER_DEFAULT_LIMIT = 50
_MOST_LIMIT = 100
_FILTERS = ("status", "source", "campaign_id", "responsible_user_id")
_SEARCHED = ("name", "email", "company")


def list_page(
    records: list[Fields], query: Mapping[str, str], *, account: RazeAccount, switches: RazeSwitches
) -> dict[str, Any]:
    """Answer a list call.

    Raises:
        RefusalError: 400 `INVALID_PARAMETER`.
    """
    top_level = switches.raze_top_level_pagination
    page = _number(query, "page", 1)
    limit = _number(query, "limit", _SERVER_DEFAULT_LIMIT if top_level else _DEFAULT_LIMIT, most=_MOST_LIMIT)
    matching = _ordered([fields for fields in records if _matches(fields, query)], query)
    total, pages = len(matching), math.ceil(len(matching) / limit)
    shown = [account.shown(fields) for fields in matching[(page - 1) * limit : page * limit]]
    if not top_level:
        pagination = {"page": page, "limit": limit, "total": total, "total_pages": pages}
        return {"success": True, "data": {"opportunities": shown, "pagination": pagination}}
    pagination = {
        "page": page,
        "per_page": limit,
        "total": total,
        "total_pages": pages,
        "has_next": page < pages,
        "has_prev": page > 1,
    }
    return {"success": True, "data": shown, "pagination": pagination}


def _number(query: Mapping[str, str], name: str, default: int, *, most: int | None = None) -> int:
    sent = query.get(name, str(default))
    if not (sent.isascii() and sent.isdigit()) or int(sent) < 1 or (most is not None and int(sent) > most):
        raise RefusalError(HTTPStatus.BAD_REQUEST, error("INVALID_PARAMETER", f"{name} is out of range"))
    return int(sent)


def _matches(fields: Fields, query: Mapping[str, str]) -> bool:
    if any(query.get(name) and query[name] != fields[name] for name in _FILTERS):
        return False
    wanted = query.get("search", "").lower()
    return not wanted or any(wanted in (fields[name] or "").lower() for name in _SEARCHED)


def _ordered(matching: list[Fields], query: Mapping[str, str]) -> list[Fields]:
    name = query.get("sort_by", "created_at")
    order = query.get("sort_order", "desc")
    if order not in ("asc", "desc") or (matching and name not in matching[0]):
        raise RefusalError(HTTPStatus.BAD_REQUEST, error("INVALID_PARAMETER", "sort_by or sort_order is unknown"))
    with_value = [fields for fields in matching if fields[name] is not None]
    without = [fields for fields in matching if fields[name] is None]
    return sorted(with_value, key=lambda fields: fields[name], reverse=order == "desc") + without
