"""What Airflow's context says about a run: its name and the time of its data."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt

    from airflow.sdk import Context


def as_of_run(context: Context) -> dt.datetime | None:
    """Data time of a run: the first it has of partition date, end of data interval, logical date and run_after."""
    moments = (context.get("partition_date"), context.get("data_interval_end"), context.get("logical_date"))
    return next((moment for moment in moments if moment is not None), context["dag_run"].run_after)


def interval_end(context: Context) -> dt.datetime | None:
    """End of the data interval; None for a run whose interval is a mere moment."""
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    return end if start != end else None


def run_key(context: Context) -> str:
    """Name of one run of one task, the same for all its tries: `dag/task/run`, with `[index]` for a mapped task."""
    ti = context["ti"]
    index = f"[{ti.map_index}]" if ti.map_index is not None and ti.map_index >= 0 else ""
    return f"{ti.dag_id}/{ti.task_id}{index}/{ti.run_id}"
