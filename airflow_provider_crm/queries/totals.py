"""Add up the counts of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_crm.queries.run_counts import AlikeRuns


@dataclass(frozen=True, slots=True)
class Total:
    """The counts of some runs, in rows."""

    runs: int
    landed: int
    refused: int
    unanswered: int
    saved: int

    @classmethod
    def from_runs(cls, runs: Sequence[AlikeRuns]) -> Total:
        """Return the sum of the counts."""
        return cls(
            runs=sum(alike.number for alike in runs),
            landed=sum(alike.number * alike.counts.landed for alike in runs),
            refused=sum(alike.number * alike.counts.refused for alike in runs),
            unanswered=sum(alike.number * alike.counts.unanswered for alike in runs),
            saved=sum(alike.number * alike.counts.saved for alike in runs),
        )
