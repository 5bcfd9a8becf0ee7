"""Encode rows: their values in the vendor's own keys and form, their JSON texts, and the calls that write them.

An answer is compared here, too, with the values that its call has sent.

Rows of one shape are encoded column by column, which takes a fraction of the time that single rows take.

Over 300 lines because the encoding of a value and the check that it has arrived belong together.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import count, repeat
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, cast

from airflow_provider_crm.exceptions import IgnoredError, InvalidValueError
from airflow_provider_crm.values.numbers import json_number
from airflow_provider_crm.values.opportunity import (
    FieldValue,
    Row,
    Update,
    columns_of,
    items_at,
    merge_parts,
    positions_by_shape,
    row_of,
    rows_at,
    shapes_of,
)
from airflow_provider_crm.values.record_ids import path_segments
from airflow_provider_crm.vendors.answers import text_of
from airflow_provider_crm.vendors.calls import JSON, NOTHING, Call

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.calls import WriteCall
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json, Record

_encode = json.JSONEncoder(sort_keys=True, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class WriteColumns:
    """Encoded rows of the same fields.

    Attributes:
        vendor: The vendor for which they are encoded.
        names: The field's name, as the mapping has it, by the vendor's key.
        values: The values that the records have to show afterwards, by the vendor's key; None clears.
        texts: The same as JSON.
    """

    vendor: Vendor
    names: Mapping[str, str]
    values: Mapping[str, Sequence[FieldValue]]
    texts: Mapping[str, Sequence[str]]


@dataclass(slots=True)
class Writes:
    """One encoded row; like an `Update` it is never changed, and there is one for each row.

    Attributes:
        columns: All rows that were encoded together.
        index: Index of this row among them.
    """

    columns: WriteColumns
    index: int

    @property
    def names(self) -> Mapping[str, str]:
        """Return the field's name, as the mapping has it, by the vendor's key; empty if the row writes no key."""
        return self.columns.names

    @property
    def texts(self) -> dict[str, str]:
        """Return the values as JSON, by the vendor's key."""
        return row_of(self.columns.texts, self.index)

    def only(self, keys: frozenset[str]) -> Writes:
        """Return the values of some of the keys."""
        columns = self.columns
        if keys >= columns.names.keys():
            return self
        names = {key: name for key, name in columns.names.items() if key in keys}
        values = {key: [columns.values[key][self.index]] for key in names}
        texts = {key: [columns.texts[key][self.index]] for key in names}
        return Writes(WriteColumns(columns.vendor, names, values, texts), 0)


# Points in time that are equal are written in different ways in two zones; and `True == 1`.
_SAME_WHEN_EQUAL = frozenset({str, int, Decimal, dt.date, type(None)})

# Decimals whose `str` is the `repr` of their float, except for zeros at the end. They have at most 15 digits, and are
# neither minus zero nor so small that they need an exponent.
_END = r"(?:\n|\Z)"
_FIXED_POINT = re.compile(
    rf"(?:(?!-0\.0++{_END})-?(?=[\d.]{{3,16}}{_END})(?:[1-9]\d*+\.\d++|0\.\d{{1,3}}){_END})++", re.ASCII
)


def writes_of(update: Update, vendor: Vendor, catalogue: Catalogue) -> Writes:
    """Encode one row; the result is empty if its fields are only checked.

    Raises:
        InvalidValueError: A value cannot be written to this account.
        ConfigurationError: No row can write such a field to this account.
    """
    return Writes(_together({name: [value] for name, value in update.fields.items()}, vendor, catalogue), 0)


def writes_of_all(updates: Sequence[Update], vendor: Vendor, catalogue: Catalogue) -> list[Writes | InvalidValueError]:
    """Encode each row, in order, or return why it cannot be written.

    Raises:
        ConfigurationError: No row can write such a field to this account.
    """
    positions = positions_by_shape(shapes_of([update.fields for update in updates]))
    return merge_parts([(some, _writes(items_at(updates, some), vendor, catalogue)) for some in positions])


def calls_of(record_id: str, writes: Writes) -> tuple[Call, ...]:
    """Return the calls that write one row, in order; none if it writes no key.

    Raises:
        InvalidValueError: The id is not valid.
    """
    (calls,) = _calls([record_id], [writes])
    return calls


def calls_of_all(record_ids: Sequence[str], rows: Sequence[Writes]) -> list[tuple[Call, ...]]:
    """Return the calls that write each of many rows.

    Args:
        record_ids: The opportunity of each row.
        rows: The encoded rows.

    Raises:
        InvalidValueError: One of the ids is not valid.
    """
    positions = positions_by_shape([id(row.columns) for row in rows])
    return merge_parts([(some, _calls(items_at(record_ids, some), items_at(rows, some))) for some in positions])


def written_values(call: Call, vendor: Vendor) -> list[tuple[str, FieldValue]]:
    """Return the keys and values that a call writes, without the record's id."""
    return [(key, sent) for key, sent in call.writes.items() if key != vendor.id_key]


def check_echo(call: Call, record: Record, record_id: str, vendor: Vendor, catalogue: Catalogue) -> None:
    """Compare the record in an answer with what its call has sent.

    Raises:
        IgnoredError: Naming the fields that the vendor accepted and did not write.
    """
    unconfirmed = [
        key for key, sent in written_values(call, vendor) if not vendor.shows(key, sent, record, catalogue, echo=True)
    ]
    if not is_record(record, record_id, vendor):
        unconfirmed.insert(0, vendor.id_key)
    if unconfirmed:
        cause_of = None if call.route is None or vendor.id_key in unconfirmed else call.route.cause_of
        raise ignored_error(vendor, record_id, unconfirmed, "" if cause_of is None else cause_of(unconfirmed))


def leaves_values_out(call: Call, record: Record, vendor: Vendor, catalogue: Catalogue) -> bool:
    """Return whether the answer to a call lacks written values that the record may hold nevertheless.

    Args:
        call: The call.
        record: The record in its answer.
        vendor: The vendor.
        catalogue: What the account offers.
    """
    if call.route is None or call.route.shows_unchanged:
        return False
    return any(not vendor.stored_value(key, record, catalogue) for key, _ in written_values(call, vendor))


def is_record(record: Record, record_id: str, vendor: Vendor) -> bool:
    """Return whether a record shows the id of an opportunity, in any spelling."""
    shown = record.get(vendor.id_key)
    return isinstance(shown, (str, int)) and vendor.canonical_id(str(shown).strip()) == vendor.canonical_id(record_id)


def check_record_id(record: Record, record_id: str, vendor: Vendor) -> None:
    """Refuse a record that is not the one that was asked for.

    Raises:
        IgnoredError: It is another record than the one with this id.
    """
    shown = record.get(vendor.id_key)
    if shown == record_id or not isinstance(shown, (str, int)):
        return
    if vendor.canonical_id(str(shown)) != vendor.canonical_id(record_id):
        other = text_of(shown)
        msg = (
            f"{vendor.display_name} answered with the record {other!r} instead of {record_id!r}, as it does when "
            f"the one was merged into the other. Write to {other!r} if that is the one that is meant."
        )
        fields = {vendor.id_key: "another record"}
        raise IgnoredError(msg, vendor=vendor.name, code="OTHER_RECORD", record_id=record_id, field_errors=fields)


def ignored_error(vendor: Vendor, record_id: str, keys: Sequence[str], cause: str = "") -> IgnoredError:
    """Return the error that names the keys which the vendor accepted and did not write, and the likely cause."""
    msg = f"{vendor.display_name} answered success, but its record does not show what was sent for {', '.join(keys)}."
    msg = f"{msg} {cause}" if cause else msg
    return IgnoredError(
        msg,
        vendor=vendor.name,
        code="NOT_WRITTEN",
        record_id=record_id,
        field_errors=dict.fromkeys(keys, "not written"),
    )


def json_texts(values: Sequence[FieldValue]) -> list[str]:
    """Return each value as JSON."""
    kinds = set(map(type, values))
    if kinds == {str}:
        return list(map(encode_basestring_ascii, cast("Sequence[str]", values)))
    if kinds == {int}:
        return list(map(repr, values))
    if kinds == {Decimal} and _FIXED_POINT.fullmatch("\n".join(texts := list(map(str, values)))):
        return [text.rstrip("0").rstrip(".") for text in texts]
    if kinds <= _SAME_WHEN_EQUAL:
        known = {value: _encode(_json(value)) for value in set(values)}
        return list(map(known.__getitem__, values))
    return [_encode(_json(value)) for value in values]


def _writes(updates: Sequence[Update], vendor: Vendor, catalogue: Catalogue) -> Sequence[Writes | InvalidValueError]:
    """Encode rows of the same fields."""
    try:
        columns = _together(columns_of([update.fields for update in updates]), vendor, catalogue)
    except InvalidValueError:
        return [_alone(update, vendor, catalogue) for update in updates]
    return list(map(Writes, repeat(columns), range(len(updates))))


def _alone(update: Update, vendor: Vendor, catalogue: Catalogue) -> Writes | InvalidValueError:
    try:
        return writes_of(update, vendor, catalogue)
    except InvalidValueError as err:
        return err


def _together(raws: Mapping[str, Sequence[FieldValue]], vendor: Vendor, catalogue: Catalogue) -> WriteColumns:
    """Encode rows of the same fields."""
    names: dict[str, str] = {}
    values: dict[str, Sequence[FieldValue]] = {}
    for name, raw in raws.items():
        for key, column in vendor.to_vendor_values(catalogue.fields[name], raw, catalogue).items():
            names[key], values[key] = name, column
    return WriteColumns(vendor, names, values, {key: json_texts(column) for key, column in values.items()})


def _calls(record_ids: Sequence[str], rows: Sequence[Writes]) -> Iterable[tuple[Call, ...]]:
    """Return the calls of rows of the same columns."""
    columns, indexes = rows[0].columns, [row.index for row in rows]
    write_calls = columns.vendor.write_calls(tuple(columns.names))
    segments = path_segments(record_ids)
    if not write_calls:
        return [()] * len(indexes)
    texts, values = rows_at(columns.texts, indexes), rows_at(columns.values, indexes)
    shown = {columns.vendor.id_key: record_ids, **values}
    columns_of_calls = (
        _calls_of_write_call(write_call, segments, _wire_texts(write_call, texts, values), shown, columns.names)
        for write_call in write_calls
    )
    return zip(*columns_of_calls, strict=True)


def _wire_texts(
    write_call: WriteCall, texts: Mapping[str, Sequence[str]], values: Mapping[str, Sequence[FieldValue]]
) -> Mapping[str, Sequence[str]]:
    """Return the JSON of each value as the wire has it, by key, for the keys of one call."""
    spell = write_call.spell
    if spell is None:
        return {key: texts[key] for key in write_call.keys}
    return {key: _spelled_texts(key, values[key], spell) for key in write_call.keys}


def _spelled_texts(key: str, values: Sequence[FieldValue], spell: Callable[[str, FieldValue], Json]) -> Sequence[str]:
    spelled = [spell(key, value) for value in values]
    if set(map(type, spelled)) == {str}:
        return list(map(encode_basestring_ascii, cast("list[str]", spelled)))
    return list(map(_encode, spelled))


def _calls_of_write_call(
    write_call: WriteCall,
    segments: Sequence[str],
    texts: Mapping[str, Sequence[str]],
    shown: Mapping[str, Sequence[FieldValue]],
    names: Mapping[str, str],
) -> Iterator[Call]:
    head, tail = write_call.path.split("{}")
    left_out = names.keys() - set(write_call.keys)
    checked = {key: values for key, values in shown.items() if key not in left_out}
    rows = zip(
        repeat(write_call.method),
        [f"{head}{segment}{tail}" for segment in segments],
        repeat(NOTHING),
        _bodies(texts, write_call.envelope),
        repeat(write_call.replayable),
        map(Row, repeat(checked), count()),
        repeat(tuple(dict.fromkeys(names[key] for key in write_call.keys))),
        repeat(write_call),
        repeat(write_call.cost),
        repeat(None),
        repeat(JSON),
        strict=False,
    )
    return map(Call._make, rows)


def _bodies(texts: Mapping[str, Sequence[str]], envelope: Sequence[str]) -> Iterator[str]:
    """Return a JSON object for each row, within the members of the envelope."""
    head = "".join(f"{{{encode_basestring_ascii(name)}: " for name in envelope)
    parts: list[Iterable[str]] = []
    for key, column in texts.items():
        parts += [repeat(f"{', ' if parts else f'{head}{{'}{encode_basestring_ascii(key)}: "), column]
    return map("".join, zip(*parts, repeat("}" * (len(envelope) + 1)), strict=False))


def _json(value: FieldValue) -> Json:
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    if isinstance(value, Decimal):
        return json_number(value)
    return value.isoformat()
