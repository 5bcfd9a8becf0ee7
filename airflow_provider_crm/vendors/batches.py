"""Put rows together in one call, and match the items of its answer to the rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import CrmError

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.calls import RowAnswer


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
