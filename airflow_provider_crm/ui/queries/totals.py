"""The counts of several runs, added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_crm.ui.queries.runs import Counted


@dataclass(frozen=True, slots=True)
class Total:
    """The counts of some runs, in rows."""

    runs: int
    landed: int
    refused: int
    saved: int

    @classmethod
    def of(cls, counted: Sequence[Counted]) -> Total:
        """Add the counts up."""
        return cls(
            runs=len(counted),
            landed=sum(run.landed for run in counted),
            refused=sum(run.refused for run in counted),
            saved=sum(run.saved for run in counted),
        )
