"""Write values as HubSpot stores them, and compare what a record shows. Every value is a text on the wire."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import ConfigurationError, InvalidValueError
from airflow_provider_crm.values.conversion import same_value
from airflow_provider_crm.values.hidden_values import HIDDEN
from airflow_provider_crm.values.messages import shown_value
from airflow_provider_crm.values.opportunity import Field, FieldValue, Kind
from airflow_provider_crm.values.time_zones import local_date, parse_moment, zone
from airflow_provider_crm.vendors.answers import items_of, member, text_of
from airflow_provider_crm.vendors.hubspot.fields import (
    CLOSE_DATE,
    CURRENCIES_FACT,
    CURRENCY,
    DATE_WON,
    OPTIONS_FACT,
    OWNER,
    OWNERS_FACT,
    PIPELINE,
    TYPED_FACT,
)
from airflow_provider_crm.vendors.records import Json

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.catalogue import Catalogue, Stage
    from airflow_provider_crm.vendors.records import Record

_NOON = dt.time(12)
_WORDS = {True: "true", False: "false"}
_MOST_CHOICES, _MANY_ROWS = 30, 100
_IDS = frozenset({"dealstage", PIPELINE})


def vendor_values(
    field: Field, values: Sequence[FieldValue], catalogue: Catalogue
) -> Mapping[str, Sequence[FieldValue]]:
    """Return values by key; a stage sets its pipeline, too, and the only currency of a portal is not written.

    Raises:
        InvalidValueError: The portal has no such stage, option, owner or currency.
        ConfigurationError: HubSpot does not show in which zone a date is meant.
    """
    if field.kind is Kind.STAGE:
        stages = {label: _find_stage(field, label, catalogue) for label in set(values) if isinstance(label, str)}
        found = [stages[value] for value in values if isinstance(value, str)]
        return {field.target: [one.id for one in found], PIPELINE: [one.pipeline_id for one in found]}
    if field.kind is Kind.CURRENCY:
        _check_currencies(field, values, catalogue)
        return {field.target: values} if CURRENCY in catalogue.fields else {}
    if field.name == DATE_WON.name:
        return {field.target: [_noon(day, catalogue) for day in values]}
    if field.kind is Kind.DATETIME:
        return {field.target: [_stored_moment(moment) for moment in values]}
    return {field.target: _texts(field, values, catalogue)}


def spell(_key: str, value: FieldValue) -> str:
    """Return a value as the wire has it: always text, and no text to clear."""
    if isinstance(value, str) or value is None:
        return value or ""
    if isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, tuple):
        return ";".join(spell(_key, item) for item in value)
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="milliseconds" if value.microsecond else "seconds").replace("+00:00", "Z")
    if isinstance(value, dt.date):
        return value.isoformat()
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def shown(key: str, record: Record, catalogue: Catalogue) -> tuple[Json, ...]:
    """Return the value of a property in the form that its field takes; none if the record does not show it."""
    properties = member(record, "properties")
    if not isinstance(properties, dict) or key not in properties:
        return ()
    text, field = properties[key], catalogue.fields.get(key)
    if text in (None, ""):
        return (None,)
    if field is not None and field.multiple and isinstance(text, str):
        return (list[Json](filter(None, text.split(";"))),)
    if field is not None and field.kind is Kind.BOOLEAN and text in ("true", "false"):
        return (text == "true",)
    return (text,)


def shows(key: str, sent: FieldValue, record: Record, catalogue: Catalogue) -> bool:
    """Return whether a record shows a value that was sent; what it leaves out it does not show.

    Noon of a day in the portal's zone stands for the day: a close date at any time of that day shows it.
    """
    values = shown(key, record, catalogue)
    if not values:
        return False
    if same_value(sent or None if isinstance(sent, tuple) else sent, values[0]):
        return True
    return key == CLOSE_DATE and isinstance(sent, dt.datetime) and _is_that_day(sent, values[0], catalogue)


def _is_that_day(noon: dt.datetime, value: Json, catalogue: Catalogue) -> bool:
    """Return whether a moment is noon of a day in the portal's zone, and a value another moment of that day."""
    moment = parse_moment(value) if isinstance(value, str) else None
    if catalogue.timezone is None or not isinstance(moment, dt.datetime) or moment.tzinfo is None:
        return False
    if noon.astimezone(zone(catalogue.timezone)).time() != _NOON:
        return False
    return local_date(moment, catalogue.timezone) == local_date(noon, catalogue.timezone)


def _noon(day: FieldValue, catalogue: Catalogue) -> FieldValue:
    """Return noon of a day in the portal's zone, so that people there see that day.

    HubSpot stores the close date as an instant, and would take a date alone for midnight in UTC: the evening before to
    people in America.

    Raises:
        ConfigurationError: HubSpot does not show the zone.
    """
    if not isinstance(day, dt.date):
        return day
    if catalogue.timezone is None:
        msg = (
            f"HubSpot does not show the time zone of this portal, in which {DATE_WON.name} is meant; map {CLOSE_DATE}."
        )
        raise ConfigurationError(msg, vendor="hubspot", code="TIME_ZONE")
    return dt.datetime.combine(day, _NOON, tzinfo=zone(catalogue.timezone)).astimezone(dt.UTC)


def _stored_moment(moment: FieldValue) -> FieldValue:
    """Return a moment in UTC, cut to the milliseconds that HubSpot stores."""
    if not isinstance(moment, dt.datetime):
        return moment
    return moment.astimezone(dt.UTC).replace(microsecond=moment.microsecond // 1000 * 1000)


def _texts(field: Field, values: Sequence[FieldValue], catalogue: Catalogue) -> Sequence[FieldValue]:
    """Return the values of options, the ids of owners, and other values without blanks, unless they are free text."""
    if field.kind is Kind.USER:
        return [_owner_of(field, value, catalogue) for value in values]
    if field.kind is not Kind.TEXT:
        return values
    options = items_of(member(catalogue.facts.get(OPTIONS_FACT), field.target))
    if options:
        return _options_of(field, values, options)
    if field.target in _IDS or field.target in items_of(catalogue.facts.get(TYPED_FACT)):
        return [value.strip() if isinstance(value, str) else value for value in values]
    return values


def _options_of(field: Field, values: Sequence[FieldValue], options: Sequence[Json]) -> list[FieldValue]:
    """Return the options that rows name.

    Raises:
        InvalidValueError: One of them is no option.
        ConfigurationError: None of many is one: the property has changed, or the column is that of another one.
    """
    pairs = [(str(own), str(label)) for own, label in map(items_of, options)]
    given = dict.fromkeys(str(item).strip() for value in values if value is not None for item in _items(value))
    if len(values) >= _MANY_ROWS and given and given.keys().isdisjoint(text.strip() for pair in pairs for text in pair):
        msg = (
            f"None of the values of {len(values)} rows for {field.name} is one of its options in this HubSpot portal: "
            "the property has changed, or the column belongs to another one."
        )
        raise ConfigurationError(msg, vendor="hubspot", code="CHOICE")
    found = {text: _option(field, text, pairs) for text in given}
    return [
        tuple(dict.fromkeys(found[str(item).strip()] for item in value))
        if isinstance(value, tuple)
        else value
        if value is None
        else found[str(value).strip()]
        for value in values
    ]


def _items(value: FieldValue) -> tuple[FieldValue, ...]:
    return value if isinstance(value, tuple) else (value,)


def _option(field: Field, wanted: str, pairs: Sequence[tuple[str, str]]) -> str:
    """Return the option that a row names by its value, or by a label that no other option has.

    Args:
        field: The field.
        wanted: The text of the row.
        pairs: Value and label of each option.

    Raises:
        InvalidValueError: There is no such option, or there are several.
    """
    labelled = [own for own, label in pairs if label.strip() == wanted]
    found = [own for own, _ in pairs if own.strip() == wanted] or labelled
    if len(found) == 1:
        return found[0]
    problem = "is the label of several options; write one of" if found else "is not one of its options; write one of"
    listed = [f"{own} ({label})" for own, label in pairs if not found or own in found]
    rest = f" and {len(listed) - _MOST_CHOICES} more" if len(listed) > _MOST_CHOICES else ""
    msg = f"{field.name} {shown_value(field, wanted)} {problem} {', '.join(listed[:_MOST_CHOICES])}{rest}."
    raise InvalidValueError(msg, vendor="hubspot", code="CHOICE", field_errors={field.name: problem})


def _owner_of(field: Field, value: FieldValue, catalogue: Catalogue) -> FieldValue:
    """Return the id of an owner, whom `responsible_user_id` may name by e-mail address.

    Raises:
        InvalidValueError: No active user of the portal, or more than one, has the address.
    """
    if not isinstance(value, str):
        return value
    wanted = value.strip()
    if field.name != OWNER.name or "@" not in wanted:
        return wanted
    found = items_of(member(catalogue.facts.get(OWNERS_FACT), wanted.lower()))
    if len(found) == 1:
        return text_of(found[0])
    problem = "is the address of several users" if found else "is the address of no active user of this portal"
    msg = f"{field.name} {shown_value(field, wanted)} {problem}; write the id of the owner."
    raise InvalidValueError(msg, vendor="hubspot", code="OWNER", field_errors={field.name: problem})


def _find_stage(field: Field, label: str, catalogue: Catalogue) -> Stage:
    """Find a stage by its id, by `Pipeline/Label`, or by a label that only one stage of all pipelines has.

    Raises:
        InvalidValueError: There is no such stage, or there are several.
    """
    wanted, stages = text_of(label), catalogue.stages
    matches = [stage for stage in stages if wanted in (stage.id, f"{stage.pipeline}/{stage.label}")]
    matches = matches or [stage for stage in stages if stage.label == wanted]
    if len(matches) == 1:
        return matches[0]
    problem = "stands for several stages; write one of" if matches else "is no stage of this portal; it has"
    # Similar stages would reveal a hidden value.
    candidates = stages if field.personal else matches or stages
    choices = " or ".join(f"{stage.pipeline}/{stage.label} ({stage.id})" for stage in candidates)
    msg = f"{field.name} {shown_value(field, wanted)} {problem} {choices}."
    raise InvalidValueError(msg, vendor="hubspot", code="STAGE", field_errors={field.name: problem})


def _check_currencies(field: Field, values: Sequence[FieldValue], catalogue: Catalogue) -> None:
    """Refuse a currency that the portal does not have.

    Raises:
        InvalidValueError: It is another one.
    """
    known = [text_of(one) for one in items_of(catalogue.facts.get(CURRENCIES_FACT))]
    allowed = known if CURRENCY in catalogue.fields else known[:1]
    for value in dict.fromkeys(values):
        if value not in allowed:
            has = f"has {', '.join(allowed)}" if allowed else "does not show its currency"
            problem = f"is {HIDDEN if field.personal else value}, and this HubSpot portal {has}"
            msg = f"{field.name} {problem}; convert the value in the query, or add the currency to the portal."
            raise InvalidValueError(msg, vendor="hubspot", code="CURRENCY", field_errors={field.name: problem})
