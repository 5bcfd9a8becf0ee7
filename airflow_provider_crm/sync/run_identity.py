"""Read the name of a run and the time of its data from Airflow's context."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from airflow_provider_crm.sync.airflow_versions import partition_date, partition_key
from airflow_provider_crm.sync.data_time import DataTime, Interval, RunDates, data_time
from airflow_provider_crm.sync.schedule import Schedule

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.timetables.base import Timetable

_BY_THE_SCHEDULE = frozenset({"scheduled", "backfill"})


def data_time_of_run(context: Context, now: dt.datetime) -> DataTime:
    """Return the data time of a run.

    Args:
        context: Airflow's context.
        now: The present time.
    """
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    run = RunDates(
        run_after=context["dag_run"].run_after,
        logical_date=context.get("logical_date"),
        interval=None if start is None or end is None else Interval(start, end),
        partition_date=partition_date(context),
        partition_key=partition_key(context),
        scheduled=context["dag_run"].run_type in _BY_THE_SCHEDULE,
    )
    return data_time(run, Schedule(_timetable(context)), now)


def _timetable(context: Context) -> Timetable | None:
    """Return Airflow's own timetable of the DAG: a DAG file has only a description, which cannot compute runs."""
    from airflow.serialization.encoders import coerce_to_core_timetable

    dag = context.get("dag")
    return None if dag is None else coerce_to_core_timetable(dag.timetable)


def run_key(context: Context) -> str:
    """Return the name of one run of one task, the same for all its tries: `dag/task/run`, `[index]` if mapped."""
    ti = context["ti"]
    index = f"[{ti.map_index}]" if ti.map_index is not None and ti.map_index >= 0 else ""
    return f"{ti.dag_id}/{ti.task_id}{index}/{ti.run_id}"
