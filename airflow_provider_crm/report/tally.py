"""Count the outcomes of a run as they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_crm.report.rejects import Cause, Reject
from airflow_provider_crm.values.opportunity import FAILURES, WRITTEN, Outcome, OutcomeWord

REJECTS_SHOWN = 20
"""Rejects that are in a report itself."""
_CAUSES_REPORTED, _CAUSES_COUNTED = 10, 1_000


class Tally:
    """Count of the outcomes of a run; it stores the first rejects and passes all of them on.

    Args:
        write: Called with each reject, or None.
        failures: Words that make a row a reject.
        earlier: The report of the part of the run before a deferral, as `SyncReport.to_dict` wrote it, or empty.
        landed: Rows by outcome before a deferral, of a run that reads all rows again: rows that were written then are
            `unchanged` now, and are still reported as written.

    Attributes:
        codes: Rows that are no rejects, by code, since the last deferral.
    """

    def __init__(
        self,
        write: Callable[[Reject], object] | None = None,
        *,
        failures: frozenset[OutcomeWord] = FAILURES,
        earlier: Mapping[str, Any] | None = None,
        landed: Mapping[str, int] | None = None,
    ) -> None:
        report = earlier or {}
        counts = report.get("outcomes", {})
        self.counts = Counter({word: counts[word.value] for word in OutcomeWord if word.value in counts})
        self.rejects: list[Reject] = [Reject(**reject) for reject in report.get("rejects", ())]
        earlier_causes = [Cause(**cause) for cause in report.get("causes", ())]
        self._causes = {(cause.outcome, cause.code): cause for cause in earlier_causes}
        self.codes: Counter[str] = Counter()
        self._landed = landed or {}
        self._failures = failures
        self._write = write

    @property
    def rows(self) -> int:
        """Rows counted so far."""
        return self.counts.total()

    @property
    def refused(self) -> int:
        """Rows counted so far that did not land."""
        return sum(self.counts[word] for word in self._failures)

    def add(self, outcome: Outcome) -> None:
        """Count one row."""
        self.counts[outcome.word] += 1
        if outcome.word not in self._failures:
            if outcome.code:
                self.codes[outcome.code] += 1
            return
        reject = Reject.from_outcome(outcome)
        self._count_cause(reject)
        if len(self.rejects) < REJECTS_SHOWN:
            self.rejects.append(reject)
        if self._write is not None:
            self._write(reject)

    def causes(self) -> tuple[Cause, ...]:
        """Return the commonest causes of rejects."""
        ordered = sorted(self._causes.values(), key=lambda cause: -cause.rows)
        return tuple(ordered[:_CAUSES_REPORTED])

    def _count_cause(self, reject: Reject) -> None:
        cause = self._causes.get((reject.outcome, reject.code))
        if cause is not None:
            self._causes[reject.outcome, reject.code] = replace(cause, rows=cause.rows + 1)
        elif len(self._causes) < _CAUSES_COUNTED:  # the vendor chooses the codes, so their number has no bound
            new = Cause(reject.outcome, reject.code, 1, reject.record_id, reject.reason)
            self._causes[reject.outcome, reject.code] = new

    def outcomes(self) -> dict[str, int]:
        """Return the number of rows by word, in the words' order, without zeros."""
        counts = self.counts.copy()
        for word in WRITTEN:
            landed = min(self._landed.get(word.value, 0), counts[OutcomeWord.UNCHANGED])
            counts[word] += landed
            counts[OutcomeWord.UNCHANGED] -= landed
        return {word.value: counts[word] for word in OutcomeWord if counts[word]}
