"""Read numbers exactly: decimals, whole numbers and money, and the JSON numbers that carry them."""

from __future__ import annotations

import decimal
import operator
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import cast

from airflow_provider_crm.values.messages import invalid_value
from airflow_provider_crm.values.opportunity import Field, FieldValue

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
"""The word that takes only amounts that need no rounding."""

# A JSON number is a double in most servers: 15 decimal digits are the most that survive the trip unchanged.
JSON_NUMBER_DIGITS = 15
PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_EXACT = decimal.Context(prec=400, Emin=-10_000, Emax=10_000)
_SENSIBLE = 100  # powers of ten
_MONEY_DIGITS = 2
_CENT = Decimal(1).scaleb(-_MONEY_DIGITS)
_CENTS = 10**_MONEY_DIGITS
# In half of the world the point in 1.234 groups the digits of a thousand.
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}", re.ASCII)


def exact_decimal(field: Field, raw: object) -> Decimal:
    """Read a number exactly; a float through its shortest repr.

    Raises:
        InvalidValueError: For NaN, infinity, booleans, text that is no plain number, and other types.
    """
    number = _finite_decimal(field, raw)
    _check_size(field, number, raw)
    return number


def number_value(field: Field, raw: object) -> Decimal:
    """Read a number that JSON carries exactly: any double, or a decimal that is one.

    Raises:
        InvalidValueError: It is no number, or has more digits than a double.
    """
    number = _finite_decimal(field, raw)
    if Decimal(repr(float(number))) == number:  # JSON carries any double exactly, with all of its digits
        return number
    _check_size(field, number, raw)
    raise invalid_value(field, "TOO_PRECISE", "has more digits than a JSON number carries exactly:", raw)


def integer_value(field: Field, raw: object) -> int:
    """Read a whole number of at most 15 digits.

    Raises:
        InvalidValueError: It is something else.
    """
    _check_thousands(field, raw)
    number = exact_decimal(field, raw)
    if number != number.to_integral_value():
        raise invalid_value(field, "NOT_WHOLE", "takes a whole number, the row has", raw)
    _check_digits(field, number, raw)
    return int(number)


def money_value(field: Field, raw: object, rounding: str) -> Decimal:
    """Read an amount of money and round it once, to cents.

    Args:
        field: The field.
        raw: The amount in major units.
        rounding: A key of `ROUNDINGS`, or `REFUSE`.

    Raises:
        InvalidValueError: It is no amount, has more than 15 digits, or needs a rounding that is refused.
    """
    _check_thousands(field, raw)
    exact = exact_decimal(field, raw)
    amount = exact.quantize(_CENT, ROUNDINGS.get(rounding), _EXACT)
    _check_digits(field, amount, raw)
    if rounding == REFUSE and amount != exact:
        text = f"keeps {_MONEY_DIGITS} decimal places, and rounding is 'refuse'; round it in the query. The row has"
        raise invalid_value(field, "ROUNDING", text, raw)
    return amount + 0  # minus zero becomes zero


def money_values(raws: Sequence[float | Decimal], rounding: str) -> list[FieldValue] | None:
    """Round many amounts of one type like `money_value`; None if one of them has to be read by itself."""
    cents = None if isinstance(raws[0], Decimal) else _whole_cents(cast("Sequence[float]", raws))
    if cents is not None:
        with decimal.localcontext(_EXACT):
            return [_CENT * number for number in cents]
    if isinstance(raws[0], Decimal):
        numbers = cast("Sequence[Decimal]", raws)
    else:
        numbers = [Decimal(float.__repr__(raw) if isinstance(raw, float) else raw) for raw in raws]
    least, most = -_SENSIBLE, JSON_NUMBER_DIGITS - _MONEY_DIGITS - 1
    if not all(map(Decimal.is_finite, numbers)):
        return None
    sizes = set(map(Decimal.adjusted, numbers))
    if not least < min(sizes) <= max(sizes) < most:
        return None
    amounts = [number.quantize(_CENT, ROUNDINGS.get(rounding), _EXACT) + 0 for number in numbers]
    return None if rounding == REFUSE and amounts != list(numbers) else cast("list[FieldValue]", amounts)


def machine_number(raw: object) -> object:
    """Return a number that a server wrote as text, whose point always sets off decimals; anything else as it is."""
    return Decimal(raw) if isinstance(raw, str) and PLAIN_NUMBER.fullmatch(raw) else raw


def json_number(number: Decimal) -> int | float:
    """Return the JSON number that reads back as exactly this decimal; a large one as a float writes it."""
    whole = number == number.to_integral_value() and number.adjusted() <= JSON_NUMBER_DIGITS
    return int(number) if whole else float(number)


def _finite_decimal(field: Field, raw: object) -> Decimal:
    if isinstance(raw, bool):
        raise invalid_value(field, "BOOLEAN", f"takes {field.kind.value}, the row has a boolean")
    if isinstance(raw, int):
        number = Decimal(raw)
    elif isinstance(raw, float):
        number = Decimal(float.__repr__(raw))  # of the float itself: numpy's subclass has another
    elif isinstance(raw, Decimal):
        number = raw
    elif isinstance(raw, str) and PLAIN_NUMBER.fullmatch(raw.strip()):
        number = Decimal(raw.strip())
    else:
        raise invalid_value(field, "NOT_A_NUMBER", f"takes {field.kind.value}, the row has", raw)
    if not number.is_finite():
        raise invalid_value(field, "NOT_FINITE", f"takes {field.kind.value}, the row has", raw)
    return number


def _check_size(field: Field, number: Decimal, raw: object) -> None:
    if number and not -_SENSIBLE < number.adjusted() < _SENSIBLE:
        raise invalid_value(field, "TOO_LARGE", "is out of any sensible range:", raw)


def _check_digits(field: Field, number: Decimal, raw: object) -> None:
    digits = number.as_tuple().digits
    # Zeros at the end count only as long as they do not make the digits too many.
    count = len(digits) if len(digits) <= JSON_NUMBER_DIGITS else len("".join(map(str, digits)).rstrip("0"))
    if count > JSON_NUMBER_DIGITS or number.adjusted() > JSON_NUMBER_DIGITS:
        raise invalid_value(field, "TOO_LARGE", "is larger than a JSON number carries exactly (15 digits):", raw)


def _check_thousands(field: Field, raw: object) -> None:
    """Refuse text whose point may set off decimals or group thousands: a wrong guess would be a thousandfold."""
    if isinstance(raw, str) and _THOUSANDS.fullmatch(raw.strip()):
        text = (
            "may mean thousands or decimals: text with a point and three digits behind it is read in both ways. "
            "Write 1234 or 1.23, or give the column a number type. The row has"
        )
        raise invalid_value(field, "THOUSANDS", text, raw)


def _whole_cents(amounts: Sequence[float]) -> list[int] | None:
    """Return each amount in cents; None if one of them has more than two decimals, or more than 15 digits.

    At most one decimal of up to 15 digits reads as a float, so the float's repr shows the one that is found here, too.
    """
    most = 10**JSON_NUMBER_DIGITS
    try:
        cents = [round(amount * _CENTS) for amount in amounts]
    except (OverflowError, ValueError):  # infinity and NaN
        return None
    if not -most < min(cents) <= max(cents) < most:
        return None
    return cents if all(map(operator.eq, amounts, [number / _CENTS for number in cents])) else None
