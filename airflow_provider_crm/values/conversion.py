"""The rules that make one raw value fit one field, exactly or not at all."""

from __future__ import annotations

import datetime as dt
import decimal
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import TypeVar, cast

from airflow_provider_crm.exceptions import ConfigurationError, InvalidValueError
from airflow_provider_crm.values.hidden_values import HIDDEN
from airflow_provider_crm.values.opportunity import Field, FieldValue, Kind, RawValue
from airflow_provider_crm.values.time_zones import local_date, parse_moment, zone
from airflow_provider_crm.values.written_lists import is_written_list, read_list

_Moment = TypeVar("_Moment", dt.date, dt.datetime)

ROUNDINGS: Mapping[str, str] = {
    "half-even": decimal.ROUND_HALF_EVEN,
    "half-up": decimal.ROUND_HALF_UP,
    "half-down": decimal.ROUND_HALF_DOWN,
    "up": decimal.ROUND_UP,
    "down": decimal.ROUND_DOWN,
    "ceiling": decimal.ROUND_CEILING,
    "floor": decimal.ROUND_FLOOR,
}
REFUSE = "refuse"

# A JSON number is a double in most servers: 15 decimal digits are the most that survive the trip unchanged.
JSON_NUMBER_DIGITS = 15
_SHOWN_BITS = 1_000
_EXACT = decimal.Context(prec=400, Emin=-10_000, Emax=10_000)
_SENSIBLE = 100  # powers of ten
# Databases write infinity as 9999-12-31 and 0001-01-01; no deal is won in these years.
_YEARS = range(1900, 2201)
PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Za-z]{3}")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# In half of the world the point in 1.234 groups the digits of a thousand.
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}", re.ASCII)
_DIGITS_OF_A_GROUP = 3


@dataclass(frozen=True, slots=True)
class ValueRules:
    """How raw values become field values.

    Attributes:
        timezone: IANA zone that dates are cut in and naive times are read in, or None when nobody named one.
        rounding: A key of `ROUNDINGS`, applied once, to the vendor's decimal places; or "refuse", which takes only
            amounts that need no rounding.
    """

    timezone: str | None = None
    rounding: str = "half-even"
    _decimal_rounding: str = field(init=False, repr=False, default=decimal.ROUND_HALF_EVEN)

    def __post_init__(self) -> None:
        """Check both arguments once.

        Raises:
            ConfigurationError: Naming what was given and what to write instead.
        """
        if self.timezone is not None:
            zone(self.timezone)
        if self.rounding not in (*ROUNDINGS, REFUSE):
            msg = f"rounding is {self.rounding!r}; write one of {', '.join((*ROUNDINGS, REFUSE))}."
            raise ConfigurationError(msg)
        object.__setattr__(self, "_decimal_rounding", ROUNDINGS.get(self.rounding, decimal.ROUND_HALF_EVEN))

    def value(self, target: Field, raw: RawValue) -> FieldValue:
        """Make one raw value fit a field.

        Args:
            target: The field to fill.
            raw: A plain Python value; None clears the field.

        Returns:
            The exact value to write.

        Raises:
            InvalidValueError: With the field, the value (unless personal) and what to write instead.
        """
        if raw is None:
            if not target.clearable:
                raise _invalid(target, "NOT_CLEARABLE", "cannot be cleared")
            return None
        if isinstance(raw, str) and (target.multiple or target.partial):
            raw = _items_of_text(target, raw)
        if isinstance(raw, (list, tuple, set, frozenset)):
            if not target.multiple:
                raise _invalid(target, "LIST", "takes one value, the row has a list")
            return tuple(self._item(target, item) for item in raw)
        scalar = self._scalar(target, raw)
        return (scalar,) if target.multiple else scalar

    def values(self, target: Field, raws: Sequence[RawValue]) -> list[FieldValue] | None:
        """The same as `value` of each, in a fraction of the time; None if they have to be taken one by one.

        That may be possible only for fields of the kinds in `TAKEN_TOGETHER`.

        Args:
            target: The field to fill.
            raws: Plain Python values, none of them None.
        """
        kinds = set(map(type, raws))
        if target.choices or target.multiple or target.partial or len(kinds) != 1:
            return None
        kind = kinds.pop()
        if target.kind in _TEXTS and kind is str:
            texts = cast("Sequence[str]", raws)
            joined = "".join(texts)
            return list(texts) if joined.isascii() or not _SURROGATE.search(joined) else None
        if target.kind is Kind.MONEY and kind in (int, float, Decimal):
            return self._amounts(target, cast("Sequence[float | Decimal]", raws))
        return None

    def _amounts(self, target: Field, raws: Sequence[float | Decimal]) -> list[FieldValue] | None:
        unit, rounding = _unit(target.digits), self._decimal_rounding
        units = None if isinstance(raws[0], Decimal) else _whole_units(cast("Sequence[float]", raws), target.digits)
        if units is not None:
            with decimal.localcontext(_EXACT):
                return [unit * number for number in units]
        numbers = [Decimal(float.__repr__(raw) if isinstance(raw, float) else raw) for raw in raws]
        least, most = -_SENSIBLE, JSON_NUMBER_DIGITS - target.digits - 1
        if not all(number.is_finite() and least < number.adjusted() < most for number in numbers):
            return None
        amounts = [number.quantize(unit, rounding, _EXACT) + 0 for number in numbers]
        return None if self.rounding == REFUSE and amounts != numbers else cast("list[FieldValue]", amounts)

    def _item(self, target: Field, raw: RawValue) -> FieldValue:
        """One of many values."""
        if raw is None:
            raise _invalid(target, "NULL", "takes a list without empty (null) values; leave those out. The row has one")
        if isinstance(raw, (list, tuple, set, frozenset, dict)):
            raise _invalid(target, "LIST", "takes a list of single values, the row has a list of lists or objects")
        return self._scalar(target, raw)

    def _scalar(self, target: Field, raw: RawValue) -> FieldValue:
        if isinstance(raw, bool):
            raise _invalid(target, "BOOLEAN", f"takes {target.kind.value}, the row has a boolean")
        value = _CONVERSIONS[target.kind](self, target, raw)
        if target.choices and value not in target.choices:
            raise _invalid(target, "CHOICE", f"takes one of {', '.join(target.choices)}; the row has", raw)
        return value

    def _number(self, target: Field, raw: RawValue) -> Decimal:
        number = _finite_decimal(target, raw)
        if Decimal(repr(float(number))) == number:  # JSON carries any double exactly, whatever its digits
            return number
        _check_size(target, number, raw)
        raise _invalid(target, "TOO_PRECISE", "has more digits than a JSON number carries exactly:", raw)

    def _money(self, target: Field, raw: RawValue) -> Decimal:
        _check_thousands(target, raw)
        exact = exact_decimal(target, raw)
        amount = exact.quantize(_unit(target.digits), self._decimal_rounding, _EXACT)
        if _digits(amount) > JSON_NUMBER_DIGITS or amount.adjusted() > JSON_NUMBER_DIGITS:
            raise _invalid(target, "TOO_LARGE", "is larger than a JSON number carries exactly (15 digits):", raw)
        if self.rounding == REFUSE and amount != exact:
            text = f"keeps {target.digits} decimal places, and rounding is 'refuse'; round it in the query. The row has"
            raise _invalid(target, "ROUNDING", text, raw)
        return amount + 0  # minus zero becomes zero

    def _integer(self, target: Field, raw: RawValue) -> int:
        _check_thousands(target, raw)
        number = exact_decimal(target, raw)
        if number != number.to_integral_value():
            raise _invalid(target, "NOT_WHOLE", "takes a whole number, the row has", raw)
        if _digits(number) > JSON_NUMBER_DIGITS or number.adjusted() > JSON_NUMBER_DIGITS:
            raise _invalid(target, "TOO_LARGE", "is larger than a JSON number carries exactly (15 digits):", raw)
        return int(number)

    def _text(self, target: Field, raw: RawValue) -> str:
        if isinstance(raw, str):
            if not raw.isascii() and _SURROGATE.search(raw):
                raise _invalid(
                    target, "NOT_TEXT", "takes text, the row has characters that are none (a lone surrogate)"
                )
            return raw
        if isinstance(raw, (dt.date, dt.datetime)):
            return _in_range(target, raw, raw).isoformat()
        if isinstance(raw, float) and raw.is_integer():  # ids and phone numbers that pandas made floats
            return str(int(exact_decimal(target, raw)))
        if isinstance(raw, (int, float, Decimal)):
            return format(exact_decimal(target, raw), "f")
        raise _invalid(target, "NOT_TEXT", f"takes text, the row has a {type(raw).__name__}")

    def _currency(self, target: Field, raw: RawValue) -> str:
        code = raw.strip() if isinstance(raw, str) else ""
        if not _CURRENCY.fullmatch(code):
            raise _invalid(target, "CURRENCY", "takes a currency code of three letters (ISO 4217), the row has", raw)
        return code.upper()

    def _date(self, target: Field, raw: RawValue) -> dt.date:
        moment = _moment(target, raw)
        if not isinstance(moment, dt.datetime):
            return _in_range(target, moment, raw)
        if self.timezone is None:
            raise _invalid(
                target,
                "NO_TIMEZONE",
                "is a point in time, and which date that is depends on a time zone; "
                "pass timezone='Area/City' or cast the column to a date. The row has",
                raw,
            )
        if moment.tzinfo is None:
            return _in_range(target, moment.date(), raw)
        try:
            return _in_range(target, local_date(moment, self.timezone), raw)
        except OverflowError as err:
            raise _out_of_range(target, raw) from err

    def _datetime(self, target: Field, raw: RawValue) -> dt.datetime:
        moment = _moment(target, raw)
        if not isinstance(moment, dt.datetime):
            raise _invalid(target, "DATE_ONLY", "takes a point in time, the row has only a date:", raw)
        _in_range(target, moment, raw)
        if moment.tzinfo is not None:
            return moment
        if self.timezone is None:
            raise _invalid(
                target, "NO_TIMEZONE", "has no offset; pass timezone='Area/City' or an aware column. The row has", raw
            )
        first, second = (moment.replace(tzinfo=zone(self.timezone), fold=fold) for fold in (0, 1))
        if first.utcoffset() != second.utcoffset():
            raise _invalid(
                target,
                "DST",
                f"happens twice or never in {self.timezone} (clock change); give the column an offset. The row has",
                raw,
            )
        return first


_TEXTS = frozenset({Kind.TEXT, Kind.STAGE, Kind.USER})
TAKEN_TOGETHER = _TEXTS | {Kind.MONEY}

_CONVERSIONS: Mapping[Kind, Callable[[ValueRules, Field, RawValue], FieldValue]] = {
    Kind.TEXT: ValueRules._text,  # noqa: SLF001 - the table belongs to the class
    Kind.STAGE: ValueRules._text,  # noqa: SLF001
    Kind.USER: ValueRules._text,  # noqa: SLF001
    Kind.NUMBER: ValueRules._number,  # noqa: SLF001
    Kind.INTEGER: ValueRules._integer,  # noqa: SLF001
    Kind.MONEY: ValueRules._money,  # noqa: SLF001
    Kind.CURRENCY: ValueRules._currency,  # noqa: SLF001
    Kind.DATE: ValueRules._date,  # noqa: SLF001
    Kind.DATETIME: ValueRules._datetime,  # noqa: SLF001
}


def exact_decimal(target: Field, raw: RawValue) -> Decimal:
    """Read a number exactly; a float through its shortest repr.

    Raises:
        InvalidValueError: For NaN, infinity, booleans, text that is no plain number, and other types.
    """
    number = _finite_decimal(target, raw)
    _check_size(target, number, raw)
    return number


def _finite_decimal(target: Field, raw: RawValue) -> Decimal:
    if isinstance(raw, bool):
        raise _invalid(target, "BOOLEAN", f"takes {target.kind.value}, the row has a boolean")
    if isinstance(raw, int):
        number = Decimal(raw)
    elif isinstance(raw, float):
        number = Decimal(float.__repr__(raw))  # of the float itself: numpy's subclass has another
    elif isinstance(raw, Decimal):
        number = raw
    elif isinstance(raw, str) and PLAIN_NUMBER.fullmatch(raw.strip()):
        number = Decimal(raw.strip())
    else:
        raise _invalid(target, "NOT_A_NUMBER", f"takes {target.kind.value}, the row has", raw)
    if not number.is_finite():
        raise _invalid(target, "NOT_FINITE", f"takes {target.kind.value}, the row has", raw)
    return number


def _check_size(target: Field, number: Decimal, raw: RawValue) -> None:
    if number and not -_SENSIBLE < number.adjusted() < _SENSIBLE:
        raise _invalid(target, "TOO_LARGE", "is out of any sensible range:", raw)


def _check_thousands(target: Field, raw: RawValue) -> None:
    """Refuse text whose point may set off decimals or group thousands, where the wrong guess is a thousandfold."""
    if isinstance(raw, str) and target.digits < _DIGITS_OF_A_GROUP and _THOUSANDS.fullmatch(raw.strip()):
        text = (
            "may mean thousands or decimals: text with a point and three digits behind it is read in both ways. "
            "Write 1234 or 1.23, or give the column a number type. The row has"
        )
        raise _invalid(target, "THOUSANDS", text, raw)


def machine_number(raw: RawValue) -> RawValue:
    """A number that a server wrote as text, whose point always sets off decimals; anything else as it is."""
    return Decimal(raw) if isinstance(raw, str) and PLAIN_NUMBER.fullmatch(raw) else raw


@lru_cache(maxsize=16)
def _unit(digits: int) -> Decimal:
    """One of the last decimal place."""
    return Decimal(1).scaleb(-digits)


def _whole_units(amounts: Sequence[float], digits: int) -> list[int] | None:
    """Each number as a whole number of its last decimal place; None if there is one that has more, or many, digits.

    At most one decimal of up to 15 digits reads as a float, so the one found here is what the float's repr shows, too.
    """
    scale, most = 10**digits, 10**JSON_NUMBER_DIGITS
    try:
        units = [round(amount * scale) for amount in amounts]
    except (OverflowError, ValueError):  # infinity, and what is no number
        return None
    if not -most < min(units) <= max(units) < most:
        return None
    return units if all(map(operator.eq, amounts, [unit / scale for unit in units])) else None


def _digits(number: Decimal) -> int:
    """How many digits, without zeros at the end where those would make it too many."""
    digits = number.as_tuple().digits
    return len(digits) if len(digits) <= JSON_NUMBER_DIGITS else len("".join(map(str, digits)).rstrip("0"))


def json_number(number: Decimal) -> int | float:
    """The JSON number that reads back as exactly this decimal, see `ValueRules`; a large one as a float writes it."""
    whole = number == number.to_integral_value() and number.adjusted() <= JSON_NUMBER_DIGITS
    return int(number) if whole else float(number)


def _moment(target: Field, raw: RawValue) -> dt.date | dt.datetime:
    moment = parse_moment(raw) if isinstance(raw, str) else raw
    if not isinstance(moment, dt.date):
        raise _invalid(target, "NOT_A_DATE", f"takes {target.kind.value} (ISO, such as 2026-03-01), the row has", raw)
    return moment


def _in_range(target: Field, moment: _Moment, raw: RawValue) -> _Moment:
    if moment.year not in _YEARS:
        raise _out_of_range(target, raw)
    return moment


def _out_of_range(target: Field, raw: RawValue) -> InvalidValueError:
    years = f"{_YEARS[0]} to {_YEARS[-1]}"
    return _invalid(target, "DATE_RANGE", f"takes dates of the years {years} (infinity is none), the row has", raw)


def _items_of_text(target: Field, text: str) -> str | list[object]:
    """The items of a list that was written as text; text that is no list as it is.

    Raises:
        InvalidValueError: It looks like a list and cannot be read, or the field takes one value of a list.
    """
    if target.partial and is_written_list(text):
        raise _invalid(target, "LIST", "takes one value, the row has a list written as text:", text)
    try:
        items = read_list(text)
    except ValueError as err:
        cure = "pass a list (in SQL an array or JSON), or, if it is one value, a list of one"
        raise _invalid(target, "LIST", f"takes a list, the row has one {err}; {cure}:", text) from err
    return text if items is None else items


def _invalid(target: Field, code: str, text: str, *shown: RawValue) -> InvalidValueError:
    """Build the error; the value is shown shortened, and not at all for a personal field."""
    value = "" if not shown else f" {shown_value(target, shown[0], instead='a value of another form')}"
    return InvalidValueError(f"{target.name} {text}{value}.", code=code, field_errors={target.name: text})


def shown_value(target: Field, raw: RawValue, *, instead: str = HIDDEN) -> str:
    """A value for a message: shortened, and not at all for a field whose values are to be seen nowhere.

    Args:
        target: The field.
        raw: The value.
        instead: What is said in its place.
    """
    return instead if target.personal else repr(_shortened(raw))


def _shortened(raw: RawValue) -> str:
    """The value as text; Python refuses to write whole numbers of thousands of digits."""
    return hex(raw)[:60] if isinstance(raw, int) and raw.bit_length() > _SHOWN_BITS else str(raw)[:60]
