"""Record the metrics of a run in StatsD, OpenTelemetry or Datadog, as `[metrics]` of Airflow's configuration says."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_crm.sync.airflow_versions import stats

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_crm.report.report import SyncReport


def record_run(context: Context, report: SyncReport) -> None:
    """Record rows, calls, warnings and use of the rate limit once a run has ended.

    The report includes the parts of the run before deferrals.

    Args:
        context: Airflow's context.
        report: The report of the whole run.
    """
    tags = _tags(context, report.vendor)
    for word, rows in report.outcomes.items():
        stats.incr(f"crm.rows.{word}", rows, tags=tags)
    stats.incr("crm.calls", report.calls, tags=tags)
    if report.warnings:
        stats.incr("crm.warnings", len(report.warnings), tags=tags)
    for group in () if report.budget is None else report.budget.groups:
        if group.used is not None:
            name = group.group.replace(" ", "_") or "all"  # StatsD allows no spaces in tags
            stats.gauge("crm.budget.used", group.used, tags={**tags, "group": name})


def record_waits(context: Context, vendor: str, seconds: float) -> None:
    """Record how long a run waited; a deferred task records it for each segment in which it had a worker slot.

    Args:
        context: Airflow's context.
        vendor: The connection type.
        seconds: The seconds for which it waited.
    """
    stats.timing("crm.waited", timedelta(seconds=seconds), tags=_tags(context, vendor))


def _tags(context: Context, vendor: str) -> dict[str, str]:
    """Return the tags of all metrics of a task; backends without tags drop them."""
    ti = context["ti"]
    return {"dag_id": ti.dag_id, "task_id": ti.task_id, "vendor": vendor}
