"""Fields of a Close opportunity: its own and custom ones, stages, money, and how a record shows what was written."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import ConfigurationError, InvalidValueError
from airflow_provider_crm.values.conversion import same_value
from airflow_provider_crm.values.hidden_values import HIDDEN
from airflow_provider_crm.values.messages import shown_value
from airflow_provider_crm.values.opportunity import Field, FieldValue, Kind
from airflow_provider_crm.vendors.answers import items_of, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_crm.vendors.catalogue import Catalogue, Stage
    from airflow_provider_crm.vendors.records import Record

OWN_FIELDS = (
    Field("deal_value", "value", Kind.MONEY),
    Field("deal_currency", "value_currency", Kind.CURRENCY, clearable=False, written=False),
    Field("stage", "status_id", Kind.STAGE, clearable=False),
    Field("notes", "note"),
    Field("responsible_user_id", "user_id", Kind.USER, clearable=False),
    Field("date_won", "date_won", Kind.DATE),
    Field("value", "value", Kind.INTEGER),
    Field("value_period", "value_period", choices=("one_time", "monthly", "annual"), clearable=False),
    Field("status_id", "status_id", clearable=False),
    Field("note", "note"),
    Field("user_id", "user_id", Kind.USER, clearable=False),
    Field("confidence", "confidence", Kind.INTEGER, clearable=False),
    Field("contact_id", "contact_id"),
)

LIST_ITEM_SUFFIXES = (".add", ".remove")
"""Ends of the keys that add one value to a custom field's list, or remove one."""

_CUSTOM_KINDS = {"number": Kind.NUMBER, "date": Kind.DATE, "datetime": Kind.DATETIME, "user": Kind.USER}

# Close stores money as an integer "in cents", and does not document currencies with another number of decimals. Those
# are refused rather than written a hundred times too large or small.
# fmt: off
_NOT_TWO_DECIMALS = frozenset({
    "BHD", "BIF", "CLF", "CLP", "DJF", "GNF", "IQD", "ISK", "JOD", "JPY", "KMF", "KRW", "KWD",
    "LYD", "OMR", "PYG", "RWF", "TND", "UGX", "UYI", "UYW", "VND", "VUV", "XAF", "XOF", "XPF",
})
# fmt: on


def custom_fields(definition: Record) -> list[Field]:
    """Return the fields that write one custom field: itself, and the two for a part of its list."""
    name = f"custom.{text_of(definition.get('id'))}"
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


def in_cents(values: Sequence[FieldValue], catalogue: Catalogue) -> list[FieldValue]:
    """Return amounts as Close stores them.

    Raises:
        ConfigurationError: Close does not document the minor unit of the organization's currency.
    """
    if catalogue.currency in _NOT_TWO_DECIMALS:
        msg = (
            f"This Close organization counts in {catalogue.currency}, whose minor unit is not documented by Close. "
            "Map the column to 'value' instead and give it in Close's own integer unit."
        )
        raise ConfigurationError(msg, vendor="close", code="MINOR_UNIT")
    return [int(value * 100) if isinstance(value, Decimal) else None for value in values]


def shows(record: Record, key: str, sent: FieldValue) -> bool:
    """Return whether a record shows a written value; for a part of a list, whether the list has it."""
    name, dot, suffix = key.rpartition(".")
    if dot + suffix in LIST_ITEM_SUFFIXES:
        contained = any(same_value(sent, item) for item in items_of(record.get(name)))
        return contained is (suffix == "add")
    return same_value(sent, record.get(key))


def shows_some_user(record: Record, key: str, sent: FieldValue) -> bool:
    """Return whether a custom field shows a user's id where a name was sent.

    Close takes an exact name and answers the id, so an echo only shows that a user was set.
    """
    is_name = isinstance(sent, str) and not sent.startswith("user_")
    return key.startswith("custom.") and is_name and text_of(record.get(key)).startswith("user_")
