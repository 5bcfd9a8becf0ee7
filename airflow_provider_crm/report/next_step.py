"""Say in one sentence what a person, or Airflow, does next about a run."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_crm.exceptions import (
    AuthenticationError,
    ConfigurationError,
    GuardrailError,
    LedgerUnavailableError,
    SourceUnreadableError,
    TransientError,
)
from airflow_provider_crm.report.verdict import VerdictWord

NOTHING_TO_DO = "Nothing to do."
_CLEAR = "then clear the task"
_GREEN = {
    VerdictWord.NOTHING: "Nothing to do if no change was expected; else check the query and the data interval.",
    VerdictWord.STALE: "Nothing to do if older data was run again; else check the data time of the run.",
    VerdictWord.LEFT_ALONE: "Nothing to do if newer values and changes made in the CRM are to stay.",
    VerdictWord.PARTLY: "Look at the records that the reasons name, then make a new plan of the rows that are left.",
    VerdictWord.PLANNED: "Look at the plan, approve it, then apply it.",
}
_CHECK = "Check the rows of the source, or raise the limit if the change is meant"
_CANARY = "Correct why the first rows did not land, or take back those that did"
_WAIT = "Wait until the CRM answers again"
_REFUSED = "Correct the rows as the reasons say"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequel:
    """The facts that decide what comes after a run.

    Attributes:
        failed: Whether the task failed.
        retries: Whether Airflow runs the task again by itself.
        resumes: Whether another try knows which rows landed, and does not send them again.
        landed: Whether a row is in the CRM.
        error: The error that ended the run before its last row, or None.
        connection: The connection to the CRM.
    """

    failed: bool = False
    retries: bool = False
    resumes: bool = True
    landed: bool = True
    error: BaseException | None = None
    connection: str = ""


def next_step(word: VerdictWord, sequel: Sequel) -> str:
    """Return what to do next, as a sentence.

    Args:
        word: The verdict on the run.
        sequel: What else decides it.
    """
    if not sequel.failed:
        later = f"{_REFUSED}; the next run sends the corrected values."
        return later if word is VerdictWord.REFUSED else _GREEN.get(word, NOTHING_TO_DO)
    if sequel.retries:
        left = "sends only what is left" if sequel.resumes else "sends all rows again"
        return f"Nothing yet: Airflow retries the task, which {left}."
    if word is VerdictWord.PARTLY:
        return _GREEN[word]
    rest = f": {_what_is_sent(sequel)}" if sequel.landed else ""
    return f"{_repair(word, sequel)}, {_CLEAR}{rest}."


def _repair(word: VerdictWord, sequel: Sequel) -> str:
    """Return what a person does before the task is cleared."""
    repairs = (
        (AuthenticationError, f"Put a valid key into connection {sequel.connection!r}"),
        (GuardrailError, _CHECK if word is VerdictWord.GUARDRAIL else _CANARY),
        (LedgerUnavailableError, "Make the ledger's database reachable"),
        (SourceUnreadableError, "Make the source readable"),
        (ConfigurationError, "Correct what the verdict names"),
        (TransientError, _WAIT),
    )
    for kind, repair in repairs:
        if isinstance(sequel.error, kind):
            return repair
    if word is VerdictWord.OUTAGE:
        return _WAIT
    return _REFUSED if word is VerdictWord.REFUSED else "Read the reason why it ended"


def _what_is_sent(sequel: Sequel) -> str:
    return "rows that landed are not sent again" if sequel.resumes else "all rows are sent again"
