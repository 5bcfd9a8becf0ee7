"""The result of a check: a state, a sentence, and the cure."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class CheckState(enum.StrEnum):
    """The states that a check can report."""

    OK = "ok"
    WARNING = "warning"
    """Tasks run, but something is not as it should be, or could not be checked."""
    PROBLEM = "problem"
    """Tasks fail, or will fail."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One result.

    Attributes:
        check: Name of the check, such as `connection`.
        state: Whether a person has to act.
        sentence: What was found; it contains no secret.
        cure: What to do about it; empty if the check is ok.
    """

    check: str
    state: CheckState
    sentence: str
    cure: str = ""


def ok(check: str, sentence: str) -> CheckResult:
    """Return the result of a check that found nothing wrong."""
    return CheckResult(check, CheckState.OK, sentence)


def warning(check: str, sentence: str, cure: str) -> CheckResult:
    """Return the result of a check that found something with which tasks still run."""
    return CheckResult(check, CheckState.WARNING, sentence, cure)


def problem(check: str, sentence: str, cure: str) -> CheckResult:
    """Return the result of a check that found why tasks fail."""
    return CheckResult(check, CheckState.PROBLEM, sentence, cure)
