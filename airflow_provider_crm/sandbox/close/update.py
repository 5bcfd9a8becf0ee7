"""Apply a write to a stored Close opportunity, with the rules that run on it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.close.fields import FieldError, PlainFields, custom_value, single_value
from airflow_provider_crm.sandbox.wire import Json, RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_crm.sandbox.close.account import CloseAccount, CloseKey
    from airflow_provider_crm.sandbox.close.switches import CloseSwitches
    from airflow_provider_crm.sandbox.records import Fields

CUSTOM = "custom."
_OFFSET = re.compile(r"[+-]?\d{1,2}(\.\d+)?")
_MOST_OFFSET_HOURS = 14
_READ_ONLY = frozenset(
    {"value_currency", "value_formatted", "pipeline_id", "organization_id", "id", "status", "custom"}
)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """One call: its key, its time, and its distance from UTC."""

    key: CloseKey
    account: CloseAccount
    switches: CloseSwitches
    now: datetime
    offset: timedelta

    @property
    def today(self) -> str:
        """Return the caller's date, as `YYYY-MM-DD`."""
        return self.now.astimezone(timezone(self.offset)).date().isoformat()


@dataclass
class Draft:
    """A write in the making: the fields as they will be, what was sent for them, and what is wrong with the rest."""

    fields: Fields
    accepted: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, FieldError] = field(default_factory=dict)


def tz_offset(headers: Mapping[str, str], switches: CloseSwitches) -> timedelta:
    """Return the caller's distance from UTC, positive to the east, from `x-tz-offset` in hours.

    Raises:
        RefusalError: 400, the header is no number of hours.
    """
    sent = headers.get("x-tz-offset")
    if sent is not None and _OFFSET.fullmatch(sent) and abs(float(sent)) <= _MOST_OFFSET_HOURS:
        return timedelta(hours=float(sent))
    if sent is None or switches.close_ignores_invalid_tz_offset:
        return timedelta(hours=switches.close_default_tz_offset)
    raise RefusalError(HTTPStatus.BAD_REQUEST, {"error": f"Invalid x-tz-offset: {sent}"})


def drafted(stored: Fields, sent: Mapping[str, Any], caller: Caller) -> Draft:
    """Apply what was sent to a copy of the stored fields, in the order sent.

    Fields that can't be written, and unknown plain ones, are accepted and dropped.
    """
    draft = Draft(fields={**stored, "custom": dict(stored["custom"])})
    plain = PlainFields(caller.account, caller.switches, caller.offset)
    for name, value in sent.items():
        if name in caller.switches.ignored_fields:
            continue
        try:
            if name.startswith(CUSTOM):
                _set_custom(draft, name, value, caller)
            elif plain.is_writable(name):
                draft.fields[name] = plain.read(name, value)
                draft.accepted[name] = value
            elif caller.switches.close_refuses_unknown_fields and name not in stored and name not in _READ_ONLY:
                draft.errors[name] = FieldError(message="Unknown field.", pydantic="Extra inputs are not permitted")
        except FieldError as error:
            draft.errors[name] = error
    return draft


def apply_status_rules(draft: Draft, before: Fields | None, caller: Caller) -> None:
    """Run the rules of a status that was sent.

    A `won` status sets `date_won` to the caller's today if it is neither on the record nor in the call; an explicit
    null is "in the call". Leaving `won` clears nothing. A `lost` status sets `date_lost` to now when it is entered.
    """
    if "status_id" not in draft.accepted:
        return
    statuses = caller.account.statuses
    status = statuses[draft.fields["status_id"]]
    old = statuses[before["status_id"]] if before else None
    if old and caller.switches.close_refuses_foreign_status and old.pipeline_id != status.pipeline_id:
        draft.errors["status_id"] = FieldError(message="The status belongs to another pipeline.")
    if status.type == "won":
        if draft.fields["date_won"] is None and "date_won" not in draft.accepted:
            draft.fields["date_won"] = caller.today
        if caller.switches.close_won_sets_confidence:
            draft.fields["confidence"] = 100
    if status.type == "lost" and (old is None or old.type != "lost"):
        draft.fields["date_lost"] = caller.now


def refuse_errors(errors: Mapping[str, FieldError], switches: CloseSwitches) -> None:
    """Refuse the call if any field was refused; nothing of it is applied then.

    Raises:
        RefusalError: 400 with all field errors, in the shape and wording that the switches choose.
    """
    if not errors:
        return
    messages = {
        name: error.pydantic if switches.close_pydantic_errors else error.message for name, error in errors.items()
    }
    if switches.close_flat_errors:
        raise RefusalError(
            HTTPStatus.BAD_REQUEST, {"error": "; ".join(f"{name}: {message}" for name, message in messages.items())}
        )
    nested: dict[str, Any] = dict(messages)
    if switches.close_nested_field_errors:
        nested = {name: message for name, message in messages.items() if not name.startswith(CUSTOM)}
        custom = {name[len(CUSTOM) :]: message for name, message in messages.items() if name.startswith(CUSTOM)}
        nested |= {"custom": custom} if custom else {}
    raise RefusalError(HTTPStatus.BAD_REQUEST, {"errors": [], "field-errors": nested})


def _set_custom(draft: Draft, name: str, value: Json, caller: Caller) -> None:
    field_id, _, action = name[len(CUSTOM) :].partition(".")
    definition = caller.account.custom_fields.get(field_id)
    if definition is None or action not in ("", "add", "remove"):
        message = f"The Custom Field {name[len(CUSTOM) :]} does not exist."
        raise FieldError(message=message)
    if definition.roles and caller.key.role not in definition.roles:
        _refuse_role(field_id, caller.switches)
        return
    custom = draft.fields["custom"]
    if not action:
        custom[field_id] = custom_value(definition, value, caller.account)
    elif not definition.multiple:
        message = f"The Custom Field {field_id} does not accept multiple values."
        raise FieldError(message=message)
    else:
        item = single_value(definition, value, caller.account)
        rest = [one for one in custom.get(field_id) or [] if one != item or action == "add"]
        custom[field_id] = [*rest, item] if action == "add" and item not in rest else rest
    draft.accepted[name] = value


def _refuse_role(field_id: str, switches: CloseSwitches) -> None:
    """Refuse a restricted field as the switch says, or let the call go on without it."""
    message = f"You do not have permission to edit the Custom Field {field_id}."
    if switches.close_restricted_field == "403":
        raise RefusalError(HTTPStatus.FORBIDDEN, {"error": message})
    if switches.close_restricted_field == "400":
        raise FieldError(message=message)
