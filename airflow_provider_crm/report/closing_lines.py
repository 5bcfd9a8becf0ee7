"""Describe in lines, for the end of a task's log, what became of a run and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_crm.report.cures import cure
from airflow_provider_crm.report.next_step import Sequel, next_step
from airflow_provider_crm.report.rejects import Cause
from airflow_provider_crm.report.verdict import RunFacts, RunVerdict, VerdictWord, run_verdict


def closing_lines(
    result: Mapping[str, Any],
    sequel: Sequel,
    *,
    page: str = "",
    applies_plan: bool = False,
    all_tries: Mapping[str, int] | None = None,
) -> Iterator[str]:
    """Return the lines: verdict, counts, each reason with what to do about it, the next step, the page.

    Args:
        result: What the run reported: `SyncReport.to_dict`, or the result of a task that made a plan.
        sequel: What decides the next step.
        page: Address of the run on the CRM page; empty where there is none.
        applies_plan: Whether it applied a plan, or took one back.
        all_tries: Rows by outcome of the whole run, where earlier tries had a part in it.
    """
    verdict = run_verdict(RunFacts.from_report(result, applies_plan=applies_plan))
    yield f"Verdict: {verdict.label}. {_sentence(verdict, result)}"
    if outcomes := result.get("outcomes"):
        calls, seconds = result.get("calls", 0), result.get("seconds", 0.0)
        yield f"Rows: {counts_text(outcomes)} in {seconds:.1f} s with {calls:,} call{'' if calls == 1 else 's'}."
    if all_tries:
        yield f"All tries of this run together: {counts_text(all_tries)}."
    for cause in (Cause(**one) for one in result.get("causes") or ()):
        yield f"Reason: {cause}"
        yield f"    {cure(cause.code)}"
    if result.get("rejects_path"):
        yield f"All rows that did not land are in {result['rejects_path']}."
    yield f"Next: {next_step(verdict.word, sequel)}"
    if page:
        yield f"Page: {page}"


def rows_of_all_tries(outcomes: Mapping[str, int], run_report: Mapping[str, Any] | None) -> Mapping[str, int] | None:
    """Return the rows of a whole run by outcome; None where this try has had all of them.

    Args:
        outcomes: Of this try.
        run_report: Of the run, as the ledger combines it from its tries; None where it has none.
    """
    whole: Mapping[str, int] = (run_report or {}).get("outcomes") or {}
    return None if not whole or whole == outcomes else whole


def _sentence(verdict: RunVerdict, result: Mapping[str, Any]) -> str:
    """Return the verdict's sentence; where nothing was written, the warning that knows why."""
    warnings = [one for one in result.get("warnings") or () if one.startswith("Nothing to write: all")]
    return warnings[0] if verdict.word is VerdictWord.NOTHING and warnings else verdict.sentence


def counts_text(outcomes: Mapping[str, int]) -> str:
    """Return the number of rows and what became of them: `3 (2 updated, 1 stale)`."""
    counts = ", ".join(f"{count:,} {word}" for word, count in outcomes.items())
    return f"{sum(outcomes.values()):,} ({counts})"
