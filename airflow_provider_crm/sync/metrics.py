"""What a run tells Airflow's metrics (StatsD, OpenTelemetry or Datadog, as `[metrics]` sets up)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_crm.sync.airflow_versions import stats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from airflow_provider_crm.report.report import SyncReport


def metric_tags(context: Context, vendor: str) -> dict[str, str]:
    """Tags of all metrics of a task; backends without tags leave them out."""
    ti = context["ti"]
    return {"dag_id": ti.dag_id, "task_id": ti.task_id, "vendor": vendor}


def count_run(report: SyncReport, tags: Mapping[str, str]) -> None:
    """Tell rows, calls and use of the budget, once, when a run has ended: those before a deferral are in its report.

    Args:
        report: Of the whole run.
        tags: See `metric_tags`.
    """
    for word, rows in report.outcomes.items():
        stats.incr(f"crm.rows.{word}", rows, tags=dict(tags))
    stats.incr("crm.calls", report.calls, tags=dict(tags))
    for group in () if report.budget is None else report.budget.groups:
        if group.used is not None:
            name = group.group.replace(" ", "_") or "all"  # StatsD's tags hold no spaces
            stats.gauge("crm.budget.used", group.used, tags={**tags, "group": name})


def time_waits(seconds: float, tags: Mapping[str, str]) -> None:
    """Tell how long a run stood still; a deferred task tells it for each stretch in which it held a worker slot.

    Args:
        seconds: See `progress.Waits`.
        tags: See `metric_tags`.
    """
    stats.timing("crm.waited", timedelta(seconds=seconds), tags=dict(tags))
