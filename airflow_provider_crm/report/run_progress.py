"""How far a run is, as the ledger has it while the run goes on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class RunProgress:
    """The progress of a run at one moment.

    Attributes:
        rows: Rows that have their outcome.
        total: Rows of the run; None where their number is not known before the end, as with a query.
        failed: Rows that did not land so far.
        rate: Rows per second since the run began, or was resumed.
        at: The moment.
    """

    rows: int
    total: int | None
    failed: int
    rate: float
    at: dt.datetime

    @property
    def part(self) -> float | None:
        """The part of the rows that have their outcome; None if their number is not known."""
        return min(self.rows / self.total, 1.0) if self.total else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the last row at the present rate; None if that is not known."""
        if self.total is None or self.rate <= 0:
            return None
        return max(self.total - self.rows, 0) / self.rate

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, for the ledger."""
        plain = {"rows": self.rows, "total": self.total, "failed": self.failed, "rate": round(self.rate, 3)}
        return {**plain, "at": self.at.astimezone(dt.UTC).isoformat(timespec="seconds")}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the progress that `to_dict` wrote."""
        known = {name: values[name] for name in ("rows", "total", "failed", "rate")}
        return cls(**known, at=dt.datetime.fromisoformat(values["at"]))
