"""Count the rows of runs by outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_crm.values.opportunity import OutcomeKind, OutcomeWord

# Texts, as the overview adds up thousands of runs, and a member of an enumeration is slow to give its value.
_WORDS = tuple(word.value for word in OutcomeWord)
_OF_KIND = {kind: tuple(word.value for word in OutcomeWord if word.kind is kind) for kind in OutcomeKind}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCounts:
    """Counts of the rows of one run.

    Attributes:
        outcomes: Rows by outcome word over all tries, in the words' order; empty for a run that made a plan, or has no
            report yet.
    """

    outcomes: Mapping[str, int]

    @property
    def refused(self) -> int:
        """Number of rows that were refused: before they were sent, by the CRM, or by it silently."""
        return self._count(OutcomeKind.PERMANENT)

    @property
    def unanswered(self) -> int:
        """Number of rows that did not land although no rule refused them, as in an outage."""
        return self._count(OutcomeKind.TRANSIENT)

    @property
    def not_sent(self) -> int:
        """Number of rows that a stopped run did not send; rows that it never began have no line in the change log."""
        return self.outcomes.get(OutcomeWord.NOT_SENT.value, 0)

    @property
    def landed(self) -> int:
        """Number of rows that were written."""
        return self._count(OutcomeKind.WRITTEN)

    @property
    def saved(self) -> int:
        """Number of rows that cost no call, because the CRM had their values."""
        return self._count(OutcomeKind.IN_PLACE)

    def _count(self, kind: OutcomeKind) -> int:
        return sum(self.outcomes.get(word, 0) for word in _OF_KIND[kind])


@dataclass(frozen=True, slots=True)
class AlikeRuns:
    """Runs of one account that have the same counts.

    Attributes:
        account: The account whose opportunities they wrote.
        number: The number of runs.
        counts: The counts of each of them.
    """

    account: str
    number: int
    counts: RunCounts


def outcomes_of(counts: Mapping[str, int]) -> Mapping[str, int]:
    """Return the counts of a report in the words' order, without zeros."""
    return {word: counts[word] for word in _WORDS if counts.get(word)}
