"""Compare a record with what was sent, and with stored JSON texts, by the vendor's key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.exceptions import ConfigurationError, InvalidValueError
from airflow_provider_crm.values.conversion import ValueRules, same_value
from airflow_provider_crm.values.numbers import machine_number
from airflow_provider_crm.values.opportunity import FieldValue, Kind, Update
from airflow_provider_crm.vendors.answers import member
from airflow_provider_crm.vendors.encoding import calls_of, is_record, writes_of, written_values

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json, Record

_RULES = ValueRules()
_NUMBERS = (Kind.MONEY, Kind.INTEGER)
_ANY_RECORD = "any"
_ONLY_TEXTS = frozenset({str})


def field_value(key: str, text: str, catalogue: Catalogue) -> FieldValue:
    """Return a value that is stored as JSON text, ready to be written under the vendor's own key.

    Raises:
        InvalidValueError: If the field does not take it.
    """
    field, raw = catalogue.fields[key], json.loads(text, parse_float=Decimal)
    return _RULES.value(field, machine_number(raw) if field.kind in _NUMBERS else raw)


def stored_values(keys: Iterable[str], record: Record, vendor: Vendor, catalogue: Catalogue) -> dict[str, str]:
    """Return the values of a record, by key, as the JSON that would write them; keys that it lacks are left out."""
    return {
        key: _written(key, value, vendor, catalogue)
        for key in keys
        for value in vendor.stored_value(key, record, catalogue)
    }


def matching_keys(calls: Iterable[Call], record: Record, vendor: Vendor, catalogue: Catalogue) -> frozenset[str]:
    """Return the keys whose values in a record already are what the calls would write.

    A text that is shown as another text (a user's name, shown as an id) cannot be compared: its key does not match.
    """
    return frozenset(
        key
        for call in calls
        for key, sent in written_values(call, vendor)
        if vendor.shows(key, sent, record, catalogue, echo=False)
        and not _other_text(sent, vendor.stored_value(key, record, catalogue))
    )


def repeated(calls: Sequence[Call], record_ids: Sequence[str], records: Sequence[Record], vendor: Vendor) -> list[bool]:
    """Return whether each record shows its id and all values just as the call of its row has sent them, as texts.

    Such a record needs no closer look, and for many rows this one costs a tenth. Of other values than texts it says
    nothing, nor of other spellings.
    """
    sent: Sequence[Any] = json.loads(f"[{', '.join([call.body or '{}' for call in calls])}]")
    shown: Sequence[Json] = records
    for name in _envelope(calls[0]):
        sent, shown = [one[name] for one in sent], [member(one, name) for one in shown]
    return [
        isinstance(values, dict)
        and isinstance(record, dict)
        and values.items() <= record.items()
        and _ONLY_TEXTS.issuperset(map(type, values.values()))
        and whole.get(vendor.id_key) == record_id
        for values, record, whole, record_id in zip(sent, shown, records, record_ids, strict=True)
    ]


def _envelope(call: Call) -> tuple[str, ...]:
    return () if call.route is None else call.route.envelope


def is_written(call: Call, record: Record, vendor: Vendor, catalogue: Catalogue) -> bool:
    """Return whether a record that was read shows that a call has taken effect."""
    record_id = call.writes.get(vendor.id_key)
    if isinstance(record_id, str) and not is_record(record, record_id, vendor):
        return False
    return all(vendor.shows(key, sent, record, catalogue, echo=False) for key, sent in written_values(call, vendor))


def still_shows(key: str, text: str, record: Record, vendor: Vendor, catalogue: Catalogue) -> bool:
    """Return whether a record still shows a value that was written.

    It may show an id where a user's name was written: those cannot be compared, and count as the same.
    """
    shown = vendor.stored_value(key, record, catalogue)
    if any(_is_spelled_so(text, value) for value in shown):  # costs a twentieth of the closer look
        return True
    try:
        writes = writes_of(Update(0, _ANY_RECORD, {key: field_value(key, text, catalogue)}), vendor, catalogue)
    except (InvalidValueError, ConfigurationError, KeyError):
        return text in stored_values((key,), record, vendor, catalogue).values()
    sent = [(key, value) for call in calls_of(_ANY_RECORD, writes) for key, value in written_values(call, vendor)]
    return all(
        vendor.shows(key, value, record, catalogue, echo=False)
        or (bool(shown) and vendor.shows(key, value, record, catalogue, echo=True))
        for key, value in sent
    )


def _is_spelled_so(text: str, value: Json) -> bool:
    """Return whether a JSON text spells this text or number; False where only a closer look can say."""
    if isinstance(value, str):
        return text == json.dumps(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return text[:1] in "-0123456789" and Decimal(text) == Decimal(str(value))
    return False


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
