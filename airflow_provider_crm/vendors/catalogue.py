"""Describe what one account offers: its fields, stages and currency."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_provider_crm.values.opportunity import Field


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a pipeline.

    Attributes:
        id: The vendor's value to write.
        label: Name for people.
        type: `won`, `lost` or `active`.
        pipeline: Name of its pipeline, or empty where the vendor has only one.
        pipeline_id: The vendor's id of its pipeline, or empty where the vendor has only one.
    """

    id: str
    label: str
    type: str
    pipeline: str = ""
    pipeline_id: str = ""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The fields, stages and currency of one account.

    Attributes:
        fields: Every writable field, by the names users may write (canonical and the vendor's own).
        organization: The vendor's id of the customer, or None where the vendor does not show it.
        currency: The one currency of the account, or None where each record has its own.
        stages: All stages.
        labels: Names for people of fields whose name is only an id, by that name.
    """

    fields: Mapping[str, Field]
    organization: str | None = None
    currency: str | None = None
    stages: tuple[Stage, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def stage_key(self) -> str | None:
        """The vendor's key of the stage; None if the account's records have none."""
        stage = self.fields.get("stage")
        return None if stage is None else stage.target

    def with_labels(self, text: str) -> str:
        """Return a text with the label behind each field name that is only an id: `custom.cf_x (Health score)`."""
        for name, label in self.labels.items():
            if name in text:
                pattern = rf"{re.escape(name)}(?:\.(?:add|remove))?+(?!\w)(?! \()"
                text = re.sub(pattern, lambda match, label=label: f"{match[0]} ({label})", text)  # type: ignore[misc]
        return text
