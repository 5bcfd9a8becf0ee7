"""Write values as Salesforce stores them, and compare what a record shows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import ConfigurationError, InvalidValueError
from airflow_provider_crm.values.conversion import same_value
from airflow_provider_crm.values.hidden_values import HIDDEN
from airflow_provider_crm.values.messages import shown_value
from airflow_provider_crm.values.numbers import json_number
from airflow_provider_crm.values.opportunity import Field, FieldValue, Kind
from airflow_provider_crm.vendors.answers import items_of, member, text_of
from airflow_provider_crm.vendors.calls import RecordRule
from airflow_provider_crm.vendors.records import Json
from airflow_provider_crm.vendors.salesforce.fields import (
    AMOUNT,
    API_NAMES_FACT,
    CLOSE_DATE,
    CURRENCIES_FACT,
    CURRENCY,
    IDS_FACT,
    OPTIONS_FACT,
    SIZES_FACT,
    UNWRITABLE_FACT,
)
from airflow_provider_crm.vendors.salesforce.ids import canonical_id, is_id

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.catalogue import Catalogue, Stage
    from airflow_provider_crm.vendors.records import Record

_MOST_CHOICES = 30
_VENDOR = "crm_salesforce"
_HAS_PRODUCTS = "HasOpportunityLineItem"


def vendor_values(
    field: Field, values: Sequence[FieldValue], catalogue: Catalogue
) -> Mapping[str, Sequence[FieldValue]]:
    """Return values by key: picklist values, long ids, numbers of the field's scale; no currency in an org of one.

    Raises:
        InvalidValueError: The org does not take one of them.
        ConfigurationError: The running user cannot write the field.
    """
    problem = text_of(member(catalogue.facts.get(UNWRITABLE_FACT), field.target))
    if problem:
        msg = f"Salesforce cannot write {field.name} ({field.target}): {problem}. Grant the right, or leave it out."
        raise ConfigurationError(msg, vendor=_VENDOR, code="FIELD_SECURITY")
    if field.kind is Kind.CURRENCY:
        _check_currencies(field, values, catalogue)
        return {field.target: values} if CURRENCY in catalogue.fields else {}
    return {field.target: [None if value is None else _written(field, value, catalogue) for value in values]}


def spell(_key: str, value: FieldValue) -> Json:
    """Return a value as the wire has it."""
    if isinstance(value, tuple):
        return ";".join(map(str, value)) or None
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, dt.date):
        return value.isoformat()
    return json_number(value) if isinstance(value, Decimal) else value


def shown(key: str, record: Record, catalogue: Catalogue) -> tuple[Json, ...]:
    """Return the value of a field in the form that it takes; none if the record does not show it."""
    if key not in record:
        return ()
    value, field = record[key], catalogue.fields.get(key)
    if value in (None, ""):
        return (None,)
    if field is not None and field.multiple and isinstance(value, str):
        return (list[Json](filter(None, value.split(";"))),)
    return (value,)


def shows(key: str, sent: FieldValue, record: Record, catalogue: Catalogue) -> bool:
    """Return whether a record shows a value that was sent; what it leaves out it does not show."""
    values = shown(key, record, catalogue)
    return bool(values) and same_value(sent or None if isinstance(sent, tuple) else sent, values[0])


def cause_of(keys: Sequence[str]) -> str:
    """Say what the likely cause is that a record does not show what was written to some keys."""
    causes = []
    if AMOUNT in keys:
        causes.append("Salesforce keeps the Amount of an opportunity that has products (HasOpportunityLineItem)")
    if CLOSE_DATE in keys:
        causes.append("Salesforce moves a future CloseDate to today, in UTC, when the opportunity is won")
    if not causes or set(keys) - {AMOUNT, CLOSE_DATE}:
        causes.append("a flow, trigger or workflow of the org may have changed it")
    return f"Likely cause: {'; '.join(causes)}."


def _held(key: str, record: Record) -> str:
    if key != AMOUNT or record.get(_HAS_PRODUCTS) is not True:
        return ""
    return (
        "The opportunity has products, so that Salesforce would accept the Amount and keep the sum of the products. "
        "Change the products, or leave the value out."
    )


HELD_BY_PRODUCTS = RecordRule((_HAS_PRODUCTS,), _held)
"""Salesforce keeps the Amount of an opportunity that has products."""


def _written(field: Field, value: FieldValue, catalogue: Catalogue) -> FieldValue:
    """Return one value in the form that is written.

    Raises:
        InvalidValueError: The org does not take it.
    """
    key = field.target
    if field.kind is Kind.STAGE:
        return _find_stage(field, text_of(value), catalogue).id  # type: ignore[arg-type]
    if field.kind is Kind.USER or key in items_of(catalogue.facts.get(IDS_FACT)):
        return _id(field, text_of(value))  # type: ignore[arg-type]
    if isinstance(value, (bool, dt.date)):
        return value.astimezone(dt.UTC).replace(microsecond=0) if isinstance(value, dt.datetime) else value
    if isinstance(value, (int, Decimal)):
        return _number(field, value, catalogue)
    options = items_of(member(catalogue.facts.get(OPTIONS_FACT), key))
    if options:
        return _options_of(field, value, options)
    return _text(field, value, catalogue)


def _invalid(field: Field, code: str, problem: str, message: str) -> InvalidValueError:
    return InvalidValueError(message, vendor=_VENDOR, code=code, field_errors={field.name: problem})


def _sizes(key: str, catalogue: Catalogue) -> list[int]:
    """Return length, precision and scale of a field; 0 for each that is not known."""
    sizes = items_of(member(catalogue.facts.get(SIZES_FACT), key))
    return [one for one in sizes if isinstance(one, int)] or [0, 0, 0]


def _text(field: Field, value: FieldValue, catalogue: Catalogue) -> FieldValue:
    """Check the length of a text.

    Raises:
        InvalidValueError: It is too long.
    """
    longest = _sizes(field.target, catalogue)[0]
    if longest and isinstance(value, str) and len(value.strip()) > longest:
        problem = f"takes {longest} characters, the row has {len(value.strip())}"
        raise _invalid(field, "TOO_LONG", problem, f"{field.name} {problem}.")
    return value


def _number(field: Field, value: int | Decimal, catalogue: Catalogue) -> FieldValue:
    """Return a number with the decimal places of its field; money is never rounded twice.

    Raises:
        InvalidValueError: It is too large, or an amount with more decimal places than the field.
    """
    _, precision, scale = _sizes(field.target, catalogue)
    if not precision:
        return value
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP)
    if field.kind is Kind.MONEY and rounded != value:
        problem = f"takes {scale} decimal places"
        raise _invalid(field, "SCALE", problem, f"{field.name} {shown_value(field, str(value))} {problem}.")
    if abs(rounded) >= Decimal(10) ** (precision - scale):
        problem = f"takes {precision - scale} digits before the decimal point"
        raise _invalid(field, "TOO_LARGE", problem, f"{field.name} {shown_value(field, str(value))} {problem}.")
    return value if isinstance(value, int) else rounded.normalize() + 0


def _id(field: Field, text: str) -> str:
    """Return an id in eighteen characters.

    Raises:
        InvalidValueError: It is none.
    """
    wanted = text.strip()
    if not is_id(wanted):
        problem = "takes an id of Salesforce, of fifteen or eighteen characters"
        raise _invalid(field, "ID", problem, f"{field.name} {shown_value(field, wanted)} {problem}.")
    return canonical_id(wanted)


def _options_of(field: Field, value: FieldValue, options: Sequence[Json]) -> FieldValue:
    is_free, *listed = options
    pairs = [(text_of(own), text_of(label)) for own, label in map(items_of, listed)]
    if isinstance(value, tuple):
        return tuple(dict.fromkeys(_option(field, text_of(one), pairs, is_free=bool(is_free)) for one in value))  # type: ignore[arg-type]
    return _option(field, text_of(value), pairs, is_free=bool(is_free))  # type: ignore[arg-type]


def _option(field: Field, wanted: str, pairs: Sequence[tuple[str, str]], *, is_free: bool) -> str:
    """Return the option that a row names by its value, or by a label that no other option has.

    Raises:
        InvalidValueError: There is no such option, or there are several.
    """
    found = [own for own, _ in pairs if own == wanted] or [own for own, label in pairs if label == wanted]
    if len(found) == 1:
        return found[0]
    if is_free and not found:
        return wanted
    problem = "is the label of several options; write one of" if found else "is not one of its options; write one of"
    choices = [own if own == label else f"{own} ({label})" for own, label in pairs if not found or own in found]
    rest = f" and {len(choices) - _MOST_CHOICES} more" if len(choices) > _MOST_CHOICES else ""
    msg = f"{field.name} {shown_value(field, wanted)} {problem} {', '.join(choices[:_MOST_CHOICES])}{rest}."
    raise _invalid(field, "CHOICE", problem, msg)


def _find_stage(field: Field, wanted: str, catalogue: Catalogue) -> Stage:
    """Find an active stage by the value of the picklist, its label, or its API name.

    Raises:
        InvalidValueError: There is no such stage.
    """
    names = catalogue.facts.get(API_NAMES_FACT)
    for stage in catalogue.stages:
        if wanted in (stage.id, stage.label):
            return stage
    for stage in catalogue.stages:
        if wanted and wanted == member(names, stage.id):
            return stage
    problem = "is no active stage of this org; it has"
    choices = ", ".join(stage.label for stage in catalogue.stages)
    raise _invalid(field, "STAGE", problem, f"{field.name} {shown_value(field, wanted)} {problem} {choices}.")


def _check_currencies(field: Field, values: Sequence[FieldValue], catalogue: Catalogue) -> None:
    """Refuse a currency that the org does not have.

    Raises:
        InvalidValueError: It is another one.
    """
    allowed = [text_of(one) for one in items_of(catalogue.facts.get(CURRENCIES_FACT))]
    if CURRENCY not in catalogue.fields:
        allowed = [catalogue.currency] if catalogue.currency else []
    for value in dict.fromkeys(values):
        if value not in allowed:
            has = f"has {', '.join(allowed)}" if allowed else "does not show its currency"
            problem = f"is {HIDDEN if field.personal else value}, and this Salesforce org {has}"
            msg = f"{field.name} {problem}; convert the value in the query, or leave the column out."
            raise _invalid(field, "CURRENCY", problem, msg)
