"""Change a stage as Raze documents it, or in one of the two forms of its published server."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.raze.fields import SERVER_STATUSES, STAGES, STATUSES, error
from airflow_provider_crm.sandbox.wire import RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_provider_crm.sandbox.raze.switches import RazeSwitches
    from airflow_provider_crm.sandbox.records import Fields

_STAMPS = {"won": "won_at", "lost": "lost_at"}


@dataclass(frozen=True, kw_only=True)
class StageChange:
    """A checked stage change: the new status, and the parts of the answer besides the record."""

    status: str
    extra: Mapping[str, Any]


def read_stage(body: Mapping[str, Any], stored: Fields, switches: RazeSwitches) -> StageChange:
    """Read the body of `PATCH .../stage`.

    Raises:
        RefusalError: the stage is missing or unknown.
    """
    field = "stage_id" if switches.raze_stages == "stage_id" else "status"
    wanted, old = body.get(field), stored["status"]
    if field not in body:
        details = {"fields": {field: f"{field} is required"}}
        raise RefusalError(HTTPStatus.BAD_REQUEST, error("MISSING_REQUIRED_FIELD", f"{field} is required", details))
    if switches.raze_stages == "documented":
        if wanted not in STATUSES:
            raise RefusalError(
                HTTPStatus.BAD_REQUEST, error("INVALID_STATUS", f"status must be one of {', '.join(STATUSES)}")
            )
        return StageChange(status=wanted, extra={})
    if switches.raze_stages == "names":
        if wanted not in SERVER_STATUSES:
            raise RefusalError(HTTPStatus.BAD_REQUEST, error("VALIDATION_ERROR", "Invalid status"))
        return StageChange(status=wanted, extra={"stage_change": {"from": old, "to": wanted}})
    if not isinstance(wanted, str) or wanted not in STAGES:
        raise RefusalError(HTTPStatus.INTERNAL_SERVER_ERROR, error("INTERNAL_ERROR", "Internal server error"))
    ids = {name: stage_id for stage_id, name in STAGES.items()}
    change = {"from": {"id": ids.get(old), "name": old}, "to": {"id": wanted, "name": STAGES[wanted]}}
    return StageChange(status=STAGES[wanted], extra={"stage_change": change})


def staged(stored: Fields, status: str, now: datetime, switches: RazeSwitches) -> Fields:
    """Return the fields after a change of stage: `won` sets `won_at` and `lost` sets `lost_at`, to now."""
    fields = stored | {"status": status, "updated_at": now}
    for name, column in _STAMPS.items():
        if status == name and (stored["status"] != name or switches.raze_restamps_won_at or stored[column] is None):
            fields[column] = now
        elif status != name and stored["status"] == name and switches.raze_clears_won_at:
            fields[column] = None
    return fields
