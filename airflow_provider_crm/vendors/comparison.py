"""Compare a record with what was sent, and with stored JSON texts, by the vendor's key."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import ConfigurationError, InvalidValueError
from airflow_provider_crm.values.conversion import ValueRules, same_value
from airflow_provider_crm.values.numbers import machine_number
from airflow_provider_crm.values.opportunity import FieldValue, Kind, Update
from airflow_provider_crm.vendors.encoding import calls_of, writes_of

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json, Record

_RULES = ValueRules()
_NUMBERS = (Kind.MONEY, Kind.INTEGER)
_ANY_RECORD = "any"


def field_value(key: str, text: str, catalogue: Catalogue) -> FieldValue:
    """Return a value that is stored as JSON text, ready to be written under the vendor's own key.

    Raises:
        InvalidValueError: If the field does not take it.
    """
    field, raw = catalogue.fields[key], json.loads(text, parse_float=Decimal)
    return _RULES.value(field, machine_number(raw) if field.kind in _NUMBERS else raw)


def stored_values(keys: Iterable[str], record: Record, vendor: Vendor, catalogue: Catalogue) -> dict[str, str]:
    """Return the values of a record, by key, as the JSON that would write them; keys that it lacks are left out."""
    return {key: _written(key, value, vendor, catalogue) for key in keys for value in vendor.stored_value(key, record)}


def matching_keys(calls: Iterable[Call], record: Record, vendor: Vendor) -> frozenset[str]:
    """Return the keys whose values in a record already are what the calls would write.

    A text that is shown as another text (a user's name, shown as an id) cannot be compared: its key does not match.
    """
    return frozenset(
        key
        for call in calls
        for key in json.loads(call.body or "{}")
        if vendor.applied(call._replace(writes={key: call.writes[key]}), record)
        and not _other_text(call.writes[key], vendor.stored_value(key, record))
    )


def still_shows(key: str, text: str, record: Record, vendor: Vendor, catalogue: Catalogue) -> bool:
    """Return whether a record still shows a value that was written.

    It may show an id where a user's name was written: those cannot be compared, and count as the same.
    """
    try:
        writes = writes_of(Update(0, _ANY_RECORD, {key: field_value(key, text, catalogue)}), vendor, catalogue)
    except (InvalidValueError, ConfigurationError, KeyError):
        return text in stored_values((key,), record, vendor, catalogue).values()
    calls = calls_of(_ANY_RECORD, writes)
    return all(_is_written(call._replace(writes={key: call.writes[key]}), key, record, vendor) for call in calls)


def _is_written(call: Call, key: str, record: Record, vendor: Vendor) -> bool:
    return vendor.applied(call, record) or (key in record and not vendor.unconfirmed(call, record))


def _written(key: str, value: Json, vendor: Vendor, catalogue: Catalogue) -> str:
    """Return a value of a record as it would be written, so that `"100.00"` and `100` are the same text."""
    raw = json.dumps(value, sort_keys=True)
    try:
        update = Update(0, _ANY_RECORD, {key: field_value(key, raw, catalogue)})
        return writes_of(update, vendor, catalogue).texts.get(key, raw)
    except (InvalidValueError, ConfigurationError, KeyError):
        return raw


def _other_text(sent: FieldValue, shown: tuple[Json, ...]) -> bool:
    return isinstance(sent, str) and any(isinstance(value, str) and not same_value(sent, value) for value in shown)
