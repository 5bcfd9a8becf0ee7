"""What became of a run: counts, and the first refused rows."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_crm.budget.usage import BudgetUse
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.guardrails.limits import GuardrailCheck
from airflow_provider_crm.values.opportunity import FAILURES, Outcome, OutcomeWord

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 20
_CAUSES_SHOWN, _CAUSES_TOLD, _CAUSES_COUNTED = 3, 10, 1_000
_DIGEST_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that did not land, as the report and the rejects file show it."""

    record_id: str
    outcome: str
    code: str
    reason: str

    @classmethod
    def of(cls, outcome: Outcome) -> Reject:
        """Take what a person needs of an outcome."""
        return cls(outcome.record_id, outcome.word.value, outcome.code, outcome.reason)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why rows did not land, with one of them for an example."""

    outcome: str
    code: str
    rows: int
    record_id: str
    reason: str

    def __str__(self) -> str:
        return f"{self.rows} {self.outcome} {self.code}, such as record {self.record_id!r}: {self.reason}"


@dataclass(frozen=True, slots=True)
class SyncReport:
    """The result of one run; small enough for XCom, whatever the number of rows.

    Attributes:
        run_key: Names the run: Dag, task, run and map index.
        vendor: Connection type.
        account: Vendor, host and organization.
        rows: Rows seen.
        calls: HTTP calls made, retries and reads included.
        seconds: Duration.
        outcomes: Number of rows by outcome word; words without rows are left out.
        rejects: The first 20 rows that did not land.
        rejects_path: Where all of them are, or None.
        budget: What the run used of the vendor's budget; None where nobody counted.
        guardrails: What the run would have done, as measured before it wrote, beside its limits.
        causes: The 10 commonest causes of all rejects, the commonest first.
        warnings: Sentences about what a person should know, such as that no row landed.
        ended_early: Why the run ended before it had gone through all rows, as a sentence; None if it has not.
    """

    run_key: str
    vendor: str
    account: str
    rows: int
    calls: int
    seconds: float
    outcomes: dict[str, int]
    rejects: tuple[Reject, ...] = ()
    rejects_path: str | None = None
    budget: BudgetUse | None = None
    guardrails: tuple[GuardrailCheck, ...] = ()
    causes: tuple[Cause, ...] = ()
    warnings: tuple[str, ...] = ()
    ended_early: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain types, for XCom."""
        return {
            "run_key": self.run_key,
            "vendor": self.vendor,
            "account": self.account,
            "rows": self.rows,
            "calls": self.calls,
            "seconds": round(self.seconds, 3),
            "outcomes": dict(self.outcomes),
            "rejects": [asdict(reject) for reject in self.rejects],
            "rejects_path": self.rejects_path,
            "budget": None if self.budget is None else self.budget.as_dict(),
            "guardrails": [one.as_dict() for one in self.guardrails],
            "causes": [asdict(cause) for cause in self.causes],
            "warnings": list(self.warnings),
            "ended_early": self.ended_early,
        }

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """The report that `as_dict` wrote, such as a task's XCom; what else a task put beside it is left out.

        Args:
            told: With at least the keys that `as_dict` writes.
        """
        known = {field.name: told[field.name] for field in fields(cls)}
        known["rejects"] = tuple(Reject(**reject) for reject in told["rejects"])
        known["budget"] = None if told["budget"] is None else BudgetUse.of(told["budget"])
        known["guardrails"] = tuple(map(GuardrailCheck.of, told["guardrails"]))
        known["causes"] = tuple(Cause(**cause) for cause in told["causes"])
        known["warnings"] = tuple(told["warnings"])
        return cls(**known)

    def to_frame(self) -> pd.DataFrame:
        """All rejects if `rejects_path` names their file, else the first 20: record_id, outcome, code, reason, as text.

        Raises:
            ConfigurationError: The file is away, or a later run has written over it.
        """
        import pandas as pd

        rejects = self.rejects if self.rejects_path is None else self._rejects_on_file(self.rejects_path)
        return pd.DataFrame(
            [asdict(reject) for reject in rejects], columns=[field.name for field in fields(Reject)], dtype="str"
        )

    def _rejects_on_file(self, place: str) -> list[Reject]:
        from airflow.sdk import ObjectStoragePath

        from airflow_provider_crm.report.rejects import read_rejects, readable

        try:
            found = list(read_rejects(ObjectStoragePath(place)))
        except OSError as err:
            msg = f"The rejects of run {self.run_key} cannot be read from {place!r}: {err}."
            raise ConfigurationError(msg) from err
        first = [readable(reject) for reject in self.rejects]
        if found[:_SHOWN] != first:
            msg = (
                f"{place!r} no longer holds the rejects of run {self.run_key}: a later one has written over them. Give "
                "each run a file of its own, such as rejects_path='.../{{ run_id }}.parquet'."
            )
            raise ConfigurationError(msg)
        return found

    def count(self, *words: OutcomeWord) -> int:
        """Rows with one of these outcomes."""
        return sum(self.outcomes.get(word.value, 0) for word in words)

    def summary(self) -> str:
        """One line for logs and messages: `12 rows: 10 updated, 2 rejected`."""
        told = ", ".join(f"{count} {word}" for word, count in self.outcomes.items())
        return f"{self.rows} rows: {told or 'nothing to do'}"

    def failure_text(self) -> str:
        """Return what a person reads first when the task fails.

        That is why it ended early, counts, a row for each of the three commonest causes, and the warnings.
        """
        title = self.ended_early or ("Not every row landed." if self.count(*FAILURES) else "")
        lines = [f"{title} {self.summary()}.".strip(), *map(str, self.causes[:_CAUSES_SHOWN])]
        lines += (f"Warning: {warning}" for warning in self.warnings)
        if self.rejects_path is not None:
            lines.append(f"All of them are in {self.rejects_path}.")
        return "\n".join(lines)


class FinishedRows:
    """Which rows of a run have their outcome, small enough to be kept while the task is deferred.

    A row is known by a digest of its record id, and counted, so that rows are found again whatever the order in which
    a query returns them the next time.

    Args:
        text: What `text()` gave earlier, or empty.
    """

    def __init__(self, text: str = "") -> None:
        self._before = Counter(text[start : start + _DIGEST_LENGTH] for start in range(0, len(text), _DIGEST_LENGTH))
        self._since = bytearray()
        self._text = text

    def skip(self, record_id: str) -> bool:
        """Whether the next row of that id was settled before; each settled row is skipped once."""
        if not self._before:
            return False
        digest = _text(_digest(record_id))
        self._before[digest] -= 1
        return self._before[digest] >= 0

    def add(self, record_id: str) -> None:
        """Note that a row has its outcome."""
        self._since += _digest(record_id)

    def text(self) -> str:
        """Everything that is settled, as text."""
        return self._text + _text(self._since)


def _digest(record_id: str) -> bytes:
    """Nine bytes: twelve characters as text, without any padding between two of them."""
    return hashlib.blake2b(record_id.encode("utf-8", "surrogatepass"), digest_size=9).digest()


def _text(digests: bytes | bytearray) -> str:
    return base64.b64encode(digests).decode()


class Tally:
    """Counts outcomes as they come, keeps the first rejects and passes all of them on.

    Args:
        write: Takes each reject, or None.
        failures: Words that make a row a reject.
        earlier: The report of the part of the run before a deferral, as `SyncReport.as_dict` wrote it, or empty.
        landed: Rows that had landed before a deferral, of a run that goes through all rows again: they come as
            `unchanged` now, and are told as `updated` still.

    Attributes:
        codes: Rows that are no rejects, by code, since the last deferral.
    """

    def __init__(
        self,
        write: Callable[[Reject], object] | None = None,
        *,
        failures: frozenset[OutcomeWord] = FAILURES,
        earlier: Mapping[str, Any] | None = None,
        landed: int = 0,
    ) -> None:
        told = earlier or {}
        self.counts: Counter[OutcomeWord] = Counter(
            {OutcomeWord(word): count for word, count in told.get("outcomes", {}).items()}
        )
        self.rejects: list[Reject] = [Reject(**reject) for reject in told.get("rejects", ())]
        earlier_causes = [Cause(**cause) for cause in told.get("causes", ())]
        self._causes = {(cause.outcome, cause.code): cause for cause in earlier_causes}
        self.codes: Counter[str] = Counter()
        self._landed = landed
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
        reject = Reject.of(outcome)
        self._count_cause(reject)
        if len(self.rejects) < _SHOWN:
            self.rejects.append(reject)
        if self._write is not None:
            self._write(reject)

    def causes(self) -> tuple[Cause, ...]:
        """The commonest causes of rejects."""
        ordered = sorted(self._causes.values(), key=lambda cause: -cause.rows)
        return tuple(ordered[:_CAUSES_TOLD])

    def _count_cause(self, reject: Reject) -> None:
        cause = self._causes.get((reject.outcome, reject.code))
        if cause is not None:
            self._causes[reject.outcome, reject.code] = replace(cause, rows=cause.rows + 1)
        elif len(self._causes) < _CAUSES_COUNTED:  # codes are the vendor's: nobody knows how many there are
            new = Cause(reject.outcome, reject.code, 1, reject.record_id, reject.reason)
            self._causes[reject.outcome, reject.code] = new

    def outcomes(self) -> dict[str, int]:
        """Number of rows by word, in the words' order, without zeros."""
        landed = min(self._landed, self.counts[OutcomeWord.UNCHANGED])
        counts = self.counts + Counter({OutcomeWord.UPDATED: landed})
        counts[OutcomeWord.UNCHANGED] -= landed
        return {word.value: counts[word] for word in OutcomeWord if counts[word]}
