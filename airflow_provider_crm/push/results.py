"""The values that the parts of a push pass on: a prepared row, a row to write, the result of writing it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_crm.exceptions import LedgerUnavailableError
from airflow_provider_crm.ledger.claims import ClaimedRow, DesiredRow, DesiredRows, Settlement
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.encoding import Writes


class PreparedRow(NamedTuple):
    """One row that passed its checks, and what it wants in the vendor's own keys and values."""

    update: Update
    writes: Writes
    as_of: dt.datetime

    def desired(self) -> DesiredRow:
        """Return the row as the ledger claims it."""
        return DesiredRow(self.update.record_id, self.writes.texts, self.as_of)


def desired_rows(rows: Sequence[PreparedRow]) -> DesiredRows:
    """Return the rows as the ledger compares them; columns that were encoded together stay together."""
    record_ids, as_of = [row.update.record_id for row in rows], [row.as_of for row in rows]
    encoded = {id(row.writes.columns): row.writes.columns for row in rows}
    if len(encoded) == 1:
        (columns,) = encoded.values()
        places = [row.writes.index for row in rows]
        whole = all(len(column) == len(places) for column in columns.texts.values())
        if whole and places == list(range(len(places))):
            return DesiredRows(record_ids, columns.texts, as_of)
        texts = {key: [column[place] for place in places] for key, column in columns.texts.items()}
        return DesiredRows(record_ids, texts, as_of)
    values: dict[str, list[str | None]] = {key: [None] * len(rows) for one in encoded.values() for key in one.texts}
    for number, row in enumerate(rows):
        for key, column in row.writes.columns.texts.items():
            values[key][number] = column[row.writes.index]
    return DesiredRows(record_ids, values, as_of)


@dataclass(frozen=True, slots=True)
class Job:
    """One row to write: what is sent, and under which claim."""

    update: Update
    writes: Writes
    calls: tuple[Call, ...]
    claimed: ClaimedRow


@dataclass(frozen=True, slots=True)
class RowResult:
    """A row that was written, or not; not on record yet.

    Attributes:
        settlement: What the ledger is to store of it.
        cause: The error that ended the row, or None.
    """

    settlement: Settlement
    cause: Exception | None = None

    @property
    def outcome(self) -> Outcome:
        """The outcome of the row."""
        return self.settlement.outcome

    @property
    def keeps_claim(self) -> bool:
        """Whether the row was left alone because the ledger had failed: its claim may as well run out."""
        outcome, failed = self.outcome, isinstance(self.cause, LedgerUnavailableError)
        left_alone = failed and outcome.word is OutcomeWord.NOT_SENT
        return left_alone and not (self.settlement.doubtful or outcome.applied)
