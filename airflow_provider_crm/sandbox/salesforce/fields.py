"""The fields of opportunities in the sandbox: those that every org has, and some of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A value of a picklist."""

    value: str
    label: str
    active: bool = True


@dataclass(frozen=True, kw_only=True)
class OpportunityField:
    """A field as `describe` shows it.

    Attributes:
        name: the API name.
        updateable: whether the running user may write it.
        visible: whether the running user sees it; a hidden field is absent from `describe`.
        references: the objects whose ids it takes.
    """

    name: str
    label: str
    type: str = "string"
    length: int = 0
    precision: int = 0
    scale: int = 0
    nillable: bool = True
    updateable: bool = True
    visible: bool = True
    calculated: bool = False
    restricted: bool = False
    external_id: bool = False
    unique: bool = False
    choices: tuple[Choice, ...] = ()
    references: tuple[str, ...] = ()
    encrypted: bool = False

    def described(self) -> dict[str, Any]:
        """Return the field as `describe` shows it."""
        return {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "length": self.length,
            "precision": self.precision,
            "scale": self.scale,
            "digits": self.precision if self.type == "int" else 0,
            "createable": self.updateable,
            "updateable": self.updateable,
            "calculated": self.calculated,
            "nillable": self.nillable,
            "defaultedOnCreate": self.type == "boolean",
            "custom": self.name.endswith("__c"),
            "externalId": self.external_id,
            "idLookup": self.external_id or self.name == "Id",
            "unique": self.unique,
            "caseSensitive": False,
            "encrypted": self.encrypted,
            "restrictedPicklist": self.restricted,
            "picklistValues": [
                {"value": one.value, "label": one.label, "active": one.active, "defaultValue": False}
                for one in self.choices
            ],
            "referenceTo": list(self.references),
            "controllerName": None,
            "dependentPicklist": False,
            "compoundFieldName": None,
        }


@dataclass(frozen=True, kw_only=True)
class OpportunityStage:
    """A stage, as a row of `OpportunityStage`."""

    label: str
    api_name: str
    probability: int
    forecast: str
    is_closed: bool = False
    is_won: bool = False
    is_active: bool = True


CURRENCY = OpportunityField(
    name="CurrencyIsoCode", label="Currency", type="picklist", length=3, nillable=False, restricted=True
)

STAGES = (
    OpportunityStage(label="Prospecting", api_name="Prospecting", probability=10, forecast="Pipeline"),
    OpportunityStage(label="Qualification", api_name="Qualification", probability=10, forecast="Pipeline"),
    OpportunityStage(label="Proposal", api_name="Proposal/Price Quote", probability=75, forecast="Best Case"),
    OpportunityStage(
        label="Old Negotiation", api_name="Old Negotiation", probability=80, forecast="Best Case", is_active=False
    ),
    OpportunityStage(
        label="Closed Won", api_name="Closed Won", probability=100, forecast="Closed", is_closed=True, is_won=True
    ),
    OpportunityStage(label="Closed Lost", api_name="Closed Lost", probability=0, forecast="Omitted", is_closed=True),
)


def _choices(*labels: str) -> tuple[Choice, ...]:
    return tuple(Choice(value=one, label=one) for one in labels)


def _read_only(name: str, label: str, kind: str, **more: Any) -> OpportunityField:
    return OpportunityField(name=name, label=label, type=kind, updateable=False, **more)


def _standard() -> Iterator[OpportunityField]:
    yield _read_only("Id", "Opportunity ID", "id", length=18, nillable=False)
    yield _read_only("IsDeleted", "Deleted", "boolean", nillable=False)
    yield OpportunityField(name="AccountId", label="Account ID", type="reference", length=18, references=("Account",))
    yield OpportunityField(name="Name", label="Name", length=120, nillable=False)
    yield OpportunityField(name="Description", label="Description", type="textarea", length=32_000)
    yield OpportunityField(name="StageName", label="Stage", type="picklist", length=255, nillable=False)
    yield OpportunityField(name="Amount", label="Amount", type="currency", precision=18, scale=2)
    yield OpportunityField(name="Probability", label="Probability (%)", type="percent", precision=3)
    yield _read_only("ExpectedRevenue", "Expected Amount", "currency", precision=18, scale=2)
    yield OpportunityField(name="CloseDate", label="Close Date", type="date", nillable=False)
    types = _choices("Existing Customer - Upgrade", "New Customer")
    yield OpportunityField(name="Type", label="Opportunity Type", type="picklist", length=255, choices=types)
    yield OpportunityField(name="NextStep", label="Next Step", length=255)
    sources = _choices("Web", "Phone Inquiry")
    yield OpportunityField(name="LeadSource", label="Lead Source", type="picklist", length=255, choices=sources)
    yield _read_only("IsClosed", "Closed", "boolean", nillable=False)
    yield _read_only("IsWon", "Won", "boolean", nillable=False)
    yield OpportunityField(
        name="ForecastCategoryName",
        label="Forecast Category",
        type="picklist",
        length=40,
        restricted=True,
        choices=_choices("Omitted", "Pipeline", "Best Case", "Commit", "Closed"),
    )
    yield OpportunityField(
        name="CampaignId", label="Campaign ID", type="reference", length=18, references=("Campaign",)
    )
    yield _read_only("HasOpportunityLineItem", "Has Line Item", "boolean", nillable=False)
    yield OpportunityField(
        name="OwnerId", label="Owner ID", type="reference", length=18, nillable=False, references=("User",)
    )
    for name, label in (("CreatedDate", "Created Date"), ("LastModifiedDate", "Last Modified Date")):
        yield _read_only(name, label, "datetime", nillable=False)
    yield _read_only("SystemModstamp", "System Modstamp", "datetime", nillable=False)


def _custom() -> Iterator[OpportunityField]:
    yield OpportunityField(
        name="Warehouse_Key__c", label="Warehouse Key", length=80, external_id=True, unique=True, nillable=True
    )
    yield OpportunityField(name="Health_Score__c", label="Health Score", type="double", precision=6, scale=2)
    yield OpportunityField(name="Seats__c", label="Seats", type="double", precision=8, scale=0)
    yield OpportunityField(name="Priority_Rank__c", label="Priority Rank", type="int", precision=9)
    yield OpportunityField(name="Discount__c", label="Discount", type="percent", precision=5, scale=2)
    yield OpportunityField(name="Cost__c", label="Cost", type="currency", precision=12, scale=2)
    tiers = (
        Choice(value="tier_1", label="Gold"),
        Choice(value="tier_2", label="Silver"),
        Choice(value="tier_3", label="Bronze", active=False),
    )
    yield OpportunityField(name="Tier__c", label="Tier", type="picklist", length=255, restricted=True, choices=tiers)
    yield OpportunityField(
        name="Region__c", label="Region", type="picklist", length=255, choices=_choices("North", "South")
    )
    yield OpportunityField(
        name="Products__c",
        label="Products",
        type="multipicklist",
        length=4099,
        restricted=True,
        choices=_choices("Core", "Support", "Training"),
    )
    yield OpportunityField(name="Renewal_Date__c", label="Renewal Date", type="date")
    yield OpportunityField(name="Last_Seen__c", label="Last Seen", type="datetime")
    yield OpportunityField(name="Is_Active__c", label="Active", type="boolean", nillable=False)
    yield OpportunityField(name="Support_Phone__c", label="Support Phone", type="phone", length=40)
    yield OpportunityField(name="Support_Email__c", label="Support Email", type="email", length=80)
    yield OpportunityField(name="Website__c", label="Website", type="url", length=255)
    yield OpportunityField(name="Score_Details__c", label="Score Details", type="textarea", length=2_000)
    yield OpportunityField(
        name="Margin__c", label="Margin", type="double", precision=18, scale=2, updateable=False, calculated=True
    )


def default_fields() -> dict[str, OpportunityField]:
    """Return the fields of a new org, by name."""
    return {one.name: one for one in (*_standard(), *_custom())}
