"""Read what a Close account offers: the fields of an opportunity, its own and custom ones, stages and the currency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.values.hidden_values import HIDDEN
from airflow_provider_crm.values.messages import shown_value
from airflow_provider_crm.values.opportunity import Field, FieldValue, Kind
from airflow_provider_crm.vendors.answers import member, objects_of, text_of
from airflow_provider_crm.vendors.catalogue import Catalogue, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_crm.vendors.records import Json, Record

OWN_FIELDS = (
    Field("deal_value", "value", Kind.MONEY, amount_digits=2),
    Field("deal_currency", "value_currency", Kind.CURRENCY, clearable=False),
    Field("stage", "status_id", Kind.STAGE, clearable=False),
    Field("notes", "note"),
    Field("responsible_user_id", "user_id", Kind.USER, clearable=False),
    Field("date_won", "date_won", Kind.DATE),
    Field("value", "value", Kind.INTEGER, amount_digits=2),
    Field("value_period", "value_period", choices=("one_time", "monthly", "annual"), clearable=False),
    Field("status_id", "status_id", clearable=False),
    Field("note", "note"),
    Field("user_id", "user_id", Kind.USER, clearable=False),
    Field("confidence", "confidence", Kind.INTEGER, clearable=False),
    Field("contact_id", "contact_id"),
)

CUSTOM_PREFIX = "custom."
"""Beginning of the keys of custom fields."""
LIST_ITEM_SUFFIXES = (".add", ".remove")
"""Ends of the keys that add one value to a custom field's list, or remove one."""

# Close stores money as an integer "in cents", and does not document currencies with another number of decimals. Those
# are refused rather than written a hundred times too large or small.
# fmt: off
NOT_TWO_DECIMALS = frozenset({
    "BHD", "BIF", "CLF", "CLP", "DJF", "GNF", "IQD", "ISK", "JOD", "JPY", "KMF", "KRW", "KWD",
    "LYD", "OMR", "PYG", "RWF", "TND", "UGX", "UYI", "UYW", "VND", "VUV", "XAF", "XOF", "XPF",
})
# fmt: on

_CUSTOM_KINDS = {"number": Kind.NUMBER, "date": Kind.DATE, "datetime": Kind.DATETIME, "user": Kind.USER}


def custom_fields(definition: Record) -> list[Field]:
    """Return the fields that write one custom field: itself, and the two for a part of its list."""
    name = f"{CUSTOM_PREFIX}{text_of(definition.get('id'))}"
    multiple = definition.get("accepts_multiple_values") is True
    kind = _CUSTOM_KINDS.get(text_of(definition.get("type")), Kind.TEXT)
    field = Field(name, name, kind, multiple=multiple)
    if not multiple:
        return [field]
    return [
        field,
        *(Field(name + suffix, name + suffix, kind, clearable=False, partial=True) for suffix in LIST_ITEM_SUFFIXES),
    ]


def find_stage(field: Field, label: str, catalogue: Catalogue) -> Stage:
    """Find a stage by id or by `Pipeline/Label`, or by its label alone where the organization has one pipeline.

    With several pipelines a label alone could move a deal into another one: a row does not say in which its deal is.
    """
    wanted = label.strip()
    matches = [stage for stage in catalogue.stages if wanted in (stage.id, f"{stage.pipeline}/{stage.label}")]
    labelled = [] if matches else [stage for stage in catalogue.stages if stage.label == wanted]
    several = len({(stage.pipeline_id, stage.pipeline) for stage in catalogue.stages}) > 1
    matches = matches or ([] if several else labelled)
    if len(matches) == 1:
        return matches[0]
    if labelled and several:
        problem = "names no pipeline, and this organization has several; write"
    else:
        problem = "stands for several stages; write one of" if matches else "is no stage of this organization; it has"
    # Similar stages would reveal a hidden value.
    candidates = catalogue.stages if field.personal else matches or labelled or catalogue.stages
    choices = " or ".join(f"{stage.pipeline}/{stage.label} ({stage.id})" for stage in candidates)
    msg = f"stage {shown_value(field, wanted)} {problem} {choices}."
    raise InvalidValueError(msg, vendor="close", code="STAGE", field_errors={"stage": problem})


def check_currency(field: Field, value: FieldValue, catalogue: Catalogue) -> None:
    """Refuse a currency other than the organization's.

    Raises:
        InvalidValueError: It is another one.
    """
    if value != catalogue.currency:
        msg = (
            f"deal_currency is {HIDDEN if field.personal else value}, and this Close organization keeps all values in "
            f"{catalogue.currency or 'an unknown currency'}; convert the value in the query."
        )
        raise InvalidValueError(msg, vendor="close", code="CURRENCY", field_errors={"deal_currency": msg})


def read_catalogue(answers: Sequence[Json]) -> Catalogue:
    """Return Close's own fields, and custom fields (own and shared) if their schema is among the answers."""
    organizations = member(answers[0], "organizations")
    organization = organizations[0] if isinstance(organizations, list) and organizations else {}
    fields, labels = {field.name: field for field in OWN_FIELDS}, {}
    for answer in answers[1:]:
        for definition in objects_of(member(answer, "fields")):
            custom = custom_fields(definition)
            fields.update({field.name: field for field in custom})
            labels[custom[0].name] = text_of(definition.get("name"))
    return Catalogue(
        fields=fields,
        labels={name: label for name, label in labels.items() if label},
        custom_prefix=CUSTOM_PREFIX,
        name_key="lead_name",
        organization=text_of(member(organization, "id")) or None,
        currency=text_of(member(organization, "currency")).upper() or None,
        stages=tuple(
            Stage(
                id=text_of(status.get("id")),
                label=text_of(status.get("label")),
                type=text_of(status.get("type")),
                pipeline=text_of(pipeline.get("name")),
                pipeline_id=text_of(pipeline.get("id")),
            )
            for pipeline in objects_of(member(organization, "pipelines"))
            for status in objects_of(pipeline.get("statuses"))
        ),
    )
