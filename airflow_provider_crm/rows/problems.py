"""Reasons why rows are refused."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


class RowProblem(NamedTuple):
    """One reason why a row is refused.

    Attributes:
        code: To group by.
        reason: As a sentence.
        field: Name of the field at fault, if it is one.
    """

    code: str
    reason: str
    field: str = ""


Problems: TypeAlias = dict[int, list[RowProblem]]
"""The problems of each refused row, by its index in a frame."""
