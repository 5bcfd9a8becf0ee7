"""Summarize a plan for the person who approves it: Markdown, the largest changes first, no markup from values."""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from airflow_provider_crm.database.field_hashes import is_hash
from airflow_provider_crm.plan.money import AmountReader
from airflow_provider_crm.plan.plan_row import PlanRow, PlanVerdict
from airflow_provider_crm.values.hidden_values import hidden_keys
from airflow_provider_crm.values.opportunity import CANONICAL_FIELDS

if TYPE_CHECKING:
    from airflow_provider_crm.plan.stored_plan import Plan
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Json

_SHOWN = 20
_PROBLEMS_SHOWN = 5
_LENGTH = 60
_EMPTY = ("null", '""', "[]")
_MARKUP = re.compile(r"([!-/:-@\[-`{-~])")
_PLAIN = re.compile(r"[.,:;'?%/ -]")
_CHANGES = (PlanVerdict.UPDATE, PlanVerdict.CONFLICT)
_HEADS = ("record", "field", "before", "after", "difference", "verdict")


class PlanSummary:
    """Collects counts and the largest changes while the rows of a plan pass.

    Args:
        catalogue: Names the stages, the personal fields and those that hold money.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._amounts = AmountReader.from_catalogue(catalogue)
        self._catalogue = catalogue
        self._personal = hidden_keys(catalogue.fields)
        self._names = {
            catalogue.fields[name].target: name for name in reversed(CANONICAL_FIELDS) if name in catalogue.fields
        }
        self._largest: list[tuple[Decimal, int, int, PlanRow]] = []
        self._problems: dict[tuple[str, str], PlanRow] = {}
        self._changes = 0
        self._total = Decimal()

    def add(self, row: PlanRow) -> None:
        """Add one row."""
        if row.verdict in _CHANGES:
            change = self._amounts.change(row) or Decimal()
            self._total += change
            self._changes += 1
            entry = (abs(change), -self._changes, row.row, row)
            push = heapq.heappush if len(self._largest) < _SHOWN else heapq.heappushpop
            push(self._largest, entry)
        elif row.code and row.verdict in (PlanVerdict.INVALID, PlanVerdict.MISSING):
            self._problems.setdefault((row.verdict.value, row.code), row)

    def text(self, plan: Plan) -> str:
        """Return the Markdown: counts, at most 20 changes, an example of each problem, the plan's id and digest."""
        counts = ", ".join(f"{count} {verdict}" for verdict, count in plan.counts.items() if count) or "nothing to do"
        undo = f", takes back {_code(plan.reverts)}" if plan.reverts else ""
        head = f"**{plan.rows} records of {_code(plan.account)}**{undo}. Fields: {counts}."
        lines = [f"{head} Change of all amounts: **{self._total:+,.2f}**.", ""]
        if self._largest:
            lines += [_row(_HEADS), _row("---" for _ in _HEADS)]
            lines += [self._line(entry[-1]) for entry in sorted(self._largest, reverse=True)]
            lines.append("")
        if self._changes > len(self._largest):
            lines += [f"{self._changes - len(self._largest)} smaller changes are not shown.", ""]
        for (verdict, code), row in list(self._problems.items())[:_PROBLEMS_SHOWN]:
            reason = "" if row.field in self._personal else f": {_cell(row.reason, 200)}"
            lines.append(f"- {verdict} {_cell(code)}, such as {_cell(row.record_id)}{reason}")
        lines += ["", f"Plan {_code(plan.plan_id)}, SHA-256 {_code(plan.digest)}."]
        return "\n".join(lines)

    def _line(self, row: PlanRow) -> str:
        change = self._amounts.change(row)
        name = self._names.get(row.field, row.field)
        cells = (row.record_id, name, self._shown(row, row.before), self._shown(row, row.after))
        return _row([*map(_cell, cells), "" if change is None else f"{change:+,.2f}", row.verdict.value])

    def _shown(self, row: PlanRow, text: str | None) -> str:
        if text is None:
            return "(unknown)"
        if text in _EMPTY:
            return "(empty)"
        if row.field in self._personal or is_hash(text):
            return "(hidden)"
        amount = self._amounts.amount(row.field, text)
        if amount is not None:
            return f"{amount:,.2f}"
        value: Json = json.loads(text)
        if row.field == self._catalogue.stage_key:
            return self._stage(value)
        return value if isinstance(value, str) else text

    def _stage(self, value: Json) -> str:
        labels = [f"{stage.pipeline}/{stage.label}".strip("/") for stage in self._catalogue.stages if stage.id == value]
        return labels[0] if labels else str(value)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str, length: int = _LENGTH) -> str:
    """Return text from outside as one line without markup."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    line = line if len(line) <= length else f"{line[: length - 1]}…"
    return _MARKUP.sub(lambda match: match[0] if _PLAIN.fullmatch(match[0]) else f"\\{match[0]}", line)


def _code(text: str) -> str:
    """Return text in a code span."""
    return f"`{' '.join(text.replace('`', chr(39)).replace('|', '/').split())}`"
