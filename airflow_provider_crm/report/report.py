"""The report of a run: counts, and the first rows that did not land."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_crm.budget.usage import BudgetUse
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.report.guardrail_check import GuardrailCheck
from airflow_provider_crm.report.rejects import Cause, Reject
from airflow_provider_crm.report.tally import REJECTS_SHOWN
from airflow_provider_crm.values.opportunity import FAILURES, OutcomeWord

if TYPE_CHECKING:
    import pandas as pd

_CAUSES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class SyncReport:
    """The result of one run; small enough for XCom, whatever the number of rows.

    Attributes:
        run_key: Name of the run: Dag, task, run and map index.
        vendor: Connection type.
        account: Vendor, host and organization.
        rows: Number of rows that were read.
        calls: Number of HTTP calls, including retries and reads.
        seconds: Duration of the run.
        outcomes: Number of rows by outcome word; words without rows are left out.
        rejects: The first 20 rows that did not land.
        rejects_path: Path of the file that has all of them, or None.
        budget: The run's use of the vendor's rate limit; None where no calls were counted.
        guardrails: Its limits, each beside the value that was measured before the run wrote.
        causes: The 10 commonest causes of all rejects, the commonest first.
        warnings: Sentences that a person should read, such as that no row landed.
        ended_early: The reason why the run ended before all rows were processed, as a sentence; else None.
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

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, for XCom."""
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
            "budget": None if self.budget is None else self.budget.to_dict(),
            "guardrails": [one.to_dict() for one in self.guardrails],
            "causes": [asdict(cause) for cause in self.causes],
            "warnings": list(self.warnings),
            "ended_early": self.ended_early,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the report that `to_dict` wrote, such as a task's XCom; other keys of a task are ignored.

        Args:
            values: With at least the keys that `to_dict` writes.
        """
        known = {field.name: values[field.name] for field in fields(cls)}
        known["rejects"] = tuple(Reject(**reject) for reject in values["rejects"])
        known["budget"] = None if values["budget"] is None else BudgetUse.from_dict(values["budget"])
        known["guardrails"] = tuple(map(GuardrailCheck.from_dict, values["guardrails"]))
        known["causes"] = tuple(Cause(**cause) for cause in values["causes"])
        known["warnings"] = tuple(values["warnings"])
        return cls(**known)

    def to_frame(self) -> pd.DataFrame:
        """Return the rejects as text: record_id, outcome, code, reason.

        These are all rejects if `rejects_path` names their file, else the first 20.

        Raises:
            ConfigurationError: The file is missing, or a later run has overwritten it.
        """
        import pandas as pd

        rejects = self.rejects if self.rejects_path is None else self._rejects_on_file(self.rejects_path)
        return pd.DataFrame(
            [asdict(reject) for reject in rejects], columns=[field.name for field in fields(Reject)], dtype="str"
        )

    def _rejects_on_file(self, path: str) -> list[Reject]:
        from airflow.sdk import ObjectStoragePath

        from airflow_provider_crm.report.rejects_file import read_rejects

        try:
            rejects = list(read_rejects(ObjectStoragePath(path)))
        except OSError as err:
            msg = f"The rejects of run {self.run_key} cannot be read from {path!r}: {err}."
            raise ConfigurationError(msg) from err
        if rejects[:REJECTS_SHOWN] != [Reject(**reject.to_row()) for reject in self.rejects]:
            msg = (
                f"{path!r} no longer has the rejects of run {self.run_key}: a later run has overwritten it. Give "
                "each run a file of its own, such as rejects_path='.../{{ run_id }}.parquet'."
            )
            raise ConfigurationError(msg)
        return rejects

    def count(self, *words: OutcomeWord) -> int:
        """Return the number of rows with one of these outcomes."""
        return sum(self.outcomes.get(word.value, 0) for word in words)

    def summary(self) -> str:
        """Return one line for logs and messages: `12 rows: 10 updated, 2 rejected`."""
        counts = ", ".join(f"{count} {word}" for word, count in self.outcomes.items())
        return f"{self.rows} rows: {counts or 'nothing to do'}"

    def failure_text(self) -> str:
        """Return the text that explains a failed task to a person.

        It says why the run ended early, and has counts, a row for each of the three commonest causes, and the warnings.
        """
        return self._text(self.ended_early or ("Not every row landed." if self.count(*FAILURES) else ""))

    def text(self) -> str:
        """Return the text about a task that succeeded: counts, commonest causes, and warnings."""
        return self._text("")

    def _text(self, title: str) -> str:
        lines = [f"{title} {self.summary()}.".strip(), *map(str, self.causes[:_CAUSES_SHOWN])]
        lines += (f"Warning: {warning}" for warning in self.warnings)
        if self.rejects_path is not None:
            lines.append(f"All of them are in {self.rejects_path}.")
        return "\n".join(lines)
