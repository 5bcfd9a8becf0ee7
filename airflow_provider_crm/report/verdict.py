"""Say in a few words, and in one sentence, what became of a run.

Only `invalid`, `rejected` and `ignored` rows are refused by a decision. Rows that are `failed`, `unknown` or
`not_sent` met an outage or the end of the run: they are never called refused.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from airflow_provider_crm.exceptions import OutageError
from airflow_provider_crm.report.guardrail_check import GuardrailCheck
from airflow_provider_crm.values.opportunity import OutcomeKind, OutcomeWord

_OF_KIND = {kind: tuple(word.value for word in OutcomeWord if word.kind is kind) for kind in OutcomeKind}
_OUTAGE = OutageError.default_code
_AND = " and "


class VerdictWord(enum.StrEnum):
    """The verdicts that a run can have.

    Attributes:
        phrase: The verdict without counts, as a filter or a legend shows it.
        tone: `good`, `info`, `plain`, `warn` or `bad`, for its color.
    """

    phrase: str
    tone: str

    def __new__(cls, word: str, phrase: str, tone: str) -> Self:
        """Make one word."""
        made = str.__new__(cls, word)
        made._value_ = word
        made.phrase, made.tone = phrase, tone
        return made

    LANDED = "landed", "landed", "good"
    NOTHING = "nothing", "nothing to write", "plain"
    STALE = "stale", "all stale", "warn"
    LEFT_ALONE = "left_alone", "rows left alone", "plain"
    PARTLY = "partly", "partly applied", "warn"
    REFUSED = "refused", "rows refused", "bad"
    UNANSWERED = "unanswered", "rows without an answer", "bad"
    OUTAGE = "outage", "outage", "bad"
    GUARDRAIL = "guardrail", "stopped by a guardrail", "bad"
    ENDED_EARLY = "ended_early", "ended early", "bad"
    PLANNED = "planned", "plan made", "info"
    RUNNING = "running", "running", "info"
    KILLED = "killed", "killed, no report", "bad"
    NO_REPORT = "no_report", "no report yet", "plain"

    @property
    def is_failure(self) -> bool:
        """Return whether a person should look at the run: rows did not land, or it ended in the midst of them."""
        return self.tone == "bad" or self is VerdictWord.PARTLY


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """What became of a run.

    Attributes:
        word: The verdict.
        label: It in a few words with the count that matters, such as `3 of 43 rows refused`.
        sentence: The same as one or two sentences for people who do not know this package.
    """

    word: VerdictWord
    label: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """The facts that decide the verdict.

    Attributes:
        outcomes: Rows by outcome word.
        finished: Whether the run has stored its last report.
        alive: Whether Airflow still runs the task; None if that is not known.
        guardrails: The guardrails that the run would have broken, as sentences.
        ended_early: The reason why it ended before its last row, as a sentence, or None.
        plans: Whether it made a plan.
        applies_plan: Whether it applies a plan, or takes one back.
        codes: Codes of the commonest causes of rows that did not land.
    """

    outcomes: Mapping[str, int]
    finished: bool = True
    alive: bool | None = None
    guardrails: tuple[str, ...] = ()
    ended_early: str | None = None
    plans: bool = False
    applies_plan: bool = False
    codes: Collection[str] = ()

    @classmethod
    def from_report(
        cls,
        report: Mapping[str, Any] | None,
        *,
        finished: bool = True,
        alive: bool | None = None,
        applies_plan: bool = False,
    ) -> Self:
        """Return the facts of a stored report, such as `crm_runs.report` or a task's XCom; None for no report."""
        found = report or {}
        outcomes = found.get("outcomes") or {}
        checks = map(GuardrailCheck.from_dict, found.get("guardrails") or ())
        has_plan = found.get("plan_id") is not None
        return cls(
            outcomes=outcomes,
            finished=finished,
            alive=alive,
            guardrails=tuple(str(check) for check in checks if check.broken),
            ended_early=found.get("ended_early"),
            plans=has_plan and not outcomes,
            applies_plan=applies_plan or (has_plan and bool(outcomes)),
            codes={cause["code"] for cause in found.get("causes") or ()},
        )

    def count(self, kind: OutcomeKind) -> int:
        """Return the number of rows whose outcome is of a kind."""
        return sum(self.outcomes.get(word, 0) for word in _OF_KIND[kind])

    @property
    def rows(self) -> int:
        """Number of all rows."""
        return sum(self.outcomes.values())

    @property
    def refused(self) -> int:
        """Number of rows that were refused: before they were sent, by the CRM, or by it silently."""
        return self.count(OutcomeKind.PERMANENT)

    @property
    def unanswered(self) -> int:
        """Number of rows that did not land although nothing is wrong with them."""
        return self.count(OutcomeKind.TRANSIENT)


def run_verdict(facts: RunFacts) -> RunVerdict:
    """Return the verdict on a run."""
    is_outage = _OUTAGE in facts.codes or (facts.outcomes.get(OutcomeWord.NOT_SENT.value) and not facts.codes)
    by_weight = (
        (not facts.finished, _open),
        (bool(facts.guardrails), _stopped),
        (bool(facts.unanswered and is_outage), _outage),
        (facts.ended_early is not None, _ended_early),
        (facts.plans, _planned),
        (bool(facts.applies_plan and facts.count(OutcomeKind.WRITTEN) and _missing(facts)), _partly),
        (facts.refused > 0, _refused),
        (facts.unanswered > 0, _unanswered),
    )
    return next((decide for applies, decide in by_weight if applies), _green)(facts)


def _stopped(facts: RunFacts) -> RunVerdict:
    sentence = f"The run would have gone beyond a limit and wrote nothing: {'; '.join(facts.guardrails)}."
    return RunVerdict(VerdictWord.GUARDRAIL, VerdictWord.GUARDRAIL.phrase, sentence)


def _ended_early(facts: RunFacts) -> RunVerdict:
    sentence = " ".join(filter(None, (facts.ended_early, _counts(facts) if facts.rows else "")))
    return RunVerdict(VerdictWord.ENDED_EARLY, VerdictWord.ENDED_EARLY.phrase, sentence)


def _planned(_: RunFacts) -> RunVerdict:
    sentence = "A plan was made. Nothing is written before it is approved and applied."
    return RunVerdict(VerdictWord.PLANNED, VerdictWord.PLANNED.phrase, sentence)


def _partly(facts: RunFacts) -> RunVerdict:
    label = f"{_written(facts):,} of {facts.rows:,} applied"
    return RunVerdict(VerdictWord.PARTLY, label, f"The plan was applied in part. {_counts(facts)}")


def _refused(facts: RunFacts) -> RunVerdict:
    return RunVerdict(VerdictWord.REFUSED, f"{_of(facts.refused, facts)} refused", _counts(facts))


def _open(facts: RunFacts) -> RunVerdict:
    if facts.alive:
        return RunVerdict(VerdictWord.RUNNING, "running", "The sync is running, or waits for the CRM.")
    if facts.alive is None:
        sentence = "The sync is running, waits for the CRM, or was killed. Airflow's page of the task says which."
        return RunVerdict(VerdictWord.NO_REPORT, VerdictWord.NO_REPORT.phrase, sentence)
    sentence = "The task ended before it could report. The rows that it wrote are in the change log."
    return RunVerdict(VerdictWord.KILLED, VerdictWord.KILLED.phrase, sentence)


def _outage(facts: RunFacts) -> RunVerdict:
    label = f"outage: {_of(facts.unanswered, facts)} did not land"
    rest = f" {_rows(facts.refused)} refused." if facts.refused else ""
    return RunVerdict(
        VerdictWord.OUTAGE,
        label,
        f"The CRM did not answer. {_landed(facts)}. {_rows(facts.unanswered)} not sent, or not answered: "
        f"nothing is wrong with them, and the next try sends them.{rest}",
    )


def _unanswered(facts: RunFacts) -> RunVerdict:
    not_sent = facts.outcomes.get(OutcomeWord.NOT_SENT.value, 0)
    if not_sent:
        label = f"{_of(facts.unanswered, facts)} not sent"
        sentence = f"The run stopped before its last row. {_landed(facts)}. {_rows(facts.unanswered)} not sent."
    else:
        label = f"{_of(facts.unanswered, facts)} without an answer"
        sentence = f"{_landed(facts)}. For {facts.unanswered:,} the CRM gave no usable answer; the next try sends them."
    word = VerdictWord.ENDED_EARLY if not_sent else VerdictWord.UNANSWERED
    return RunVerdict(word, label, sentence)


def _green(facts: RunFacts) -> RunVerdict:
    """Return the verdict on a run in which every row landed, or was left alone on purpose."""
    rows, unchanged = facts.rows, facts.count(OutcomeKind.IN_PLACE)
    written, left_alone = facts.count(OutcomeKind.WRITTEN), facts.count(OutcomeKind.LEFT_ALONE)
    if rows == 0:
        return RunVerdict(VerdictWord.NOTHING, "nothing to write", "The source had no rows.")
    if unchanged == rows:
        sentence = f"The CRM held the values of all {rows:,} rows already." if rows > 1 else "The CRM held it already."
        return RunVerdict(VerdictWord.NOTHING, "nothing to write", sentence)
    if facts.outcomes.get(OutcomeWord.STALE.value) == rows:
        sentence = f"{_rows(rows)} older than what the CRM has. Nothing was overwritten."
        return RunVerdict(VerdictWord.STALE, "all stale", sentence)
    if left_alone == rows:
        return RunVerdict(VerdictWord.LEFT_ALONE, "all left alone", _counts(facts))
    if left_alone:
        return RunVerdict(VerdictWord.LEFT_ALONE, f"{_of(left_alone, facts)} left alone", _counts(facts))
    label = "landed" if not written else f"{written:,} landed"
    return RunVerdict(VerdictWord.LANDED, label, f"{_landed(facts)}.")


def _missing(facts: RunFacts) -> int:
    """Return the number of rows that are not in the CRM as the run wanted them."""
    return facts.rows - _written(facts)


def _written(facts: RunFacts) -> int:
    return facts.count(OutcomeKind.WRITTEN) + facts.count(OutcomeKind.IN_PLACE)


def _of(number: int, facts: RunFacts) -> str:
    return f"{number:,} of {facts.rows:,} row{'' if facts.rows == 1 else 's'}"


def _rows(number: int) -> str:
    return "1 row was" if number == 1 else f"{number:,} rows were"


def _landed(facts: RunFacts) -> str:
    """Say how many rows are in the CRM, without a full stop."""
    written, unchanged = facts.count(OutcomeKind.WRITTEN), facts.count(OutcomeKind.IN_PLACE)
    parts = [f"{_rows(written)} written"]
    if unchanged:
        parts.append(f"{unchanged:,} {'was' if unchanged == 1 else 'were'} in the CRM already")
    return _AND.join(parts)


def _counts(facts: RunFacts) -> str:
    """Say what became of all rows, in one sentence."""
    parts = [_landed(facts)]
    words = (
        (facts.refused, "refused"),
        (facts.outcomes.get(OutcomeWord.STALE.value, 0), "older than what the CRM has"),
        (facts.outcomes.get(OutcomeWord.SKIPPED.value, 0), "left alone, as they were changed in the CRM"),
        (facts.unanswered, "not answered or not sent"),
    )
    parts += [f"{number:,} {'was' if number == 1 else 'were'} {what}" for number, what in words if number]
    return f"{', '.join(parts)}."
