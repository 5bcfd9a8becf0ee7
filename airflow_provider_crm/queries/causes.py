"""Group the refused rows of a run by the reason why they did not land, the commonest first."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.database.schema import runs

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_GAP = "\N{HORIZONTAL ELLIPSIS}"
# What differs from row to row: quoted values, numbers and dates, ids with digits in them. A status stays, and a column.
_KEPT = r"(?<!answered )(?<!ISO )(?<!column )"
_OF_ONE_ROW = re.compile(
    rf"{_KEPT}(?<!\w)'(?:[^'\\]|\\.)*'|(?<!\w)\"(?:[^\"\\]|\\.)*\""
    rf"|{_KEPT}(?<![\w.])[-+]?\d(?:[\d.,:T+-]*\d)?(?!\w)|{_KEPT}\b\w*\d\d\d[\w-]*"
)
_SEVERAL_GAPS = re.compile(rf"{_GAP}(?:(?:, | and ){_GAP})+")


def general_form(reason: str) -> str:
    """Return a reason without what differs from row to row, so that rows with the same cause share it."""
    return _SEVERAL_GAPS.sub(_GAP, _OF_ONE_ROW.sub(_GAP, reason))


class CountedReason(NamedTuple):
    """A reason as it stands in the change log, and the number of rows that have it."""

    outcome: str
    code: str
    reason: str
    rows: int


@dataclass(frozen=True, slots=True)
class ReasonGroup:
    """Rows that did not land for the same reason.

    Attributes:
        outcome: Their outcome.
        code: Their code.
        form: The general form of their reasons.
        rows: The number of rows.
        at_least: Whether there may be more: not all rows of the run were read.
        reasons: The reasons as they stand in the change log; none if the rows have no line there.
    """

    outcome: str
    code: str
    form: str
    rows: int
    at_least: bool = False
    reasons: tuple[str, ...] = ()


def is_of_group(columns: sa.ColumnCollection[str, Any], group: ReasonGroup) -> sa.ColumnElement[bool]:
    """Return whether a row with these columns is of a group."""
    same = (columns["outcome"] == group.outcome, columns["code"] == group.code)
    return sa.and_(*same, columns["reason"].in_(group.reasons))


def grouped(
    reasons: Iterable[CountedReason], reported: Mapping[tuple[str, str], int], *, capped: bool
) -> list[ReasonGroup]:
    """Return the groups, the largest first.

    Args:
        reasons: From the change log.
        reported: Number of rows by outcome and code, as the run has counted them. The change log has no line of a row
            that a stopped run never began.
        capped: Whether the change log has more rows than were read.
    """
    groups: dict[tuple[str, str, str], list[CountedReason]] = {}
    for one in reasons:
        groups.setdefault((one.outcome, one.code, general_form(one.reason)), []).append(one)
    found = [
        ReasonGroup(*key, sum(one.rows for one in members), reasons=tuple(one.reason for one in members))
        for key, members in groups.items()
    ]
    found = _as_reported(found, reported) if capped else found
    known = {(group.outcome, group.code) for group in found}
    found += [ReasonGroup(*key, "", rows) for key, rows in reported.items() if key not in known]
    return sorted(found, key=lambda group: (-group.rows, group.outcome, group.code, group.form))


def _as_reported(groups: list[ReasonGroup], reported: Mapping[tuple[str, str], int]) -> list[ReasonGroup]:
    """Return groups of which not all rows were read, with the run's own counts where it has counted the same."""
    alike = Counter((group.outcome, group.code) for group in groups)
    return [
        replace(group, rows=max(counted, group.rows), at_least=False)
        if alike[group.outcome, group.code] == 1 and (counted := reported.get((group.outcome, group.code), 0))
        else replace(group, at_least=True)
        for group in groups
    ]


def reported_causes(connection: Connection, run_key: str) -> dict[tuple[str, str], int]:
    """Return how many rows a run has counted for its commonest causes, by outcome and code, over all its accounts."""
    causes = dialect_of(connection).json_member(runs.c.report, "causes")
    found = connection.execute(sa.select(causes).where(runs.c.run_key == run_key, runs.c.report.is_not(None))).scalars()
    counts: Counter[tuple[str, str]] = Counter()
    for text in found:
        for cause in json.loads(text or "[]"):
            counts[cause["outcome"], cause["code"]] += cause["rows"]
    return dict(counts)


class _Refused(Protocol):
    """A row that did not land."""

    @property
    def outcome(self) -> str: ...

    @property
    def code(self) -> str: ...

    @property
    def reason(self) -> str: ...


@dataclass(frozen=True, slots=True)
class RowFilter:
    """A filter of refused rows: by outcome and code, and by the general form of the reason if that is given."""

    outcome: str = ""
    code: str = ""
    form: str = ""

    @property
    def is_set(self) -> bool:
        """Whether it leaves out any row."""
        return bool(self.outcome)

    def of(self, groups: Sequence[ReasonGroup]) -> list[ReasonGroup] | None:
        """Return the groups that it means, or None without a filter."""
        return [group for group in groups if self.means(group)] if self.is_set else None

    def means(self, group: ReasonGroup) -> bool:
        """Return whether a group is among those that it means."""
        return (group.outcome, group.code) == (self.outcome, self.code) and self.form in ("", group.form)

    def takes(self, row: _Refused) -> bool:
        """Return whether it takes a row."""
        if not self.is_set:
            return True
        same = (row.outcome, row.code) == (self.outcome, self.code)
        return same and self.form in ("", general_form(row.reason))
