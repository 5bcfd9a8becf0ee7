"""Read what an org offers to the running user: the fields of its opportunities, stages and currencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_crm.values.opportunity import Field, Kind
from airflow_provider_crm.vendors.answers import member, objects_of, text_of
from airflow_provider_crm.vendors.catalogue import Catalogue, Stage
from airflow_provider_crm.vendors.records import Json

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.records import Record

ACCOUNT, AMOUNT, CLOSE_DATE, CURRENCY, STAGE = "AccountId", "Amount", "CloseDate", "CurrencyIsoCode", "StageName"
FREE_PICKLISTS = "free_picklists"
"""Key of the connection's extra: names of the free picklists that take any text."""

_CUSTOM = "__c"
OWN_FIELDS = (
    Field("deal_value", AMOUNT, Kind.MONEY, amount_digits=0),
    Field("deal_currency", CURRENCY, Kind.CURRENCY, clearable=False),
    Field("stage", STAGE, Kind.STAGE, clearable=False),
    Field("date_won", CLOSE_DATE, Kind.DATE, clearable=False),
    Field("notes", "Description"),
    Field("responsible_user_id", "OwnerId", Kind.USER, clearable=False),
    Field(AMOUNT, AMOUNT, Kind.MONEY, amount_digits=0),
    Field(STAGE, STAGE, Kind.STAGE, clearable=False),
    Field(CLOSE_DATE, CLOSE_DATE, Kind.DATE, clearable=False),
    Field("Description", "Description"),
    Field("OwnerId", "OwnerId", Kind.USER, clearable=False),
)
"""The fields that the opportunities of every org have."""

UNWRITABLE_FACT, SIZES_FACT, OPTIONS_FACT, API_NAMES_FACT, IDS_FACT, CURRENCIES_FACT = (
    "unwritable", "sizes", "options", "api names", "ids", "currencies",
)  # fmt: skip
FILTERS_FACT = "filters"
"""Facts of a catalogue.

These are why a field of `OWN_FIELDS` cannot be written, by key; length, precision and scale by key; value and label of
each option by key, after whether any other text may be written; the API name of each stage by its value; the keys of
references; the codes of the currencies; and by key whether a query may filter by it, whether its values are numbers,
and whether their case counts.
"""

_KINDS: Mapping[str, Kind] = {
    "string": Kind.TEXT,
    "textarea": Kind.TEXT,
    "phone": Kind.TEXT,
    "email": Kind.TEXT,
    "url": Kind.TEXT,
    "picklist": Kind.TEXT,
    "multipicklist": Kind.TEXT,
    "combobox": Kind.TEXT,
    "encryptedstring": Kind.TEXT,
    "reference": Kind.TEXT,
    "currency": Kind.MONEY,
    "double": Kind.NUMBER,
    "percent": Kind.NUMBER,
    "int": Kind.INTEGER,
    "date": Kind.DATE,
    "datetime": Kind.DATETIME,
    "boolean": Kind.BOOLEAN,
}
_NUMBERS = frozenset({"double", "currency", "percent", "int"})
_PICKLISTS = frozenset({"picklist", "multipicklist"})
_PERSONAL = frozenset({"phone", "email", "encryptedstring"})


def read_catalogue(answers: Sequence[Json], settings: Mapping[str, str]) -> Catalogue:
    """Return what the org offers to the running user.

    Args:
        answers: The org itself, the description of opportunities, and the stages; all but the first may be missing.
        settings: The connection's own keys.
    """
    org, description, stages = (*answers, None, None, None)[:3]
    definitions = {text_of(one.get("name")): one for one in objects_of(member(description, "fields"))}
    fields, hints = _fields(definitions)
    free = {name.strip() for name in settings.get(FREE_PICKLISTS, "").split(",")}
    listed = _stages(stages, definitions.get(STAGE, {}))
    currency = text_of(member(_first(org), "DefaultCurrencyIsoCode")).upper() or None
    return Catalogue(
        fields=fields,
        organization=_org_id(org),
        currency=None if CURRENCY in definitions else currency,
        stages=tuple(listed),
        labels={name: text_of(one.get("label")) for name, one in definitions.items() if name.endswith(_CUSTOM)},
        hints=hints,
        name_key="Name",
        facts={
            UNWRITABLE_FACT: _unwritable(definitions),
            SIZES_FACT: {name: _sizes(one) for name, one in definitions.items()},
            OPTIONS_FACT: {
                name: _options(one, is_free=name in free)
                for name, one in definitions.items()
                if text_of(one.get("type")) in _PICKLISTS and name not in (STAGE, CURRENCY)
            },
            API_NAMES_FACT: _api_names(stages, listed),
            IDS_FACT: [name for name, one in definitions.items() if one.get("type") == "reference"],
            CURRENCIES_FACT: [text_of(one) for one, _ in _active(definitions.get(CURRENCY, {}))],
            FILTERS_FACT: {name: _filter(one) for name, one in definitions.items()},
        },
    )


def _org_id(org: Json) -> str | None:
    """Return the id of the org; None if the answer is of another service."""
    text = text_of(member(_first(org), "Id"))
    return text if text.startswith("00D") and text.isalnum() else None


def _first(answer: Json) -> Json:
    """Return the first record of a query."""
    records = objects_of(member(answer, "records"))
    return records[0] if records else None


def _fields(definitions: Mapping[str, Record]) -> tuple[dict[str, Field], dict[str, str]]:
    """Return the fields that users may write, and a hint for each that cannot be written."""
    fields, hints = {field.name: field for field in OWN_FIELDS}, {}
    for name, definition in definitions.items():
        kind = _KINDS.get(text_of(definition.get("type")))
        if not name or name in fields:
            continue
        if name == CURRENCY:
            fields[name] = Field(name, name, Kind.CURRENCY, clearable=False)
        elif kind is None or definition.get("updateable") is not True:
            hints[name] = f"Salesforce has no writable {name!r}: {_why(definition)}; leave it out"
        else:
            fields[name] = _field(name, kind, definition)
    return fields, hints


def _field(name: str, kind: Kind, definition: Record) -> Field:
    shape = text_of(definition.get("type"))
    return Field(
        name,
        name,
        kind,
        multiple=shape == "multipicklist",
        clearable=definition.get("nillable") is True and kind is not Kind.BOOLEAN,
        personal=shape in _PERSONAL or definition.get("encrypted") is True,
        amount_digits=0 if kind is Kind.MONEY else None,
    )


def _why(definition: Record) -> str:
    label = text_of(definition.get("label")) or "it"
    if definition.get("calculated") is True:
        return f"{label} is a formula or a roll-up"
    if definition.get("updateable") is True:
        return f"{label} is of the type {text_of(definition.get('type')) or 'that Salesforce does not show'}"
    return f"{label} is read-only to the running user, by field-level security or for everyone"


def _unwritable(definitions: Mapping[str, Record]) -> dict[str, Json]:
    """Return why fields of every org cannot be written by this user; none if the definitions were not read."""
    problems: dict[str, Json] = {}
    for key in dict.fromkeys(field.target for field in OWN_FIELDS if definitions and field.target != CURRENCY):
        definition = definitions.get(key)
        if definition is None:
            problems[key] = "field-level security hides it from the running user"
        elif definition.get("updateable") is not True:
            problems[key] = _why(definition)
    return problems


def _sizes(definition: Record) -> list[Json]:
    """Return length, precision and scale; 0 for each that is not shown."""
    sizes = (definition.get(name) for name in ("length", "precision", "scale"))
    return [one if isinstance(one, int) and not isinstance(one, bool) else 0 for one in sizes]


def _options(definition: Record, *, is_free: bool) -> list[Json]:
    """Return whether any text may be written, then value and label of each active option."""
    free = is_free and definition.get("restrictedPicklist") is not True
    return [free, *[list[Json](pair) for pair in _active(definition)]]


def _filter(definition: Record) -> list[Json]:
    is_number = text_of(definition.get("type")) in _NUMBERS
    return [definition.get("filterable") is not False, is_number, definition.get("caseSensitive") is True]


def _active(definition: Record) -> list[tuple[str, str]]:
    """Return value and label of each active option."""
    options = objects_of(definition.get("picklistValues"))
    pairs = ((one.get("value"), one.get("label"), one.get("active")) for one in options)
    return [
        (value, label if isinstance(label, str) else value)
        for value, label, active in pairs
        if isinstance(value, str) and active is not False
    ]


def _stage_rows(stages: Json) -> list[Record]:
    return [one for one in objects_of(member(stages, "records")) if one.get("IsActive") is not False]


def _stages(stages: Json, definition: Record) -> list[Stage]:
    """Return the active stages; the value to write is the one that the picklist has, else the label."""
    values = {value for value, _ in _active(definition)}
    return [
        Stage(id=_value(row, values), label=text_of(row.get("MasterLabel")), type=_stage_type(row))
        for row in _stage_rows(stages)
    ]


def _value(row: Record, values: set[str]) -> str:
    label, api_name = text_of(row.get("MasterLabel")), text_of(row.get("ApiName"))
    return api_name if api_name in values and label not in values else label


def _api_names(stages: Json, listed: Sequence[Stage]) -> dict[str, Json]:
    rows = _stage_rows(stages)
    return {stage.id: text_of(row.get("ApiName")) for stage, row in zip(listed, rows, strict=True)}


def _stage_type(row: Record) -> str:
    if row.get("IsClosed") is not True:
        return "active"
    return "won" if row.get("IsWon") is True else "lost"
