"""The pipelines that the sandbox starts with. The label "Closed Won" exists in both, under different ids.

| pipeline | stages |
|---|---|
| `default` "Sales Pipeline" | the seven that HubSpot gives to every account, `appointmentscheduled` to `closedlost` |
| `871204` "Renewals" | `1301` Due, `1302` Negotiation, `1303` Closed Won, `1304` Closed Lost |
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

_DEFINED_AT = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, kw_only=True)
class DealStage:
    """A stage of a pipeline: closed ones are won with a probability of 1, and lost with one of 0."""

    id: str
    label: str
    probability: str
    is_closed: bool = False
    archived: bool = False

    @property
    def is_won(self) -> bool:
        """Return whether deals of the stage are won."""
        return self.is_closed and Decimal(self.probability) == 1

    def describe(self, display_order: int) -> dict[str, Any]:
        """Return the stage as the API lists it: with texts for its truth value and number."""
        return {
            "label": self.label,
            "displayOrder": display_order,
            "metadata": {"isClosed": "true" if self.is_closed else "false", "probability": self.probability},
            "id": self.id,
            "createdAt": _DEFINED_AT,
            "updatedAt": _DEFINED_AT,
            "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
            "archived": self.archived,
        }


@dataclass(frozen=True, kw_only=True)
class DealPipeline:
    """A pipeline and its stages, in order."""

    id: str
    label: str
    stages: tuple[DealStage, ...]
    archived: bool = False

    @cached_property
    def by_id(self) -> dict[str, DealStage]:
        """Return the stages that a deal may have, by their ids."""
        return {one.id: one for one in self.stages if not one.archived}

    def describe(self, display_order: int) -> dict[str, Any]:
        """Return the pipeline as the API lists it."""
        return {
            "label": self.label,
            "displayOrder": display_order,
            "id": self.id,
            "stages": [one.describe(at) for at, one in enumerate(self.stages) if not one.archived],
            "createdAt": _DEFINED_AT,
            "updatedAt": _DEFINED_AT,
            "archived": self.archived,
        }


def _stage(stage_id: str, label: str, probability: str, *, is_closed: bool = False) -> DealStage:
    return DealStage(id=stage_id, label=label, probability=probability, is_closed=is_closed)


DEAL_PIPELINES = (
    DealPipeline(
        id="default",
        label="Sales Pipeline",
        stages=(
            _stage("appointmentscheduled", "Appointment Scheduled", "0.2"),
            _stage("qualifiedtobuy", "Qualified To Buy", "0.4"),
            _stage("presentationscheduled", "Presentation Scheduled", "0.6"),
            _stage("decisionmakerboughtin", "Decision Maker Bought-In", "0.8"),
            _stage("contractsent", "Contract Sent", "0.9"),
            _stage("closedwon", "Closed Won", "1.0", is_closed=True),
            _stage("closedlost", "Closed Lost", "0.0", is_closed=True),
        ),
    ),
    DealPipeline(
        id="871204",
        label="Renewals",
        stages=(
            _stage("1301", "Due", "0.5"),
            _stage("1302", "Negotiation", "0.7"),
            _stage("1303", "Closed Won", "1.0", is_closed=True),
            _stage("1304", "Closed Lost", "0.0", is_closed=True),
        ),
    ),
)
