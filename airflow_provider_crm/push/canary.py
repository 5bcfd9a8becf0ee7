"""Decide by the first rows of a run whether its other rows are sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import CrmError, GuardrailError, OutageError
from airflow_provider_crm.values.opportunity import TRANSIENT_FAILURES, WRITTEN, Outcome, OutcomeWord

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.push.prepare import RowResult

CANARY = "CANARY"
"""Code of the error that a failed canary raises, and of the rows that are not sent for it."""
_CAUSES_NAMED = 3


class Canary:
    """The first rows of a run: all of them have to land before any other row is sent.

    | the end of a row | the canary |
    |---|---|
    | the CRM holds the values, as a read has shown | passes if all of its rows end so |
    | rejected, ignored, failed or unknown | fails |
    | not written: the CRM holds the values already, or its record was changed since the plan | takes another row |
    | not sent, as the run ends for another reason | is undecided |

    For the main thread only, but for `is_open`: it cannot change while a row of the canary is on its way.

    Args:
        rows: Number of rows; None for a run without a canary, or whose canary has passed.
        session: The account.
        run_key: Name of the run, with which it is taken back; None if no ledger knows its rows.
    """

    def __init__(self, rows: int | None, session: Session, run_key: str | None) -> None:
        self._rows = rows or 0
        self._session = session
        self._run_key = run_key
        self._on_their_way = 0
        self._landed = 0
        self._failed: list[Outcome] = []
        self._has_failed = False

    @property
    def is_open(self) -> bool:
        """Whether rows belong to the canary."""
        return self._landed < self._rows and not self._has_failed

    @property
    def is_undecided(self) -> bool:
        """Whether `decide` has still to look at rows that were sent."""
        return self.is_open and self._on_their_way > 0

    def add(self) -> bool:
        """Note that a row is sent; return whether these are as many as may be sent before they are decided."""
        self._on_their_way += 1
        return self._on_their_way >= self._rows - self._landed

    def count(self, results: Iterable[RowResult]) -> None:
        """Note rows that have ended."""
        for result in results:
            if result.outcome.word in WRITTEN:
                self._landed += 1
                self._on_their_way -= 1
            elif result.cause is not None and result.outcome.word is not OutcomeWord.NOT_SENT:
                self._failed.append(result.outcome)

    def decide(self, stopped: CrmError | None) -> CrmError | None:
        """Return the reason to send no other row, when all rows that were sent have ended; None to go on.

        Args:
            stopped: The reason why the run ends anyway: then rows that failed for the moment are tried again later.
        """
        self._on_their_way = 0
        for_the_moment = all(one.word in TRANSIENT_FAILURES for one in self._failed)
        if not self._failed or (for_the_moment and stopped is not None):
            return None
        self._has_failed = True
        vendor = self._session.account.vendor
        if for_the_moment and self._session.is_down():
            return OutageError(f"{vendor.display_name} is down: {self._failed[0].reason}", vendor=vendor.name)
        parts = (self._counts(), *self._causes(), self._undo())
        return GuardrailError(" ".join(filter(None, parts)), vendor=vendor.name, code=CANARY)

    def _counts(self) -> str:
        sent = self._landed + len(self._failed)
        rows = "the first row" if sent == 1 else f"the first {sent:,} rows"
        return f"The canary failed: {self._landed:,} of {rows} landed, and no other row was sent."

    def _causes(self) -> Iterable[str]:
        """Return the first causes, each with an example."""
        causes: dict[tuple[OutcomeWord, str], list[Outcome]] = {}
        for outcome in self._failed:
            causes.setdefault((outcome.word, outcome.code), []).append(outcome)
        for (word, code), outcomes in list(causes.items())[:_CAUSES_NAMED]:
            first = outcomes[0]
            yield f"{len(outcomes):,} {word.value} ({code}), such as {first.record_id}: {_sentence(first.reason)}"

    def _undo(self) -> str:
        """Return how the rows that landed are taken back."""
        if self._landed == 0:
            return ""
        if self._run_key is None:
            return "The rows that landed cannot be taken back by an undo, as the run has no ledger."
        return f"To take back the rows that landed, run RevertOpportunityUpdatesOperator(run_key={self._run_key!r})."


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
