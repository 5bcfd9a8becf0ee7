"""Batchly's fields, how their values are written, and how a record shows them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.values.conversion import same_value
from airflow_provider_crm.values.messages import shown_value
from airflow_provider_crm.values.opportunity import Field, FieldValue, Kind
from airflow_provider_crm.values.time_zones import zone
from airflow_provider_crm.vendors.answers import items_of, member, objects_of, text_of
from airflow_provider_crm.vendors.catalogue import Catalogue, Stage
from airflow_provider_crm.vendors.records import Json, Record

ZONE_FACT, CURRENCIES_FACT = "time_zone", "currencies"
DATE_WON = Field("date_won", "close_date", Kind.DATE)
PLAIN_FIELDS = (
    Field("deal_value", "amount", Kind.MONEY, amount_digits=0),
    Field("deal_currency", "currency", Kind.CURRENCY),
    Field("notes", "description"),
    Field("responsible_user_id", "owner_id", Kind.USER),
    Field("name", "name", clearable=False),
    Field("amount", "amount", Kind.MONEY, amount_digits=0),
    Field("currency", "currency", Kind.CURRENCY),
    Field("description", "description"),
    Field("owner_id", "owner_id", Kind.USER),
    Field("contact_email", "contact_email", personal=True),
)
STAGE_FIELDS = (
    Field("stage", "deal_stage", Kind.STAGE, clearable=False, also_writes=("pipeline_id",)),
    DATE_WON,
    Field("deal_stage", "deal_stage", clearable=False),
    Field("pipeline_id", "pipeline_id", clearable=False),
    Field("close_date", "close_date", Kind.DATETIME),
)

_KINDS = {"number": Kind.NUMBER, "date": Kind.DATE, "datetime": Kind.DATETIME, "bool": Kind.BOOLEAN}
_NOON = dt.time(12)


def spell(_key: str, value: FieldValue) -> str:
    """Return a value as the wire has it: always text, and no text to clear."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return {None: "", True: "true", False: "false"}[value]
    if isinstance(value, tuple):
        return ";".join(spell(_key, item) for item in value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def vendor_values(
    field: Field, values: Sequence[FieldValue], catalogue: Catalogue
) -> Mapping[str, Sequence[FieldValue]]:
    """Return the values by key; a stage sets its pipeline, too.

    Raises:
        InvalidValueError: A stage or currency that the account does not have.
    """
    if field.kind is Kind.STAGE:
        stages = {label: _find_stage(field, label, catalogue) for label in set(values) if isinstance(label, str)}
        found = [stages[value] for value in values if isinstance(value, str)]
        return {field.target: [one.id for one in found], "pipeline_id": [one.pipeline_id for one in found]}
    if field.name == DATE_WON.name:
        return {field.target: [_noon(day, catalogue) for day in values]}
    if field.kind is Kind.DATETIME:
        return {field.target: [one.astimezone(dt.UTC) if isinstance(one, dt.datetime) else one for one in values]}
    if field.kind is Kind.CURRENCY:
        _check_currencies(field, values, catalogue)
    return {field.target: values}


def shown(key: str, record: Record, catalogue: Catalogue) -> tuple[Json, ...]:
    """Return the value of a key in a record, in the form that its field takes; none if the record does not show it."""
    properties = member(record, "properties")
    if not isinstance(properties, dict) or key not in properties:
        return ()
    text, field = properties[key], catalogue.fields.get(key)
    if text in (None, ""):
        return (None,)
    if field is not None and field.multiple and isinstance(text, str):
        return (list[Json](text.split(";")),)
    if field is not None and field.kind is Kind.BOOLEAN and text in ("true", "false"):
        return (text == "true",)
    return (text,)


def shows(key: str, sent: FieldValue, record: Record, catalogue: Catalogue) -> bool:
    """Return whether a record shows a value that was sent; what it leaves out it does not show."""
    values = shown(key, record, catalogue)
    if isinstance(sent, bool):
        return values == (sent,) and isinstance(values[0], bool)
    return bool(values) and same_value(sent or None if isinstance(sent, tuple) else sent, values[0])


def read_catalogue(answers: Mapping[str, Json], own: Sequence[Field]) -> Catalogue:
    """Return what an account offers.

    Args:
        answers: The answers to the calls for `account`, and to those for `pipelines` and `schema`, if they were made.
        own: The fields that every account has.
    """
    account, fields, labels = answers["account"], {field.name: field for field in own}, {}
    taken = {field.target for field in own}
    for definition in objects_of(member(answers.get("schema"), "results")):
        name = text_of(definition.get("name"))
        if name and name not in taken and definition.get("readOnlyValue") is not True:
            fields[name] = _custom_field(name, definition)
            labels[name] = text_of(definition.get("label"))
    facts = {ZONE_FACT: member(account, "timeZone"), CURRENCIES_FACT: member(account, "currencies")}
    return Catalogue(
        fields=fields,
        organization=text_of(member(account, "accountId")) or None,
        stages=tuple(_stages(answers.get("pipelines"))),
        labels={name: label for name, label in labels.items() if label and label != name},
        custom_prefix="c_",
        facts=facts,
    )


def _custom_field(name: str, definition: Record) -> Field:
    kind = _KINDS.get(text_of(definition.get("type")), Kind.TEXT)
    options = tuple(text_of(one.get("value")) for one in objects_of(definition.get("options")))
    return Field(name, name, kind, multiple=definition.get("multiple") is True, choices=options)


def _stages(answer: Json) -> list[Stage]:
    return [
        Stage(
            id=text_of(stage.get("id")),
            label=text_of(stage.get("label")),
            type=_stage_type(stage),
            pipeline=text_of(pipeline.get("label")),
            pipeline_id=text_of(pipeline.get("id")),
        )
        for pipeline in objects_of(member(answer, "results"))
        for stage in objects_of(pipeline.get("stages"))
    ]


def _stage_type(stage: Record) -> str:
    if stage.get("isWon") == "true":
        return "won"
    return "lost" if stage.get("isClosed") == "true" else "active"


def _find_stage(field: Field, label: str, catalogue: Catalogue) -> Stage:
    """Find a stage by its id, or by `Pipeline/Label`: a label alone may stand in several pipelines."""
    wanted = label.strip()
    for stage in catalogue.stages:
        if wanted in (stage.id, f"{stage.pipeline}/{stage.label}"):
            return stage
    known = " or ".join(f"{stage.pipeline}/{stage.label} ({stage.id})" for stage in catalogue.stages)
    problem = f"is no stage of this account; write {known}"
    msg = f"{field.name} {shown_value(field, wanted)} {problem}."
    raise InvalidValueError(msg, code="STAGE", field_errors={field.name: problem})


def _noon(day: FieldValue, catalogue: Catalogue) -> FieldValue:
    """Return noon of a day in the portal's zone, which is that day to everybody who looks there."""
    if not isinstance(day, dt.date):
        return day
    name = text_of(catalogue.facts.get(ZONE_FACT)) or "UTC"
    return dt.datetime.combine(day, _NOON, tzinfo=zone(name)).astimezone(dt.UTC)


def _check_currencies(field: Field, values: Sequence[FieldValue], catalogue: Catalogue) -> None:
    known = [text_of(one) for one in items_of(catalogue.facts.get(CURRENCIES_FACT))]
    for value in set(values) - {None, *known}:
        problem = f"is no currency of this account; it has {', '.join(known)}"
        msg = f"{field.name} {shown_value(field, str(value))} {problem}."
        raise InvalidValueError(msg, code="CURRENCY", field_errors={field.name: problem})
