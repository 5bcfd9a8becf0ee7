"""The properties of Batchly's records: every value is text on the wire, and no text means no value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

from airflow_provider_crm.sandbox.wire import Json

_LONGEST_TEXT = 65_536
_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class PropertyError(ValueError):
    """A value that a property refuses, with the code of the refusal."""

    def __init__(self, code: str, message: str, name: str) -> None:
        super().__init__(message)
        self.code = code
        self.name = name


@dataclass(frozen=True, kw_only=True)
class Property:
    """One property of all records.

    Attributes:
        options: The only values that it takes, if it is an enumeration; `multiple` of them are joined by semicolons.
        required: Whether it refuses to be cleared.
        read_only: Whether it refuses every value.
        by_default: Whether reads show it that do not name their properties.
    """

    name: str
    type: Literal["string", "number", "date", "datetime", "bool", "enumeration"] = "string"
    label: str = ""
    options: tuple[str, ...] = ()
    multiple: bool = False
    required: bool = False
    read_only: bool = False
    by_default: bool = False

    def describe(self) -> dict[str, Any]:
        """Return the property as the schema shows it."""
        return {
            "name": self.name,
            "label": self.label or self.name,
            "type": self.type,
            "multiple": self.multiple,
            "options": [{"value": one, "label": one} for one in self.options],
            "readOnlyValue": self.read_only,
        }

    def stored(self, sent: Json) -> str | None:
        """Return the text to store, None for no value.

        Raises:
            PropertyError: The property does not take the value.
        """
        if self.read_only:
            raise PropertyError("READ_ONLY_VALUE", f'"{self.name}" is read only; its value cannot be set.', self.name)
        if not isinstance(sent, str):
            raise PropertyError("INVALID_TYPE", f'The value of "{self.name}" is no string.', self.name)
        if sent == "":
            if self.required:
                raise PropertyError("REQUIRED_VALUE", f'"{self.name}" cannot be cleared.', self.name)
            return None
        try:
            return _READERS[self.type](self, sent)
        except ValueError as error:
            code, message = f"INVALID_{self.type.upper()}", f'{sent[:100]} is not valid for "{self.name}": {error}'
            raise PropertyError(code, message, self.name) from error


def _text(_property: Property, sent: str) -> str:
    if len(sent) > _LONGEST_TEXT:
        raise ValueError("it is too long")
    return sent


def _number(_property: Property, sent: str) -> str:
    if not _NUMBER.fullmatch(sent):
        raise ValueError("it is no number")
    return sent


def _date(_property: Property, sent: str) -> str:
    if not _DAY.fullmatch(sent):
        raise ValueError("it is no date")
    return date.fromisoformat(sent).isoformat()


def _datetime(_property: Property, sent: str) -> str:
    """Read an instant; a date alone means midnight in UTC, which is another day to people west of there."""
    moment = datetime.fromisoformat(f"{sent}T00:00:00Z" if _DAY.fullmatch(sent) else sent)
    if moment.utcoffset() is None:
        raise ValueError("it has no offset")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _bool(_property: Property, sent: str) -> str:
    if sent not in ("true", "false"):
        raise ValueError("it is neither true nor false")
    return sent


def _enumeration(one: Property, sent: str) -> str:
    values = sent.split(";") if one.multiple else [sent]
    if not set(values) <= set(one.options):
        raise ValueError(f"valid options are {', '.join(one.options)}")
    return ";".join(values)


_READERS = {
    "string": _text,
    "number": _number,
    "date": _date,
    "datetime": _datetime,
    "bool": _bool,
    "enumeration": _enumeration,
}

PROPERTIES = (
    Property(name="name", label="Name", required=True, by_default=True),
    Property(name="amount", type="number", label="Amount", by_default=True),
    Property(name="currency", label="Currency"),
    Property(name="description", label="Description"),
    Property(name="owner_id", label="Owner"),
    Property(name="contact_email", label="Email of the contact"),
    Property(name="updated_at", type="datetime", label="Last change", read_only=True),
    Property(name="c_score", type="number", label="Health score"),
    Property(name="c_renewal", type="date", label="Renewal"),
    Property(name="c_seen_at", type="datetime", label="Last seen"),
    Property(name="c_active", type="bool", label="Active"),
    Property(name="c_tier", type="enumeration", label="Tier", options=("Gold", "Silver", "Bronze")),
    Property(
        name="c_products", type="enumeration", label="Products", options=("Core", "Support", "Training"), multiple=True
    ),
    Property(name="c_segment", label="Segment"),
    Property(name="c_rank", type="number", label="Rank", read_only=True),
)
"""The properties of the records of every API."""

STAGE_PROPERTIES = (
    Property(name="deal_stage", label="Stage", required=True, by_default=True),
    Property(name="pipeline_id", label="Pipeline", required=True, by_default=True),
    Property(name="close_date", type="datetime", label="Close date"),
)
"""The properties of records that move through the stages of a pipeline."""

PIPELINES: Mapping[str, Mapping[str, str]] = {
    "sales": {"sales_new": "active", "sales_offer": "active", "sales_won": "won", "sales_lost": "lost"},
    "renewals": {"renewals_due": "active", "renewals_won": "won", "renewals_lost": "lost"},
}
"""Types of the stages, by pipeline and stage."""


def describe_pipelines() -> list[dict[str, Any]]:
    """Return the pipelines as the API shows them."""
    return [
        {"id": name, "label": name.title(), "stages": [_described(stage, kind) for stage, kind in stages.items()]}
        for name, stages in PIPELINES.items()
    ]


def _described(stage: str, kind: str) -> dict[str, str]:
    label = stage.partition("_")[2].title()
    return {"id": stage, "label": label, "isClosed": _text_of(kind != "active"), "isWon": _text_of(kind == "won")}


def _text_of(value: bool) -> str:
    return "true" if value else "false"
