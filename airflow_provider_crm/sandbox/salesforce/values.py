"""Read the values of a write as Salesforce does, and write them into answers."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.salesforce.ids import ACCOUNT, CAMPAIGN, USER, long_id
from airflow_provider_crm.sandbox.salesforce.problems import RefusedRowError, TypeMismatchError
from airflow_provider_crm.sandbox.wire import ISO_DATE, Json, parse_instant

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.salesforce.fields import OpportunityField
    from airflow_provider_crm.sandbox.salesforce.switches import SalesforceSwitches

_PREFIXES = {"Account": ACCOUNT, "User": USER, "Campaign": CAMPAIGN}
_TEXTS = frozenset({"string", "textarea", "phone", "email", "url"})
_NUMBERS = frozenset({"currency", "double", "percent", "int"})
_LARGEST_INT = 2**31
_LONGEST_SHOWN = 40


def stored_value(field: OpportunityField, sent: Json, switches: SalesforceSwitches) -> Any:  # noqa: ANN401 - any value
    """Return the value to store for one that was sent; None clears.

    Raises:
        TypeMismatchError: its JSON type is not that of the field.
        RefusedRowError: the field does not take it.
    """
    if isinstance(sent, str) and switches.salesforce_trims_text:
        sent = sent.strip()
    if sent is None or sent == "":
        return _cleared(field)
    if field.type in _TEXTS:
        return _text(field, sent)
    if field.type in _NUMBERS:
        return _number(field, sent)
    if field.type in ("picklist", "multipicklist"):
        return _picked(field, sent, switches)
    if field.type == "reference":
        return _reference(field, sent)
    return _OTHERS[field.type](field, sent)


def stamp(moment: datetime) -> str:
    """Write a moment as Salesforce does."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000+0000"


def _cleared(field: OpportunityField) -> bool | None:
    if field.type == "boolean":
        return False
    if not field.nillable:
        raise RefusedRowError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{field.name}]", field.name)
    return None


def _mismatch(field: OpportunityField, sent: Json) -> TypeMismatchError:
    kind = "VALUE_STRING" if isinstance(sent, str) else type(sent).__name__
    message = f"Cannot deserialize instance of {field.type} from {kind} value {str(sent)[:_LONGEST_SHOWN]}"
    return TypeMismatchError("JSON_PARSER_ERROR", message, field.name)


def _text(field: OpportunityField, sent: Json) -> str:
    if not isinstance(sent, str):
        raise _mismatch(field, sent)
    if len(sent) > field.length:
        message = f"{field.label}: data value too large: {sent[:_LONGEST_SHOWN]} (max length={field.length})"
        raise RefusedRowError("STRING_TOO_LONG", message, field.name)
    if field.type == "email" and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", sent):
        raise RefusedRowError("INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {sent}", field.name)
    return sent


def _number(field: OpportunityField, sent: Json) -> Decimal | int:
    if isinstance(sent, bool) or not isinstance(sent, (int, Decimal, str)):
        raise _mismatch(field, sent)
    try:
        number = Decimal(sent)
    except InvalidOperation:
        raise _mismatch(field, sent) from None
    if field.type == "int":
        if number != number.to_integral_value() or not -_LARGEST_INT <= number < _LARGEST_INT:
            raise _mismatch(field, sent)
        return int(number)
    rounded = number.quantize(Decimal(1).scaleb(-field.scale), rounding=ROUND_HALF_UP)
    if abs(rounded) >= Decimal(10) ** (field.precision - field.scale):
        message = f"{field.label}: value outside of valid range on numeric field: {sent}"
        raise RefusedRowError("NUMBER_OUTSIDE_VALID_RANGE", message, field.name)
    return rounded


def _picked(field: OpportunityField, sent: Json, switches: SalesforceSwitches) -> str:
    if not isinstance(sent, str):
        raise _mismatch(field, sent)
    values = [one for one in sent.split(";") if one] if field.type == "multipicklist" else [sent]
    active = [one.value for one in field.choices if one.active]
    restricted = field.restricted or (field.name == "StageName" and switches.salesforce_restricted_stages)
    for value in values:
        if restricted and value not in active:
            message = f"{field.label}: bad value for restricted picklist field: {value}"
            raise RefusedRowError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, field.name)
    if len(sent) > field.length:
        message = f"{field.label}: data value too large: {sent[:_LONGEST_SHOWN]} (max length={field.length})"
        raise RefusedRowError("STRING_TOO_LONG", message, field.name)
    if switches.salesforce_sorts_multipicklists:
        values.sort(key=lambda one: active.index(one) if one in active else len(active))
    return ";".join(dict.fromkeys(values))


def _reference(field: OpportunityField, sent: Json) -> str:
    if not isinstance(sent, str):
        raise _mismatch(field, sent)
    record_id = long_id(sent)
    if record_id is None:
        raise RefusedRowError("MALFORMED_ID", f"{field.label}: id value of incorrect type: {sent}", field.name)
    if not any(record_id.startswith(_PREFIXES[one]) for one in field.references):
        message = f"{field.label}: id value of incorrect type: {sent}"
        raise RefusedRowError("FIELD_INTEGRITY_EXCEPTION", message, field.name)
    return record_id


def _date(field: OpportunityField, sent: Json) -> str:
    try:
        return date.fromisoformat(sent if ISO_DATE.fullmatch(sent) else "").isoformat()
    except (TypeError, ValueError):
        raise _mismatch(field, sent) from None


def _moment(field: OpportunityField, sent: Json) -> str:
    try:
        moment = parse_instant(sent)
    except (TypeError, ValueError):
        raise _mismatch(field, sent) from None
    if moment.utcoffset() is None:
        raise _mismatch(field, sent)
    return stamp(moment)


def _boolean(field: OpportunityField, sent: Json) -> bool:
    if isinstance(sent, bool):
        return sent
    if sent in ("true", "false"):
        return bool(sent == "true")
    raise _mismatch(field, sent)


_OTHERS = {"date": _date, "datetime": _moment, "boolean": _boolean}
