"""Compare what a record shows with what was sent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

from airflow_provider_crm.values.numbers import JSON_NUMBER_DIGITS, PLAIN_NUMBER
from airflow_provider_crm.values.opportunity import FieldValue
from airflow_provider_crm.values.time_zones import parse_moment


def same_value(sent: FieldValue, shown: object) -> bool:
    """Return whether a vendor's record shows the value that was sent, in any of the ways to write it.

    Numbers compare as decimals, also when shown as text, or as the doubles that JSON carries. Dates compare as dates,
    moments as instants, lists without order, and text without surrounding white space. A cleared field shows as null,
    as empty text or as an empty list.
    """
    if sent is None:
        return shown is None or shown in ("", [])
    if isinstance(sent, tuple):
        return isinstance(shown, list) and _same_values(sent, shown)
    if isinstance(sent, (int, Decimal)):
        return _same_number(sent, _shown_number(shown))
    if isinstance(sent, dt.datetime):
        moment = _shown_moment(shown)
        return isinstance(moment, dt.datetime) and moment.tzinfo is not None and _instant(moment) == _instant(sent)
    if isinstance(sent, dt.date):
        moment = _shown_moment(shown)
        return (moment.date() if isinstance(moment, dt.datetime) else moment) == sent
    return ("" if shown is None else str(shown)).strip() == sent.strip()


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


def _shown_moment(shown: object) -> dt.date | dt.datetime | None:
    return parse_moment(shown) if isinstance(shown, str) else None
