"""The rows of a plan, and the fields that a run has written: plain values, without the code that makes them."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass


class PlanVerdict(enum.StrEnum):
    """The planned result for one field of one row."""

    UPDATE = "update"
    UNCHANGED = "unchanged"
    STALE = "stale"
    INVALID = "invalid"
    MISSING = "missing"
    SKIPPED = "skipped"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One field of one row.

    Attributes:
        row: Position of the row in its source, from 0.
        record_id: The opportunity.
        field: The vendor's key; empty if it is about the whole row.
        verdict: The planned result.
        before: JSON text of the value in the CRM; None if it is not shown.
        after: JSON text of the value to write; None if there is no such value.
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
class WrittenField:
    """One field that a run wrote, with its values before and during the run.

    Attributes:
        key: The vendor's key.
        before: The value before the run, in its stored form; None if it is not known.
        values: The values that the run wrote, or may have written, in order, in their stored form.
    """

    key: str
    before: str | None
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WrittenRecord:
    """One opportunity that a run wrote."""

    record_id: str
    fields: tuple[WrittenField, ...]
