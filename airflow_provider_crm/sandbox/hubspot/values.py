"""Read the values of properties as HubSpot does: every one is stored as a text, and shown as that text."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from airflow_provider_crm.sandbox.hubspot.problems import PropertyError, invalid
from airflow_provider_crm.sandbox.wire import ISO_DATE, Json, parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_crm.sandbox.hubspot.properties import DealProperty

_LONGEST_TEXT = 65_536
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
_MILLISECONDS = re.compile(r"-?\d{1,14}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def sent_text(value: Json) -> str | None:
    """Return the text that a value of JSON stands for: numbers and booleans are texts to HubSpot.

    Raises:
        RefusalError: 400, the value is a list or an object.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return format(Decimal(repr(float(value))), "f")
    raise invalid("Invalid input JSON: Cannot deserialize value of type `java.lang.String` from a list or an object")


def stored_text(definition: DealProperty, sent: str, before: str | None) -> str:
    """Return the text to store.

    Args:
        definition: the property, whose options are listed in the definition itself.
        sent: the text, which is not empty.
        before: the text that the record has.

    Raises:
        PropertyError: the property does not take the text.
    """
    if definition.type == "enumeration":
        return _enumeration(definition, sent, before)
    reader = _READERS.get(definition.type)
    return _text(definition, sent) if reader is None else reader(definition, sent)


def stamp(instant: datetime) -> str:
    """Write an instant as HubSpot does: in UTC, with milliseconds unless there are none."""
    text = instant.astimezone(UTC).isoformat(timespec="milliseconds")
    return text[:19] + ("Z" if text[20:23] == "000" else f"{text[19:23]}Z")


def no_option(definition: DealProperty, sent: str) -> PropertyError:
    """Build the error for a value that is no option."""
    options = ", ".join(one.value for one in definition.options)
    message = f"{sent} was not one of the allowed options: [{options}]"
    return PropertyError("INVALID_OPTION", message, definition.name, sent)


def _text(definition: DealProperty, sent: str) -> str:
    if len(sent) > _LONGEST_TEXT:
        message = f"The value has {len(sent)} characters; at most {_LONGEST_TEXT} are allowed."
        raise PropertyError("PROPERTY_VALUE_TOO_LONG", message, definition.name)
    return sent


def _number(definition: DealProperty, sent: str) -> str:
    if not _NUMBER.fullmatch(sent):
        raise PropertyError("INVALID_INTEGER", f"{sent} was not a valid number.", definition.name, sent)
    return sent


def _date(definition: DealProperty, sent: str) -> str:
    moment = _moment(sent)
    if moment is None or "T" in sent:
        raise PropertyError("INVALID_DATE", f"{sent} was not a valid date.", definition.name, sent)
    if moment != moment.replace(hour=0, minute=0, second=0, microsecond=0):
        clock = f"{moment.hour}:{moment.minute}:{moment.second}.{moment.microsecond // 1000}"
        raise PropertyError("INVALID_DATE", f"{sent} is at {clock} UTC, not midnight!", definition.name, sent)
    return moment.date().isoformat()


def _datetime(definition: DealProperty, sent: str) -> str:
    moment = _moment(sent)
    if moment is None:
        raise PropertyError("INVALID_LONG", f"{sent} was not a valid long.", definition.name, sent)
    return stamp(moment)


def _moment(sent: str) -> datetime | None:
    """Read a date, which is midnight in UTC, a datetime with an offset, or milliseconds since 1970."""
    try:
        if _MILLISECONDS.fullmatch(sent):
            return _EPOCH + timedelta(milliseconds=int(sent))
        if ISO_DATE.fullmatch(sent):
            return datetime.fromisoformat(sent).replace(tzinfo=UTC)
        moment = parse_instant(sent)
        return None if moment.utcoffset() is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _bool(definition: DealProperty, sent: str) -> str:
    if sent not in ("true", "false"):
        raise no_option(definition, sent)
    return sent


def _enumeration(definition: DealProperty, sent: str, before: str | None) -> str:
    """Read one option, or several; a semicolon in front adds to those that the record has."""
    if not definition.multiple:
        values = [sent]
    else:
        values = sent.removeprefix(";").split(";")
        if sent.startswith(";") and before:
            values = [*before.split(";"), *values]
    allowed = {one.value for one in definition.options}
    for value in values:
        if value not in allowed:
            raise no_option(definition, value)
    return ";".join(dict.fromkeys(values))


_READERS: dict[str, Callable[[DealProperty, str], str]] = {
    "number": _number,
    "date": _date,
    "datetime": _datetime,
    "bool": _bool,
}
