"""Make raw values fit fields, exactly or not at all."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.values.dates import date_value, datetime_value, in_range
from airflow_provider_crm.values.messages import invalid_value
from airflow_provider_crm.values.numbers import (
    REFUSE,
    ROUNDINGS,
    exact_decimal,
    integer_value,
    money_value,
    money_values,
    number_value,
)
from airflow_provider_crm.values.opportunity import Field, FieldValue, Kind
from airflow_provider_crm.values.time_zones import zone
from airflow_provider_crm.values.written_lists import is_written_list, read_list

_CURRENCY = re.compile(r"[A-Za-z]{3}")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_TEXTS = frozenset({Kind.TEXT, Kind.STAGE, Kind.USER})
COLUMN_KINDS = _TEXTS | {Kind.MONEY}
"""Kinds whose columns `ValueRules.values` may convert as a whole."""


@dataclass(frozen=True, slots=True)
class ValueRules:
    """The rules that turn raw values into field values.

    Attributes:
        timezone: IANA zone that dates are cut in and naive times are read in; None if no zone is configured.
        rounding: A key of `ROUNDINGS`, applied once, to the vendor's decimal places; or "refuse", which takes only
            amounts that need no rounding.
    """

    timezone: str | None = None
    rounding: str = "half-even"

    def __post_init__(self) -> None:
        """Check both arguments once.

        Raises:
            ConfigurationError: Naming the wrong argument and what to write instead.
        """
        if self.timezone is not None:
            zone(self.timezone)
        if self.rounding not in (*ROUNDINGS, REFUSE):
            msg = f"rounding is {self.rounding!r}; write one of {', '.join((*ROUNDINGS, REFUSE))}."
            raise ConfigurationError(msg)

    def value(self, field: Field, raw: object) -> FieldValue:
        """Make one raw value fit a field.

        Args:
            field: The field to fill.
            raw: A plain Python value; None clears the field.

        Returns:
            The exact value to write.

        Raises:
            InvalidValueError: With the field, the value (unless personal) and what to write instead.
        """
        if raw is None:
            if not field.clearable:
                raise invalid_value(field, "NOT_CLEARABLE", "cannot be cleared")
            return None
        if isinstance(raw, str) and (field.multiple or field.partial):
            raw = _items_of_text(field, raw)
        if isinstance(raw, (list, tuple, set, frozenset)):
            if not field.multiple:
                raise invalid_value(field, "LIST", "takes one value, the row has a list")
            return tuple(self._item(field, item) for item in raw)
        scalar = self._scalar(field, raw)
        return (scalar,) if field.multiple else scalar

    def values(self, field: Field, raws: Sequence[object]) -> list[FieldValue] | None:
        """Convert a column as `value` converts each cell, in a fraction of the time.

        Args:
            field: The field to fill.
            raws: Plain Python values, none of them None.

        Returns:
            The values in order, or None if they have to be converted one by one. Kinds that are not in `COLUMN_KINDS`
            always have to.
        """
        types = set(map(type, raws))
        if field.choices or field.multiple or field.partial or len(types) != 1:
            return None
        type_ = types.pop()
        if field.kind in _TEXTS and type_ is str:
            texts = cast("Sequence[str]", raws)
            joined = "".join(texts)
            return list(texts) if joined.isascii() or not _SURROGATE.search(joined) else None
        if field.kind is Kind.MONEY and type_ in (int, float, Decimal):
            return money_values(cast("Sequence[float | Decimal]", raws), self.rounding)
        return None

    def _item(self, field: Field, raw: object) -> FieldValue:
        """Convert one of many values."""
        if raw is None:
            text = "takes a list without empty (null) values; leave those out. The row has one"
            raise invalid_value(field, "NULL", text)
        if isinstance(raw, (list, tuple, set, frozenset, dict)):
            raise invalid_value(field, "LIST", "takes a list of single values, the row has a list of lists or objects")
        return self._scalar(field, raw)

    def _scalar(self, field: Field, raw: object) -> FieldValue:
        if isinstance(raw, bool):
            raise invalid_value(field, "BOOLEAN", f"takes {field.kind.value}, the row has a boolean")
        value = _CONVERSIONS[field.kind](self, field, raw)
        if field.choices and value not in field.choices:
            raise invalid_value(field, "CHOICE", f"takes one of {', '.join(field.choices)}; the row has", raw)
        return value


def _text(field: Field, raw: object) -> str:
    if isinstance(raw, str):
        if not raw.isascii() and _SURROGATE.search(raw):
            text = "takes text, the row has characters that are not text (a lone surrogate)"
            raise invalid_value(field, "NOT_TEXT", text)
        return raw
    if isinstance(raw, (dt.date, dt.datetime)):
        return in_range(field, raw, raw).isoformat()
    if isinstance(raw, float) and raw.is_integer():  # ids and phone numbers that pandas made floats
        return str(int(exact_decimal(field, raw)))
    if isinstance(raw, (int, float, Decimal)):
        return format(exact_decimal(field, raw), "f")
    raise invalid_value(field, "NOT_TEXT", f"takes text, the row has a {type(raw).__name__}")


def _currency(field: Field, raw: object) -> str:
    code = raw.strip() if isinstance(raw, str) else ""
    if not _CURRENCY.fullmatch(code):
        raise invalid_value(field, "CURRENCY", "takes a currency code of three letters (ISO 4217), the row has", raw)
    return code.upper()


_CONVERSIONS: Mapping[Kind, Callable[[ValueRules, Field, object], FieldValue]] = {
    Kind.TEXT: lambda _, field, raw: _text(field, raw),
    Kind.STAGE: lambda _, field, raw: _text(field, raw),
    Kind.USER: lambda _, field, raw: _text(field, raw),
    Kind.NUMBER: lambda _, field, raw: number_value(field, raw),
    Kind.INTEGER: lambda _, field, raw: integer_value(field, raw),
    Kind.MONEY: lambda rules, field, raw: money_value(field, raw, rules.rounding),
    Kind.CURRENCY: lambda _, field, raw: _currency(field, raw),
    Kind.DATE: lambda rules, field, raw: date_value(field, raw, rules.timezone),
    Kind.DATETIME: lambda rules, field, raw: datetime_value(field, raw, rules.timezone),
}


def _items_of_text(field: Field, text: str) -> str | list[object]:
    """Read a list that was written as text; return text that is no list as it is.

    Raises:
        InvalidValueError: It looks like a list and cannot be read, or the field takes one value of a list.
    """
    if field.partial and is_written_list(text):
        raise invalid_value(field, "LIST", "takes one value, the row has a list written as text:", text)
    try:
        items = read_list(text)
    except ValueError as err:
        cure = "pass a list (in SQL an array or JSON), or, if it is one value, a list of one"
        raise invalid_value(field, "LIST", f"takes a list, the row has one {err}; {cure}:", text) from err
    return text if items is None else items
