"""Rows that did not land, as reports and rejects files show them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from airflow_provider_crm.values.opportunity import Outcome


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that did not land, as the report and the rejects file show it."""

    record_id: str
    outcome: str
    code: str
    reason: str

    @classmethod
    def from_outcome(cls, outcome: Outcome) -> Self:
        """Return the part of an outcome that a person needs."""
        return cls(outcome.record_id, outcome.word.value, outcome.code, outcome.reason)

    def to_row(self) -> dict[str, str]:
        """Return the row of a rejects file; half of a character, which UTF-8 cannot encode, is escaped."""
        return {name: text.encode("utf-8", "backslashreplace").decode() for name, text in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause for which rows did not land, with one of them as an example."""

    outcome: str
    code: str
    rows: int
    record_id: str
    reason: str

    def __str__(self) -> str:
        return f"{self.rows} {self.outcome} {self.code}, such as record {self.record_id!r}: {self.reason}"
