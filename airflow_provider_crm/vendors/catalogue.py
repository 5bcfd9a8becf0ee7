"""Describe what one account offers: its fields, stages and currency."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_provider_crm.values.opportunity import Field
from airflow_provider_crm.vendors.records import Json


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
        custom_prefix: Beginning of the names of the account's own fields, such as `custom.`; empty if they have none.
        hints: Sentences, without the full stop, about fields that cannot be written and that users may expect, by name.
        timezone: IANA zone of the account's people, or None where the vendor does not show it.
        name_key: The vendor's key of an opportunity's name for people, or None if it has none.
        facts: What only the vendor itself needs to know of the account. Nothing else reads it.
    """

    fields: Mapping[str, Field]
    organization: str | None = None
    currency: str | None = None
    stages: tuple[Stage, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    custom_prefix: str = ""
    hints: Mapping[str, str] = field(default_factory=dict)
    timezone: str | None = None
    name_key: str | None = None
    facts: Mapping[str, Json] = field(default_factory=dict)

    @property
    def stage_key(self) -> str | None:
        """The vendor's key of the stage; None if the account's records have none."""
        stage = self.fields.get("stage")
        return None if stage is None else stage.target

    def unknown_field(self, name: str, vendor: str) -> str:
        """Say why a field name is not known, and which are: no full stop ends the sentence.

        Args:
            name: The name that the account does not have.
            vendor: The vendor's name for people.
        """
        if name in self.hints:
            return self.hints[name]
        prefix = self.custom_prefix
        if prefix and name.startswith(prefix):
            custom = sorted(known for known in self.fields if known.startswith(prefix))
            known = self.with_labels(", ".join(custom)) or "none"
            return f"{vendor} has no opportunity field {name!r} in this organization; its custom fields: {known}"
        own = [known for known in self.fields if not (prefix and known.startswith(prefix))]
        others = [f"or {prefix}<field id>"] if prefix else []
        return f"{vendor} has no writable field {name!r}; write one of {', '.join(own + others)}"

    def with_labels(self, text: str) -> str:
        """Return a text with the label behind each field name that is only an id: `custom.cf_x (Health score)`."""
        for name, label in self.labels.items():
            if name in text:
                pattern = rf"{re.escape(name)}(?:\.(?:add|remove))?+(?!\w)(?! \()"
                text = re.sub(pattern, lambda match, label=label: f"{match[0]} ({label})", text)  # type: ignore[misc]
        return text


NO_CATALOGUE = Catalogue({})
"""The catalogue of an account of which nothing was asked."""
