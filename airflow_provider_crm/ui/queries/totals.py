"""Add up the counts of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_crm.ui.queries.runs import RunCounts


@dataclass(frozen=True, slots=True)
class Total:
    """The counts of some runs, in rows."""

    runs: int
    landed: int
    refused: int
    saved: int

    @classmethod
    def from_runs(cls, counts: Sequence[RunCounts]) -> Total:
        """Return the sum of the counts."""
        return cls(
            runs=len(counts),
            landed=sum(run.landed for run in counts),
            refused=sum(run.refused for run in counts),
            saved=sum(run.saved for run in counts),
        )
