"""Read what a HubSpot portal offers: the properties of its deals, pipelines, owners, currencies and time zone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.values.opportunity import Field, Kind
from airflow_provider_crm.values.time_zones import zone
from airflow_provider_crm.vendors.answers import exact_number, items_of, member, objects_of, text_of
from airflow_provider_crm.vendors.catalogue import Catalogue, Stage
from airflow_provider_crm.vendors.records import Json

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.records import Record

CLOSE_DATE, CURRENCY, PIPELINE = "closedate", "deal_currency_code", "pipeline"
NOTES_PROPERTY = "notes_property"
"""Key of the connection's extra: the property that `notes` writes."""

DATE_WON = Field("date_won", CLOSE_DATE, Kind.DATE)
OWNER = Field("responsible_user_id", "hubspot_owner_id", Kind.USER)
_NOTES = Field("notes", "description")
OWN_FIELDS = (
    Field("deal_value", "amount", Kind.MONEY, amount_digits=0),
    Field("deal_currency", CURRENCY, Kind.CURRENCY, clearable=False),
    Field("stage", "dealstage", Kind.STAGE, clearable=False, also_writes=(PIPELINE,)),
    DATE_WON,
    _NOTES,
    OWNER,
    Field("amount", "amount", Kind.NUMBER, amount_digits=0),
    Field("dealstage", "dealstage", clearable=False),
    Field(PIPELINE, PIPELINE, clearable=False),
    Field(CLOSE_DATE, CLOSE_DATE, Kind.DATETIME),
    Field("description", "description"),
    Field("hubspot_owner_id", "hubspot_owner_id", Kind.USER),
)
"""The fields that the deals of every portal have."""

OPTIONS_FACT, OWNERS_FACT, CURRENCIES_FACT, TYPED_FACT = "options", "owners", "currencies", "typed"
UNIQUE_FACT = "unique"
"""Facts of a catalogue.

These are value and label of the options by property, owner ids by e-mail address, the codes of the currencies, the
names of the properties that are no free text, and of those whose values HubSpot keeps unique.
"""

_KINDS = {"number": Kind.NUMBER, "date": Kind.DATE, "datetime": Kind.DATETIME, "bool": Kind.BOOLEAN}
_SURE = 1


def read_catalogue(answers: Sequence[Json], settings: Mapping[str, str]) -> Catalogue:
    """Return what the portal offers.

    Args:
        answers: Its account, properties, pipelines and owners; all but the first may be missing. Of the owners, a list
            of pages.
        settings: The connection's own keys.
    """
    account, schema, pipelines, owners = (*answers, None, None, None, None)[:4]
    definitions = [one for one in objects_of(member(schema, "results")) if one.get("archived") is not True]
    currencies = _currencies(account)
    fields, hints = _fields(definitions)
    return Catalogue(
        fields=_with_notes(fields, hints, settings.get(NOTES_PROPERTY), is_read=bool(definitions)),
        organization=_portal_id(account),
        currency=None if CURRENCY in fields else next(iter(currencies), None),
        stages=tuple(_stages(pipelines)),
        hints=hints,
        name_key="dealname",
        timezone=_timezone(account),
        facts={
            OPTIONS_FACT: {name: options for name, options in map(_options, definitions) if options},
            OWNERS_FACT: _owners(owners),
            CURRENCIES_FACT: list[Json](currencies),
            TYPED_FACT: [text_of(one.get("name")) for one in definitions if one.get("type") != "string"],
            UNIQUE_FACT: [text_of(one.get("name")) for one in definitions if one.get("hasUniqueValue") is True],
        },
    )


def _portal_id(account: Json) -> str | None:
    """Return the id of the portal, in digits; None if the answer is of another service."""
    text = text_of(member(account, "portalId"))
    return text if text.isascii() and text.isdigit() else None


def _timezone(account: Json) -> str | None:
    """Return the portal's zone; None if there is no such zone."""
    name = text_of(member(account, "timeZone"))
    try:
        zone(name)
    except ConfigurationError:
        return None
    return name


def _currencies(account: Json) -> list[str]:
    """Return the codes of the portal's currencies, its own first."""
    codes = [member(account, "companyCurrency"), *items_of(member(account, "additionalCurrencies"))]
    return list(dict.fromkeys(filter(None, (text_of(code).upper() for code in codes))))


def _fields(definitions: Sequence[Record]) -> tuple[dict[str, Field], dict[str, str]]:
    """Return the fields of the portal by name, and a hint for each property that cannot be written."""
    fields, hints = {field.name: field for field in OWN_FIELDS}, {}
    for definition in definitions:
        name = text_of(definition.get("name"))
        if not name or name in fields:
            continue
        if _is_read_only(definition):
            hints[name] = (
                f"HubSpot has no writable {name!r}: the property {text_of(definition.get('label')) or name} is "
                "calculated or read-only; leave it out"
            )
        else:
            fields[name] = _field(name, definition)
    return fields, hints


def _is_read_only(definition: Record) -> bool:
    fixed = member(definition.get("modificationMetadata"), "readOnlyValue")
    return definition.get("calculated") is True or fixed is True


def _field(name: str, definition: Record) -> Field:
    if name == CURRENCY:
        return Field(name, name, Kind.CURRENCY, clearable=False)
    kind, shape = text_of(definition.get("type")), text_of(definition.get("fieldType"))
    is_switch = kind == "enumeration" and shape == "booleancheckbox"
    return Field(
        name,
        name,
        Kind.BOOLEAN if is_switch else _KINDS.get(kind, Kind.TEXT),
        multiple=kind == "enumeration" and shape == "checkbox",
        personal=_is_personal(definition),
    )


def _is_personal(definition: Record) -> bool:
    """Return whether values are hidden: phone numbers, and what the portal itself marks as sensitive data."""
    if definition.get("type") == "phone_number" or definition.get("fieldType") == "phonenumber":
        return True
    return text_of(definition.get("dataSensitivity")) not in ("", "non_sensitive")


def _options(definition: Record) -> tuple[str, Json]:
    """Return the name of a property, and value and label of each option, both as they stand."""
    listed: list[Json] = [
        [value, label if isinstance(label, str) else value]
        for value, label in ((one.get("value"), one.get("label")) for one in objects_of(definition.get("options")))
        if isinstance(value, str)
    ]
    return text_of(definition.get("name")), listed


def _with_notes(
    fields: dict[str, Field], hints: dict[str, str], name: str | None, *, is_read: bool
) -> Mapping[str, Field]:
    """Return the fields with that property as the one which `notes` writes; add a hint if it cannot be written.

    Args:
        fields: The fields by name.
        hints: The hints by name.
        name: The property that the connection names, if it names one.
        is_read: Whether the fields have all properties of the portal.
    """
    if not name or not is_read:
        return fields
    target = fields.get(name)
    if target is not None and target.name == target.target and target.kind is Kind.TEXT and not target.multiple:
        return {**fields, "notes": Field("notes", name, personal=target.personal)}
    hints["notes"] = (
        f"HubSpot cannot write notes: extra.{NOTES_PROPERTY} of the connection is {name!r}, and the deals of this "
        "portal have no writable text property of that name"
    )
    return {known: field for known, field in fields.items() if known != "notes"}


def _stages(pipelines: Json) -> Iterator[Stage]:
    for pipeline in objects_of(member(pipelines, "results")):
        for stage in objects_of(pipeline.get("stages")):
            if True not in (pipeline.get("archived"), stage.get("archived")):
                yield Stage(
                    id=text_of(stage.get("id")),
                    label=text_of(stage.get("label")),
                    type=_stage_type(stage),
                    pipeline=text_of(pipeline.get("label")),
                    pipeline_id=text_of(pipeline.get("id")),
                )


def _stage_type(stage: Record) -> str:
    """Return `won` for a closed stage with a probability of one, `lost` for any other closed one."""
    metadata = stage.get("metadata")
    if text_of(member(metadata, "isClosed")).lower() != "true":
        return "active"
    return "won" if exact_number(member(metadata, "probability")) == _SURE else "lost"


def _owners(pages: Json) -> dict[str, Json]:
    """Return the ids of the active owners by their e-mail address in lower case."""
    owners: dict[str, list[Json]] = {}
    for page in items_of(pages):
        for owner in objects_of(member(page, "results")):
            email = text_of(owner.get("email")).lower()
            if email and owner.get("archived") is not True:
                owners.setdefault(email, []).append(text_of(owner.get("id")))
    return dict[str, Json](owners)
