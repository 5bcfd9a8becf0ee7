"""Draw runs as stacked bars, measured here so that the page needs no script for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_crm.queries.runs import Run

WIDTH = 960
HEIGHT = 160
_GAP = 3.0
_WIDEST = 28.0
_LEAST = 3.0  # so that a single refused row among thousands is visible


@dataclass(frozen=True, slots=True)
class BarPart:
    """The rows of one outcome in a bar, in the chart's units from its upper left corner."""

    outcome: str
    rows: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One run."""

    run: Run
    x: float
    width: float
    segments: tuple[BarPart, ...]


def bars(runs: Sequence[Run]) -> list[Bar]:
    """Return one bar for each run with rows, from left to right in the given order; the highest fills the chart."""
    shown = [run for run in runs if run.outcomes]
    if not shown:
        return []
    highest = max(sum(run.outcomes.values()) for run in shown)
    step = min(WIDTH / len(shown), _WIDEST + _GAP)
    return [
        Bar(run, round(number * step, 2), round(step - _GAP, 2), _segments(run, highest))
        for number, run in enumerate(shown)
    ]


def _segments(run: Run, highest: int) -> tuple[BarPart, ...]:
    """Stack segments from the bottom up; small ones are drawn higher than they are, at the cost of the others."""
    heights = {word: max(rows / highest * HEIGHT, _LEAST) for word, rows in run.outcomes.items()}
    spare = HEIGHT / max(sum(heights.values()), HEIGHT)
    found, bottom = [], float(HEIGHT)
    for word, height in heights.items():
        bottom -= height * spare
        found.append(BarPart(word, run.outcomes[word], round(bottom, 2), round(height * spare, 2)))
    return tuple(found)
