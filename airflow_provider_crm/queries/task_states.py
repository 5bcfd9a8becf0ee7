"""Ask Airflow whether tasks still run, of runs that have no last report in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import State
from sqlalchemy import select, tuple_

from airflow_provider_crm.queries.run_keys import RunKey

if TYPE_CHECKING:
    from airflow_provider_crm.queries.runs import Run

_ASKED = 100


def with_task_states(found: Sequence[Run]) -> list[Run]:
    """Return the same runs; those without a last report say whether Airflow still runs their task."""
    open_runs = [run for run in found if run.finished_at is None][:_ASKED]
    alive = alive_tasks(run.key for run in open_runs)
    asked = {run.key for run in open_runs}
    return [replace(run, alive=run.key in alive) if run.key in asked else run for run in found]


def alive_tasks(keys: Iterable[RunKey]) -> frozenset[RunKey]:
    """Return those of some task instances that Airflow runs, or is going to run."""
    wanted = [(key.dag_id, key.run_id, key.task_id, key.map_index) for key in keys]
    if not wanted:
        return frozenset()
    columns = (TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index)
    query = select(*columns, TaskInstance.state).where(tuple_(*columns).in_(wanted))
    with create_session() as session:
        return frozenset(
            RunKey(dag_id, task_id, run_id, map_index)
            for dag_id, run_id, task_id, map_index, state in session.execute(query)
            if state in State.unfinished
        )
