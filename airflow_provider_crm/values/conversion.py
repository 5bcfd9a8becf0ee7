"""Make raw values fit fields, exactly or not at all, and compare with them the values that a record shows."""

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
    JSON_NUMBER_DIGITS,
    PLAIN_NUMBER,
    REFUSE,
    ROUNDINGS,
    exact_decimal,
    integer_value,
    money_value,
    money_values,
    number_value,
)
from airflow_provider_crm.values.opportunity import Field, FieldValue, Kind
from airflow_provider_crm.values.time_zones import parse_moment, zone
from airflow_provider_crm.values.written_lists import is_written_list, read_list

_CURRENCY = re.compile(r"[A-Za-z]{3}")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_BOOLEANS: Mapping[str, bool] = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_SHOWN_BOOLEANS: Mapping[str, bool] = {"true": True, "false": False}
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
        if isinstance(raw, bool) and field.kind is not Kind.BOOLEAN:
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


def _boolean(field: Field, raw: object) -> bool:
    """Read a boolean, the number 0 or 1, or a word for one."""
    if isinstance(raw, int) and raw in (0, 1):
        return bool(raw)
    if isinstance(raw, str) and (word := raw.strip().lower()) in _BOOLEANS:
        return _BOOLEANS[word]
    raise invalid_value(field, "NOT_A_BOOLEAN", "takes true or false, yes or no, 1 or 0; the row has", raw)


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
    Kind.BOOLEAN: lambda _, field, raw: _boolean(field, raw),
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


def same_value(sent: FieldValue, shown: object) -> bool:
    """Return whether a vendor's record shows the value that was sent, in any of the ways to write it.

    Numbers compare as decimals, also when shown as text, or as the doubles that JSON carries. Booleans compare with
    `true` and `false`, also when shown as text, and never with numbers. Dates compare as dates, moments as instants,
    lists without order, and text without surrounding white space. A cleared field shows as null, as empty text or as an
    empty list.
    """
    if sent is None:
        return shown is None or shown in ("", [])
    if isinstance(sent, tuple):
        return isinstance(shown, list) and _same_values(sent, shown)
    if isinstance(sent, bool):
        return _shown_boolean(shown) is sent
    if isinstance(sent, (int, Decimal)):
        return _same_number(sent, _shown_number(shown))
    if isinstance(sent, dt.date):
        return _same_date(sent, _shown_moment(shown))
    return ("" if shown is None else str(shown)).strip() == sent.strip()


def _same_date(sent: dt.date, shown: dt.date | None) -> bool:
    """Return whether two dates are the same, or two aware points in time."""
    if not isinstance(sent, dt.datetime):
        return (shown.date() if isinstance(shown, dt.datetime) else shown) == sent
    return isinstance(shown, dt.datetime) and shown.tzinfo is not None and _instant(shown) == _instant(sent)


def _instant(moment: dt.datetime) -> dt.timedelta:
    """Return a moment as the time since a fixed one.

    `==` is never true between two zones in the hour that a clock repeats.
    """
    wall = dt.datetime.combine(moment.date(), moment.time()) - dt.datetime.min  # noqa: DTZ901 - a span, not a moment
    return wall - (moment.utcoffset() or dt.timedelta())


def _same_values(sent: Sequence[FieldValue], shown: list[object]) -> bool:
    left = list(shown)
    for value in sent:
        match = next((index for index, other in enumerate(left) if same_value(value, other)), None)
        if match is None:
            return False
        del left[match]
    return not left


def _same_number(sent: int | Decimal, shown: Decimal | None) -> bool:
    """Return whether two numbers are the same; one with more digits than JSON keeps was sent as a double."""
    if shown is None or shown == sent:
        return shown is not None
    digits = len(sent.normalize().as_tuple().digits) if isinstance(sent, Decimal) else 0
    return digits > JSON_NUMBER_DIGITS and float(shown) == float(sent)


def _shown_number(shown: object) -> Decimal | None:
    if isinstance(shown, bool) or shown is None:
        return None
    text = repr(shown) if isinstance(shown, float) else str(shown).strip()
    return Decimal(text) if PLAIN_NUMBER.fullmatch(text) else None


def _shown_boolean(shown: object) -> bool | None:
    if isinstance(shown, str):
        return _SHOWN_BOOLEANS.get(shown.strip().lower())
    return shown if isinstance(shown, bool) else None


def _shown_moment(shown: object) -> dt.date | dt.datetime | None:
    return parse_moment(shown) if isinstance(shown, str) else None
