"""Collect the warnings of a run: sentences that a person should read although no row failed because of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from airflow_provider_crm.values.opportunity import OutcomeKind, OutcomeWord

if TYPE_CHECKING:
    from airflow_provider_crm.report.report import SyncReport

_MAX_WARNINGS = 20
_IN_PLACE = tuple(word for word in OutcomeWord if word.kind in (OutcomeKind.WRITTEN, OutcomeKind.IN_PLACE))


class Warnings:
    """The warnings of one run; each sentence is logged and stored once.

    Safe for threads, as far as appending to a list is.

    Args:
        log: Logs a sentence as a warning.
        earlier: Warnings from before a deferral, which are in the log already.
    """

    def __init__(self, log: Callable[[str], object], earlier: Iterable[str] = ()) -> None:
        self._log = log
        self._sentences = list(earlier)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._sentences))

    def add(self, sentence: str) -> None:
        """Log and store a warning, unless the run has it, or has 20 others.

        Args:
            sentence: A full sentence without values of rows, as it appears in log, XCom, ledger and page.
        """
        if sentence in self._sentences or len(self._sentences) >= _MAX_WARNINGS:
            return
        self._sentences.append(sentence)
        self._log(sentence)


def landing_warning(report: SyncReport, *, valueless: int = 0) -> str | None:
    """Return the warning of a run in which no row landed or was in the CRM already; None for any other run.

    Args:
        report: The run's report.
        valueless: Rows that are unchanged because they have no value to write.
    """
    rows = report.rows
    if rows == 0:
        return None if report.ended_early else "Nothing to write: 0 rows."
    if valueless == rows:
        return f"Nothing to write: all {_rows(rows)} without a value."
    if report.count(*_IN_PLACE) > valueless:
        return None
    if report.count(OutcomeWord.SKIPPED) == rows:
        return f"All {_rows(rows)} skipped: the CRM changed since the plan."
    if report.count(OutcomeWord.STALE) == rows:
        return f"All {_rows(rows)} stale: newer data is in the CRM."
    return f"No row landed. {report.summary()}."


def _rows(number: int) -> str:
    return f"{number:,} row" if number == 1 else f"{number:,} rows"
