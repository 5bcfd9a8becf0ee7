"""Reasons why rows are refused."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


class RowProblem(NamedTuple):
    """One reason why a row is refused."""

    code: str
    reason: str


Problems: TypeAlias = dict[int, list[RowProblem]]
"""The problems of each refused row, by its index in a frame."""
