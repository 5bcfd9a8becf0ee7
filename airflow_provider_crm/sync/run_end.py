"""Log at the end of a task what became of its run, and what to do next."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_crm.hooks.page import run_page
from airflow_provider_crm.report.closing_lines import closing_lines, counts_text
from airflow_provider_crm.report.next_step import Sequel
from airflow_provider_crm.sync.ends import ending
from airflow_provider_crm.values.opportunity import OutcomeKind, OutcomeWord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context
    from airflow.sdk.types import Logger

    from airflow_provider_crm.sync.settings import Settings

_LANDED = tuple(word.value for word in OutcomeWord if word.kind in (OutcomeKind.WRITTEN, OutcomeKind.IN_PLACE))


class EndedSegment(Protocol):
    """What `Segment` has of a task."""

    @property
    def settings(self) -> Settings:
        """The task's arguments."""

    @property
    def context(self) -> Context:
        """Airflow's context."""

    @property
    def log(self) -> Logger:
        """The task's log."""


class EndedRun(Protocol):
    """What `TaskRun` knows at its end; see its attributes."""

    result: Mapping[str, Any]
    all_tries: Mapping[str, int] | None
    applies_plan: bool
    stopped: Exception | None
    in_ledger: bool

    @property
    def segment(self) -> EndedSegment:
        """The segment that has ended."""


def log_end(run: EndedRun, failure: BaseException | None = None, error: BaseException | None = None) -> None:
    """Log verdict, counts, reasons, next step and page: as errors for a task that fails, as warnings if it has some.

    Args:
        run: The segment that has ended.
        failure: The exception that ends the task; None if it succeeds.
        error: The error of the package behind it, if there is one.
    """
    segment, result = run.segment, run.result
    if failure is not None and not result.get("outcomes") and not result.get("ended_early"):
        result = {**result, "ended_early": ending(error or failure)}
    settings = segment.settings
    sequel = Sequel(
        failed=failure is not None,
        retries=failure is not None and _is_retried(segment.context, failure),
        resumes=run.in_ledger and settings.changes_only,
        landed=any(word in result.get("outcomes", {}) for word in _LANDED),
        error=error or run.stopped,
        connection=settings.crm_conn_id,
    )
    page = page_of(segment.context) if run.in_ledger else ""
    level = logging.INFO if failure is None else logging.ERROR
    if failure is None and result.get("warnings"):
        level = logging.WARNING
    for line in closing_lines(result, sequel, page=page, applies_plan=run.applies_plan, all_tries=run.all_tries):
        segment.log.log(level, line)


def log_deferral(run: EndedRun, why: str, seconds: float) -> None:
    """Log that the task goes on later, and by itself.

    Args:
        run: The segment that has ended.
        why: The reason, as a sentence.
        seconds: Seconds until Airflow wakes the task.
    """
    log = run.segment.log
    log.info("Verdict: deferred for %s seconds. %s", f"{seconds:,.0f}", why)
    if outcomes := run.result.get("outcomes"):
        log.info("Rows: %s so far.", counts_text(outcomes))
    log.info("Next: Nothing to do: Airflow wakes the task, which goes on with the rows that are left.")
    if run.in_ledger and (page := page_of(run.segment.context)):
        log.info("Page: %s", page)


def page_of(context: Context) -> str:
    """Return the address of the run on the CRM page; empty where the page is turned off."""
    ti = context["ti"]
    return run_page(ti.dag_id, ti.run_id, ti.task_id, ti.map_index)


def _is_retried(context: Context, failure: BaseException) -> bool:
    ti = context["ti"]
    return not isinstance(failure, AirflowFailException) and ti.try_number <= getattr(ti, "max_tries", 0)
