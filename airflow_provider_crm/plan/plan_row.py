"""The rows of a plan, one for each field of a row, and what an earlier run wrote."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass


class PlanVerdict(enum.StrEnum):
    """What would come of one field of one row."""

    UPDATE = "update"
    UNCHANGED = "unchanged"
    STALE = "stale"
    INVALID = "invalid"
    MISSING = "missing"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One field of one row.

    Attributes:
        row: Position of the row in its source, from 0.
        record_id: The opportunity.
        field: The vendor's key; empty if it is about the whole row.
        verdict: What would come of it.
        before: JSON text of what the CRM holds; None if it does not tell.
        after: JSON text of what is to be written; None if there is no such value.
        as_of: Data time of the row.
        code: Machine-readable cause; empty for `update` and `unchanged`.
        reason: One sentence for a person.
    """

    row: int
    record_id: str
    field: str
    verdict: PlanVerdict
    before: str | None = None
    after: str | None = None
    as_of: dt.datetime | None = None
    code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """What one run did to one field.

    Attributes:
        key: The vendor's key.
        before: What stood there before the run, as it was kept; None if that is not known.
        values: What the run wrote, or may have written, in order, as it was kept.
    """

    key: str
    before: str | None
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WrittenRecord:
    """What one run did to one opportunity."""

    record_id: str
    fields: tuple[Written, ...]
