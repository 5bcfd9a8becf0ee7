"""What rows write: their values in the vendor's own keys and terms, and as the JSON text that is sent and kept.

Rows of one shape are encoded column by column, which takes a fraction of what the rows one by one do.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import repeat
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, NamedTuple, cast

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.opportunity import FieldValue, Update, json_number

if TYPE_CHECKING:
    from airflow_provider_crm.vendors import Catalogue, Json, Vendor

_encode = json.JSONEncoder(sort_keys=True, allow_nan=False).encode


class Writes(NamedTuple):
    """What one row writes, by the vendor's key.

    Attributes:
        values: As the record has to show them afterwards; None clears.
        texts: The same as JSON.
        names: The field's name, as the mapping has it.
    """

    values: Mapping[str, FieldValue]
    texts: Mapping[str, str]
    names: Mapping[str, str]

    def only(self, keys: frozenset[str]) -> Writes:
        """The same for some of the keys."""
        if keys >= self.values.keys():
            return self
        return Writes(
            {key: value for key, value in self.values.items() if key in keys},
            {key: text for key, text in self.texts.items() if key in keys},
            {key: name for key, name in self.names.items() if key in keys},
        )

    def body(self, keys: tuple[str, ...]) -> str:
        """A JSON object of some of the keys."""
        return _template(keys) % tuple(map(self.texts.__getitem__, keys))


# Points in time that are equal are written in different ways in two zones.
_SAME_WHEN_EQUAL = frozenset({str, int, Decimal, dt.date, type(None)})

_NOTHING = Writes({}, {}, {})


def writes_of(update: Update, vendor: Vendor, catalogue: Catalogue) -> Writes:
    """What one row writes; nothing at all if its fields are only checked.

    Raises:
        InvalidValueError: A value cannot be written to this account.
        ConfigurationError: No row can write such a field to this account.
    """
    return _together([update], tuple(update.fields), vendor, catalogue)[0]


def writes_of_all(updates: Sequence[Update], vendor: Vendor, catalogue: Catalogue) -> list[Writes | InvalidValueError]:
    """What each row writes, in order, or why it cannot be written.

    Raises:
        ConfigurationError: No row can write such a field to this account.
    """
    shapes: dict[tuple[str, ...], list[int]] = {}
    for place, update in enumerate(updates):
        shapes.setdefault(tuple(update.fields), []).append(place)
    found: list[Writes | InvalidValueError] = [_NOTHING] * len(updates)
    for names, places in shapes.items():
        alike = [updates[place] for place in places]
        try:
            rows: Sequence[Writes | InvalidValueError] = _together(alike, names, vendor, catalogue)
        except InvalidValueError:
            rows = [_alone(update, vendor, catalogue) for update in alike]
        for place, row in zip(places, rows, strict=True):
            found[place] = row
    return found


def json_texts(values: Sequence[FieldValue]) -> list[str]:
    """Each value as JSON."""
    kinds = set(map(type, values))
    if kinds == {str}:
        return list(map(encode_basestring_ascii, cast("Sequence[str]", values)))
    if kinds == {int}:
        return list(map(repr, values))
    if kinds <= _SAME_WHEN_EQUAL:
        known = {value: _encode(_json(value)) for value in set(values)}
        return [known[value] for value in values]
    return [_encode(_json(value)) for value in values]


def _alone(update: Update, vendor: Vendor, catalogue: Catalogue) -> Writes | InvalidValueError:
    try:
        return writes_of(update, vendor, catalogue)
    except InvalidValueError as err:
        return err


def _together(updates: Sequence[Update], names: tuple[str, ...], vendor: Vendor, catalogue: Catalogue) -> list[Writes]:
    """What rows of the same fields write."""
    columns, texts, name_by_key = [], [], {}
    for name, raw in zip(names, zip(*(update.fields.values() for update in updates), strict=True), strict=True):
        field = catalogue.fields[name]
        column = vendor.own_terms(field, raw, catalogue)
        if field.written:
            columns.append(column)
            texts.append(json_texts(column))
            name_by_key[field.target] = name
    if not columns:
        return [_NOTHING] * len(updates)
    keys = tuple(name_by_key)
    values = map(dict, map(zip, repeat(keys), zip(*columns, strict=True)))
    return list(map(Writes, values, map(dict, map(zip, repeat(keys), zip(*texts, strict=True))), repeat(name_by_key)))


@lru_cache(maxsize=64)
def _template(keys: tuple[str, ...]) -> str:
    """A JSON object with a place for the text of each key."""
    return "{" + ", ".join(f"{encode_basestring_ascii(key).replace('%', '%%')}: %s" for key in keys) + "}"


def _json(value: FieldValue) -> Json:
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    if isinstance(value, Decimal):
        return json_number(value)
    return value.isoformat()
