"""Values of the domain: fields, updates, outcomes, and the rules that make one raw value fit one field.

Nothing here does I/O or knows a vendor, Airflow or pandas. Money is `Decimal` from the first touch, points in time are
aware, a date stays a date. In an update a field that is **absent is left alone**, a field that is **None is cleared**.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import TypeAlias, cast
from urllib.parse import quote

import pendulum

from airflow_provider_crm.exceptions import ConfigurationError, InvalidValueError

CANONICAL_FIELDS = ("deal_value", "deal_currency", "stage", "date_won", "notes", "responsible_user_id")

ROUNDINGS: Mapping[str, str] = {
    "half-even": decimal.ROUND_HALF_EVEN,
    "half-up": decimal.ROUND_HALF_UP,
    "half-down": decimal.ROUND_HALF_DOWN,
    "up": decimal.ROUND_UP,
    "down": decimal.ROUND_DOWN,
    "ceiling": decimal.ROUND_CEILING,
    "floor": decimal.ROUND_FLOOR,
}

FieldValue: TypeAlias = str | int | Decimal | dt.date | dt.datetime | tuple["FieldValue", ...] | None
RawValue: TypeAlias = object

# A JSON number is a double in most servers: 15 decimal digits are the most that survive the trip unchanged.
_JSON_NUMBER_DIGITS = 15
LONGEST_RECORD_ID = 255  # characters; several times what any vendor uses, and within what a database's index holds
_SHOWN_BITS = 1_000
_EXACT = decimal.Context(prec=400, Emin=-10_000, Emax=10_000)
_SENSIBLE = 100  # powers of ten
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Za-z]{3}")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_PLAIN_SEGMENT = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*", re.ASCII)
_PLAIN_SEGMENTS = re.compile(rf"(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]{{0,{LONGEST_RECORD_ID - 1}}}+\n)++", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?\s?(Z|[+-]\d{2}(:?\d{2})?)?", re.ASCII)


class Kind(enum.Enum):
    """What a field holds, as far as the rules for its values go."""

    TEXT = "text"
    NUMBER = "a number"
    INTEGER = "a whole number"
    MONEY = "an amount of money"
    CURRENCY = "a currency code"
    STAGE = "a stage"
    DATE = "a date"
    DATETIME = "a point in time"
    USER = "a user"


@dataclass(frozen=True, slots=True)
class Field:
    """One field that users may map a column to.

    Attributes:
        name: What users write: a canonical name or the vendor's own.
        target: The vendor's key that is written.
        kind: Which rules its values follow.
        digits: Decimal places that the vendor keeps of an amount of money.
        multiple: Whether it holds a list of values.
        clearable: Whether None may be written to it.
        choices: The only values it takes, or empty for any.
        personal: Whether it holds data about a person: its values never reach a log, report or message.
        partial: Whether writing it adds to a list, or removes from it, so that a value alone cannot be put back.
        written: Whether it is written at all; if not, its values are only checked against the account.
    """

    name: str
    target: str
    kind: Kind = Kind.TEXT
    digits: int = 2
    multiple: bool = False
    clearable: bool = True
    choices: tuple[str, ...] = ()
    personal: bool = False
    partial: bool = False
    written: bool = True


@dataclass(slots=True)
class Update:
    """What one row wants for one opportunity; it is not changed, only replaced.

    There is one for each row, and `frozen` would make that take three times as long.

    Attributes:
        row: Position of the row in its source, from 0.
        record_id: The vendor's id of the opportunity.
        fields: Value by field name; absent means "leave alone", None means "clear".
        as_of: Data time of the row, aware.
    """

    row: int
    record_id: str
    fields: Mapping[str, FieldValue]
    as_of: dt.datetime | None = None


class OutcomeWord(enum.StrEnum):
    """What can become of one row."""

    UPDATED = "updated"
    UNCHANGED = "unchanged"
    STALE = "stale"
    INVALID = "invalid"
    REJECTED = "rejected"
    IGNORED = "ignored"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"


FAILURES = frozenset(
    {
        OutcomeWord.INVALID,
        OutcomeWord.REJECTED,
        OutcomeWord.IGNORED,
        OutcomeWord.FAILED,
        OutcomeWord.UNKNOWN,
        OutcomeWord.NOT_SENT,
    }
)
TRANSIENT_FAILURES = frozenset({OutcomeWord.FAILED, OutcomeWord.UNKNOWN, OutcomeWord.NOT_SENT})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row.

    Attributes:
        row: Position of the row in its source, from 0.
        record_id: The id as the row gave it; empty when it gave none.
        word: One of the nine words.
        code: Machine-readable cause: the vendor's, else ours; empty for success.
        reason: One sentence for a person; empty for success.
        applied: Fields that were written although the row failed as a whole (a half-applied row).
    """

    row: int
    record_id: str
    word: OutcomeWord
    code: str = ""
    reason: str = ""
    applied: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ValueRules:
    """How raw values become field values.

    Attributes:
        timezone: IANA zone that dates are cut in and naive times are read in, or None when nobody named one.
        rounding: A key of `ROUNDINGS`, applied once, to the vendor's decimal places.
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
        if self.rounding not in ROUNDINGS:
            msg = f"rounding is {self.rounding!r}; write one of {', '.join(ROUNDINGS)}."
            raise ConfigurationError(msg)
        object.__setattr__(self, "_decimal_rounding", ROUNDINGS[self.rounding])

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
        if isinstance(raw, (list, tuple, set, frozenset)):
            if not target.multiple:
                raise _invalid(target, "LIST", "takes one value, the row has a list")
            return tuple(self._scalar(target, item) for item in raw)
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
        if target.choices or target.multiple or len(kinds) != 1:
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
        least, most = -_SENSIBLE, _JSON_NUMBER_DIGITS - target.digits - 1
        if not all(number.is_finite() and least < number.adjusted() < most for number in numbers):
            return None
        return [number.quantize(unit, rounding, _EXACT) + 0 for number in numbers]

    def _scalar(self, target: Field, raw: RawValue) -> FieldValue:
        if isinstance(raw, bool):
            raise _invalid(target, "BOOLEAN", f"takes {target.kind.value}, the row has a boolean")
        value = _CONVERSIONS[target.kind](self, target, raw)
        if target.choices and value not in target.choices:
            raise _invalid(target, "CHOICE", f"takes one of {', '.join(target.choices)}; the row has", raw)
        return value

    def _number(self, target: Field, raw: RawValue) -> Decimal:
        number = exact_decimal(target, raw)
        if _digits(number) > _JSON_NUMBER_DIGITS:
            raise _invalid(target, "TOO_PRECISE", "has more digits than a JSON number carries exactly (15):", raw)
        return number

    def _money(self, target: Field, raw: RawValue) -> Decimal:
        amount = exact_decimal(target, raw)
        amount = amount.quantize(_unit(target.digits), self._decimal_rounding, _EXACT)
        if _digits(amount) > _JSON_NUMBER_DIGITS or amount.adjusted() > _JSON_NUMBER_DIGITS:
            raise _invalid(target, "TOO_LARGE", "is larger than a JSON number carries exactly (15 digits):", raw)
        return amount + 0  # minus zero becomes zero

    def _integer(self, target: Field, raw: RawValue) -> int:
        number = exact_decimal(target, raw)
        if number != number.to_integral_value():
            raise _invalid(target, "NOT_WHOLE", "takes a whole number, the row has", raw)
        if _digits(number) > _JSON_NUMBER_DIGITS or number.adjusted() > _JSON_NUMBER_DIGITS:
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
            return raw.isoformat()
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
            return moment
        if self.timezone is None:
            raise _invalid(
                target,
                "NO_TIMEZONE",
                "is a point in time, and which date that is depends on a time zone; "
                "pass timezone='Area/City' or cast the column to a date. The row has",
                raw,
            )
        if moment.tzinfo is None:
            return moment.date()
        try:
            return local_date(moment, self.timezone)
        except OverflowError as err:
            raise _invalid(target, "NOT_A_DATE", "is out of the calendar:", raw) from err

    def _datetime(self, target: Field, raw: RawValue) -> dt.datetime:
        moment = _moment(target, raw)
        if not isinstance(moment, dt.datetime):
            raise _invalid(target, "DATE_ONLY", "takes a point in time, the row has only a date:", raw)
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
    if isinstance(raw, bool):
        raise _invalid(target, "BOOLEAN", f"takes {target.kind.value}, the row has a boolean")
    if isinstance(raw, int):
        number = Decimal(raw)
    elif isinstance(raw, float):
        number = Decimal(float.__repr__(raw))  # of the float itself: numpy's subclass has another
    elif isinstance(raw, Decimal):
        number = raw
    elif isinstance(raw, str) and _NUMBER.fullmatch(raw.strip()):
        number = Decimal(raw.strip())
    else:
        raise _invalid(target, "NOT_A_NUMBER", f"takes {target.kind.value}, the row has", raw)
    if not number.is_finite():
        raise _invalid(target, "NOT_FINITE", f"takes {target.kind.value}, the row has", raw)
    if number and not -_SENSIBLE < number.adjusted() < _SENSIBLE:
        raise _invalid(target, "TOO_LARGE", "is out of any sensible range:", raw)
    return number


@lru_cache(maxsize=16)
def _unit(digits: int) -> Decimal:
    """One of the last decimal place."""
    return Decimal(1).scaleb(-digits)


def _whole_units(amounts: Sequence[float], digits: int) -> list[int] | None:
    """Each number as a whole number of its last decimal place; None if there is one that has more, or many, digits.

    At most one decimal of up to 15 digits reads as a float, so the one found here is what the float's repr shows, too.
    """
    scale, most = 10**digits, 10**_JSON_NUMBER_DIGITS
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
    return len(digits) if len(digits) <= _JSON_NUMBER_DIGITS else len("".join(map(str, digits)).rstrip("0"))


def json_number(number: Decimal) -> int | float:
    """The JSON number that reads back as exactly this decimal (at most 15 digits, see `ValueRules`)."""
    return int(number) if number == number.to_integral_value() else float(number)


@lru_cache(maxsize=64)
def zone(name: str) -> pendulum.Timezone:
    """The IANA zone of that name.

    Raises:
        ConfigurationError: If the zone database has no such name.
    """
    msg = f"timezone {name!r} is not in the IANA zone database; write one such as 'America/New_York' or 'UTC'."
    if not isinstance(name, str):  # pendulum reads a number as a fixed offset in seconds
        raise ConfigurationError(msg)
    try:
        return pendulum.timezone(name)
    except (ValueError, OSError) as err:
        raise ConfigurationError(msg) from err


def local_date(moment: dt.datetime, timezone: str) -> dt.date:
    """The calendar date of an aware moment in a zone, right on both sides of a clock change."""
    local = moment.astimezone(zone(timezone))
    return dt.date(local.year, local.month, local.day)


def offset_hours(moment: dt.datetime, timezone: str) -> str:
    """UTC offset of a zone at an aware moment, in hours, positive east: `-4`, `-2.5`, `5.75`, `0`."""
    offset = moment.astimezone(zone(timezone)).utcoffset() or dt.timedelta()
    hours = Decimal(int(offset.total_seconds())) / 3600
    return format(round(hours, 4).normalize() + 0, "f")


def path_segment(record_id: str) -> str:
    """Percent-encode a record id so that it stays one segment of the path, whatever it holds.

    Raises:
        InvalidValueError: For an empty id, for `.` and `..`, which URL libraries resolve even when encoded, for NUL and
            half characters, and for more than `LONGEST_RECORD_ID` characters.
    """
    if len(record_id) > LONGEST_RECORD_ID:
        msg = f"The record id has {len(record_id)} characters; no record id has more than {LONGEST_RECORD_ID}."
        raise InvalidValueError(msg, code="RECORD_ID")
    if _PLAIN_SEGMENT.fullmatch(record_id):
        return record_id
    if "\0" in record_id:
        msg = "The record id holds a NUL character, which no record id does."
        raise InvalidValueError(msg, code="RECORD_ID")
    if not record_id.strip(".") or not record_id.strip():
        msg = f"{record_id!r} is not a record id."
        raise InvalidValueError(msg, code="RECORD_ID", record_id=record_id)
    try:
        return quote(record_id, safe="")
    except UnicodeEncodeError as err:
        msg = "The record id holds characters that are not text (a lone surrogate)."
        raise InvalidValueError(msg, code="RECORD_ID") from err


def path_segments(record_ids: Sequence[str]) -> list[str]:
    """The same of many ids; those that stand for themselves, as nearly all do, are looked at together.

    Raises:
        InvalidValueError: One of them is no record id.
    """
    return list(record_ids) if are_plain_ids(record_ids) else list(map(path_segment, record_ids))


def are_plain_ids(record_ids: Sequence[str]) -> bool:
    """Whether all ids are good ones, and need no percent-encoding."""
    joined = "\n".join(record_ids) + "\n"
    return _PLAIN_SEGMENTS.fullmatch(joined) is not None and joined.count("\n") == len(record_ids)


def same_value(sent: FieldValue, shown: object) -> bool:
    """Whether a vendor's record shows the value that was sent, whatever way it writes it.

    Numbers compare as decimals (also when shown as text), dates as dates, moments as instants, lists without order,
    text without surrounding white space; a cleared field shows as null, an empty text or list.
    """
    if sent is None:
        return shown is None or shown in ("", [])
    if isinstance(sent, tuple):
        return isinstance(shown, list) and _same_values(sent, shown)
    if isinstance(sent, (int, Decimal)):
        return _shown_number(shown) == sent
    if isinstance(sent, dt.datetime):
        moment = _shown_moment(shown)
        return isinstance(moment, dt.datetime) and moment.tzinfo is not None and _instant(moment) == _instant(sent)
    if isinstance(sent, dt.date):
        moment = _shown_moment(shown)
        return (moment.date() if isinstance(moment, dt.datetime) else moment) == sent
    return ("" if shown is None else str(shown)).strip() == sent.strip()


def _instant(moment: dt.datetime) -> dt.timedelta:
    """A moment as the time since a fixed one: `==` is never true between zones in the hour that a clock repeats."""
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


def _shown_number(shown: object) -> Decimal | None:
    if isinstance(shown, bool) or shown is None:
        return None
    text = repr(shown) if isinstance(shown, float) else str(shown).strip()
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _shown_moment(shown: object) -> dt.date | dt.datetime | None:
    return parse_moment(shown) if isinstance(shown, str) else None


def parse_moment(text: str) -> dt.date | dt.datetime | None:
    """Read an ISO date (`2026-03-01`) or date and time (`2026-03-01T23:30:00-05:00`); None if it is neither."""
    text = text.strip()
    try:
        if _DATE.fullmatch(text):
            return dt.date.fromisoformat(text)
        if _DATETIME.fullmatch(text):
            return dt.datetime.fromisoformat(text.replace(",", ".").replace(" ", "T", 1).replace(" ", ""))
    except ValueError:
        return None
    return None


def _moment(target: Field, raw: RawValue) -> dt.date | dt.datetime:
    moment = parse_moment(raw) if isinstance(raw, str) else raw
    if not isinstance(moment, dt.date):
        raise _invalid(target, "NOT_A_DATE", f"takes {target.kind.value} (ISO, such as 2026-03-01), the row has", raw)
    return moment


def _invalid(target: Field, code: str, text: str, *shown: RawValue) -> InvalidValueError:
    """Build the error; the value is shown shortened, and not at all for a personal field."""
    value = "" if not shown else " a value of another form" if target.personal else f" {_shortened(shown[0])!r}"
    return InvalidValueError(f"{target.name} {text}{value}.", code=code, field_errors={target.name: text})


def _shortened(raw: RawValue) -> str:
    """The value as text; Python refuses to write whole numbers of thousands of digits."""
    return hex(raw)[:60] if isinstance(raw, int) and raw.bit_length() > _SHOWN_BITS else str(raw)[:60]
