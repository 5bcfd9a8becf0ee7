"""The Close organization that the sandbox starts with: users, pipelines, statuses and custom fields.

Labels are deliberately ambiguous: "Active", "Won" and "Lost" exist in both pipelines.

| pipeline | statuses |
|---|---|
| `pipe_sales` "Sales" | `stat_sales_active`, `stat_sales_proposal` (active), `stat_sales_won`, `stat_sales_lost` |
| `pipe_renewals` "Renewals" | `stat_renewals_active`, `stat_renewals_won`, `stat_renewals_lost` |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

ORGANIZATION_ID = "orga_sandbox"
ADMIN_ROLE = "admin"

FieldType = Literal["text", "number", "date", "datetime", "choices", "user", "contact"]


@dataclass(frozen=True, kw_only=True)
class Status:
    """An opportunity status. Its kind is called `type` here and `status_type` on an opportunity."""

    id: str
    label: str
    type: Literal["active", "won", "lost"]
    pipeline_id: str


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A pipeline and its statuses, in order."""

    id: str
    name: str
    statuses: tuple[Status, ...]


@dataclass(frozen=True, kw_only=True)
class User:
    """A user of the organization."""

    id: str
    email: str
    first_name: str
    last_name: str

    @property
    def name(self) -> str:
        """Return the full name, as opportunities show it."""
        return f"{self.first_name} {self.last_name}"


@dataclass(frozen=True, kw_only=True)
class CustomField:
    """A custom field of opportunities.

    `multiple` fields hold a list. `roles`: only keys with one of these roles may write it; empty: everyone. A `shared`
    field belongs to several object types and is listed by the schema only.
    """

    id: str
    name: str
    type: FieldType
    multiple: bool = False
    choices: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    shared: bool = False

    def describe(self, organization_id: str) -> dict[str, Any]:
        """Return the definition as the API lists it."""
        described: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "type": self.type,
            "accepts_multiple_values": self.multiple,
            "editable_with_roles": list(self.roles),
            "is_shared": self.shared,
            "organization_id": organization_id,
            "description": None,
        }
        if self.type == "choices":
            described["choices"] = list(self.choices)
        return described


USERS = (
    User(id="user_ada", email="ada@sandbox.example", first_name="Ada", last_name="Lovelace"),
    User(id="user_grace", email="grace@sandbox.example", first_name="Grace", last_name="Hopper"),
)

PIPELINES = (
    Pipeline(
        id="pipe_sales",
        name="Sales",
        statuses=(
            Status(id="stat_sales_active", label="Active", type="active", pipeline_id="pipe_sales"),
            Status(id="stat_sales_proposal", label="Proposal", type="active", pipeline_id="pipe_sales"),
            Status(id="stat_sales_won", label="Won", type="won", pipeline_id="pipe_sales"),
            Status(id="stat_sales_lost", label="Lost", type="lost", pipeline_id="pipe_sales"),
        ),
    ),
    Pipeline(
        id="pipe_renewals",
        name="Renewals",
        statuses=(
            Status(id="stat_renewals_active", label="Active", type="active", pipeline_id="pipe_renewals"),
            Status(id="stat_renewals_won", label="Won", type="won", pipeline_id="pipe_renewals"),
            Status(id="stat_renewals_lost", label="Lost", type="lost", pipeline_id="pipe_renewals"),
        ),
    ),
)

CUSTOM_FIELDS = (
    CustomField(id="cf_health", name="Health", type="text"),
    CustomField(id="cf_score", name="Score", type="number"),
    CustomField(id="cf_renewal_date", name="Renewal date", type="date"),
    CustomField(id="cf_last_seen", name="Last seen", type="datetime"),
    CustomField(id="cf_tier", name="Tier", type="choices", choices=("Gold", "Silver", "Bronze")),
    CustomField(
        id="cf_products", name="Products", type="choices", multiple=True, choices=("Core", "Insights", "Support")
    ),
    CustomField(id="cf_owner", name="Success owner", type="user"),
    CustomField(id="cf_restricted", name="Credit line", type="text", roles=(ADMIN_ROLE,)),
    CustomField(id="cf_region", name="Region", type="text", shared=True),
)
"""Ids as they follow `custom.`: one of each type, one that only admins may write, one that is shared."""


class Organization:
    """The definitions of one organization, to which tests may add.

    Attributes:
        currency: the organization's currency, which every `value_currency` shows; may be assigned.
        users, pipelines, custom_fields: by id.
        leads: lead id to name.
    """

    def __init__(self) -> None:
        self.organization_id = ORGANIZATION_ID
        self.organization_name = "Sandbox Inc."
        self.currency = "USD"
        self.users: dict[str, User] = {user.id: user for user in USERS}
        self.pipelines: dict[str, Pipeline] = {pipeline.id: pipeline for pipeline in PIPELINES}
        self.custom_fields: dict[str, CustomField] = {one.id: one for one in CUSTOM_FIELDS}
        self.leads: dict[str, str] = {}

    @property
    def organization(self) -> dict[str, Any]:
        """Return the organization as `/me/` shows it. Its pipeline dates have no offset."""
        return {
            "id": self.organization_id,
            "name": self.organization_name,
            "currency": self.currency,
            "pipelines": [self.describe_pipeline(one, "2026-01-01T00:00:00") for one in self.pipelines.values()],
        }

    @property
    def statuses(self) -> dict[str, Status]:
        """Return all statuses of all pipelines, by id."""
        return {status.id: status for pipeline in self.pipelines.values() for status in pipeline.statuses}

    def status_id(self, label: str, *, pipeline: str = "Sales") -> str:
        """Return the id of a status by its label and its pipeline's name.

        Raises:
            KeyError: no status has them.
        """
        for one in self.pipelines.values():
            for status in one.statuses:
                if (one.name, status.label) == (pipeline, label):
                    return status.id
        raise KeyError(label)

    def describe_pipeline(self, pipeline: Pipeline, created: str) -> dict[str, Any]:
        """Return a pipeline as the API lists it."""
        return {
            "id": pipeline.id,
            "name": pipeline.name,
            "organization_id": self.organization_id,
            "date_created": created,
            "date_updated": created,
            "statuses": [{"id": s.id, "label": s.label, "type": s.type} for s in pipeline.statuses],
        }
