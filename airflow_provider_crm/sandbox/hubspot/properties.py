"""The properties of deals that the sandbox starts with: HubSpot's own ones, and some that an account has defined."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

PropertyType = Literal[
    "string", "number", "date", "datetime", "enumeration", "bool", "phone_number", "json", "object_coordinates"
]

_FIELD_TYPES: dict[PropertyType, str] = {
    "string": "text",
    "number": "number",
    "date": "date",
    "datetime": "date",
    "enumeration": "select",
    "bool": "booleancheckbox",
    "phone_number": "phonenumber",
    "json": "text",
    "object_coordinates": "text",
}
_DEFINED_AT = "2025-01-06T09:00:00Z"


@dataclass(frozen=True, kw_only=True)
class DealOption:
    """A value of an enumeration, and its label for people."""

    value: str
    label: str
    hidden: bool = False


@dataclass(frozen=True, kw_only=True)
class DealProperty:
    """A property of deals.

    Attributes:
        field_type: `fieldType` as the API shows it; by default the usual one of the type.
        multiple: whether an enumeration takes several values, which are separated by semicolons.
        external_options: whether its values are listed elsewhere, such as those of a stage.
        read_only: whether no value can be set; a calculated one never can.
        unique: whether no two deals have one value, so that a value can stand for a record.
        own: whether HubSpot has defined it, rather than the account.
        archived: whether it was archived: calls may not write it and do not show it.
        sensitivity: `dataSensitivity` as the API shows it; others are `sensitive` and `highly_sensitive`.
    """

    name: str
    label: str
    type: PropertyType = "string"
    field_type: str = ""
    group: str = "dealinformation"
    options: tuple[DealOption, ...] = ()
    multiple: bool = False
    external_options: bool = False
    calculated: bool = False
    read_only: bool = False
    unique: bool = False
    hidden: bool = False
    own: bool = False
    archived: bool = False
    sensitivity: str = "non_sensitive"

    def describe(self, display_order: int) -> dict[str, Any]:
        """Return the definition as the API lists it."""
        usual = "checkbox" if self.multiple else _FIELD_TYPES[self.type]
        fixed = self.calculated or self.read_only
        return {
            "updatedAt": _DEFINED_AT,
            "createdAt": _DEFINED_AT,
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.field_type or usual,
            "description": "",
            "groupName": self.group,
            "options": [
                {"label": one.label, "value": one.value, "displayOrder": at, "hidden": one.hidden}
                for at, one in enumerate(self.options)
            ],
            "displayOrder": display_order,
            "calculated": self.calculated,
            "externalOptions": self.external_options,
            "hasUniqueValue": self.unique,
            "hidden": self.hidden,
            "hubspotDefined": self.own,
            "archived": self.archived,
            "modificationMetadata": {
                "archivable": not self.own,
                "readOnlyDefinition": self.own,
                "readOnlyOptions": self.own,
                "readOnlyValue": fixed,
            },
            "formField": not fixed,
            "dataSensitivity": self.sensitivity,
        }


def _options(*labels: str) -> tuple[DealOption, ...]:
    return tuple(DealOption(value=label.lower().replace(" ", "_"), label=label) for label in labels)


_BOOLEAN = (DealOption(value="true", label="Yes"), DealOption(value="false", label="No"))

_WRITABLE = (
    DealProperty(name="dealname", label="Deal Name", own=True),
    DealProperty(name="amount", label="Amount", type="number", own=True),
    DealProperty(
        name="dealstage", label="Deal Stage", type="enumeration", field_type="radio", external_options=True, own=True
    ),
    DealProperty(name="pipeline", label="Pipeline", type="enumeration", external_options=True, own=True),
    DealProperty(name="closedate", label="Close Date", type="datetime", own=True),
    DealProperty(name="description", label="Deal Description", field_type="textarea", own=True),
    DealProperty(name="hubspot_owner_id", label="Deal owner", type="enumeration", external_options=True, own=True),
    DealProperty(
        name="dealtype",
        label="Deal Type",
        type="enumeration",
        field_type="radio",
        options=(
            DealOption(value="newbusiness", label="New Business"),
            DealOption(value="existingbusiness", label="Existing Business"),
        ),
        own=True,
    ),
    DealProperty(name="hs_priority", label="Priority", type="enumeration", options=_options("Low", "High"), own=True),
    DealProperty(name="hs_next_step", label="Next step", own=True),
)
_CALCULATED = (
    DealProperty(name="amount_in_home_currency", label="Amount in company currency", type="number", calculated=True),
    DealProperty(name="days_to_close", label="Days to close", type="number", calculated=True),
    DealProperty(name="hs_closed_amount", label="Closed Deal Amount", type="number", calculated=True),
    DealProperty(name="hs_deal_stage_probability", label="Deal probability", type="number", calculated=True),
    DealProperty(name="hs_is_closed", label="Is Deal Closed?", type="bool", options=_BOOLEAN, calculated=True),
    DealProperty(name="hs_is_closed_won", label="Is Closed Won", type="bool", options=_BOOLEAN, calculated=True),
    DealProperty(name="hs_projected_amount", label="Weighted amount", type="number", calculated=True),
)
_READ_ONLY = (
    DealProperty(name="createdate", label="Create Date", type="datetime", read_only=True, own=True),
    DealProperty(name="hs_lastmodifieddate", label="Last Modified Date", type="datetime", read_only=True, own=True),
    DealProperty(name="hs_merged_object_ids", label="Merged Deal IDs", read_only=True, own=True),
    DealProperty(name="hs_object_id", label="Record ID", type="number", read_only=True, own=True),
    DealProperty(name="num_notes", label="Number of Sales Activities", type="number", read_only=True, own=True),
)
_CUSTOM = (
    DealProperty(name="warehouse_deal_key", label="Warehouse deal key", unique=True),
    DealProperty(name="health_score", label="Health score", type="number"),
    DealProperty(name="renewal_date", label="Renewal date", type="date"),
    DealProperty(name="last_seen_at", label="Last seen", type="datetime"),
    DealProperty(name="is_active", label="Active", type="bool", options=_BOOLEAN),
    DealProperty(
        name="is_renewal", label="Renewal", type="enumeration", field_type="booleancheckbox", options=_BOOLEAN
    ),
    DealProperty(
        name="customer_tier",
        label="Customer tier",
        type="enumeration",
        options=(
            DealOption(value="tier_1", label="Gold"),
            DealOption(value="tier_2", label="Silver"),
            DealOption(value="tier_3", label="Bronze"),
            DealOption(value="tier_0", label="Trial", hidden=True),
        ),
    ),
    DealProperty(
        name="products",
        label="Products",
        type="enumeration",
        options=_options("Core", "Support", "Training"),
        multiple=True,
    ),
    DealProperty(name="segment", label="Segment"),
    DealProperty(name="support_phone", label="Support phone", type="phone_number"),
    DealProperty(name="score_details", label="Score details", type="json", hidden=True),
    DealProperty(name="site", label="Site", type="object_coordinates", read_only=True),
    DealProperty(name="deal_rank", label="Deal rank", type="number", field_type="calculation_score", calculated=True),
    DealProperty(name="legacy_code", label="Legacy code", archived=True),
)

DEAL_PROPERTIES = (*_WRITABLE, *_CALCULATED, *_READ_ONLY, *_CUSTOM)
"""All of them but the currency, which an account of several currencies has."""

CURRENCY = "deal_currency_code"
DEFAULT_PROPERTIES = (
    "amount",
    "closedate",
    "createdate",
    "dealname",
    "dealstage",
    "hs_lastmodifieddate",
    "hs_object_id",
    "pipeline",
)
"""Those that a call shows which names none."""
ALWAYS_SHOWN = ("createdate", "hs_lastmodifieddate", "hs_object_id")
CALCULATED_NAMES = tuple(one.name for one in _CALCULATED)


@lru_cache
def currency_property(codes: tuple[str, ...]) -> DealProperty:
    """Return the property of the currency, with the currencies of an account."""
    options = tuple(DealOption(value=code, label=code) for code in codes)
    return DealProperty(name=CURRENCY, label="Currency", type="enumeration", options=options, own=True)
