"""Describe calls that carry several rows, and match the items of their answers to the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from airflow_provider_crm.exceptions import CrmError
from airflow_provider_crm.vendors.records import Record

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.response import Response

RowAnswer: TypeAlias = Record | CrmError | None
"""The record that an answer shows for one row, or only its id; the row's own error; None if it says nothing."""


class BatchRow(NamedTuple):
    """One row of a call that carries several.

    Attributes:
        record_id: The opportunity.
        body: JSON text of an object, as the call for this row alone would send it.
        trace: A text that no other row of the call has, for vendors that repeat one in their answers.
    """

    record_id: str
    body: str
    trace: str


@dataclass(frozen=True, slots=True)
class BatchCall:
    """A vendor's call that writes several rows.

    Attributes:
        method: HTTP method.
        path: Absolute path on the vendor's origin, already percent-encoded.
        largest: Maximum number of rows.
        join: Returns the body for some rows.
        split: Returns what an answer of 2xx says about each of the rows, in their order. It raises a `CrmError` for an
            answer that has not the documented shape, or says failure as a whole.
        largest_bytes: Maximum size of the body; None if the vendor names none.
        shows_values: Whether the answer shows the written values; else the records are read and compared afterwards.
        cost: Units of the vendor's rate limit that the call costs.
        cost_per_row: Units that each of its rows costs.
    """

    method: str
    path: str
    largest: int
    join: Callable[[Sequence[BatchRow]], str]
    split: Callable[[Response, Sequence[BatchRow]], Sequence[RowAnswer]]
    largest_bytes: int | None = None
    shows_values: bool = True
    cost: int = 1
    cost_per_row: int = 0


def with_members(body: str, members: str) -> str:
    """Return a JSON object with further members in front, both as JSON texts: `{"a": 1}` and `"id": "x"`."""
    rest = body[1:].lstrip()
    return f"{{{members}{rest}" if rest.startswith("}") else f"{{{members}, {rest}"


def match_by(rows: Iterable[str], answers: Iterable[tuple[str, RowAnswer]]) -> list[RowAnswer]:
    """Match answers to rows by a text that both name: the record id, or the trace of the row.

    Args:
        rows: The text of each row.
        answers: The text and the answer of each item.

    Returns:
        The answer of each row, in order. Of several that name one row an error is taken; an answer for a row that was
        not sent is left out.
    """
    found: dict[str, RowAnswer] = {}
    for text, answer in answers:
        if not isinstance(found.get(text), CrmError):
            found[text] = answer
    return [found.get(text) for text in rows]


def match_by_position(rows: Sequence[object], answers: Sequence[RowAnswer]) -> list[RowAnswer]:
    """Match answers to rows by their position; none of them if their numbers differ, as then any may be missing."""
    return list(answers) if len(answers) == len(rows) else [None] * len(rows)


def ids_of(records: Iterable[Mapping[str, object]], id_key: str) -> list[str]:
    """Return the record id of each item of an answer; empty for one that names none."""
    return [str(record[id_key]) if isinstance(record.get(id_key), (str, int)) else "" for record in records]
