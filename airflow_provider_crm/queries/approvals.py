"""Read from Airflow how people answered the approval of a plan."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import select, tuple_

from airflow_provider_crm.queries.run_keys import RunKey

if TYPE_CHECKING:
    from airflow_provider_crm.plan.stored_plan import Plan

# Airflow 3.3 has a state of its own for a task that asks; before, such a task is deferred.
_ASKING = ("awaiting_input", "deferred", "running")


@dataclass(frozen=True, slots=True)
class ApprovalAnswer:
    """One question about a plan, and its answer.

    Attributes:
        task_id: The task that asks.
        chosen: The options that were chosen, such as `Approve`; None until it is answered.
        by: Name of the user who answered, or None.
        at: Time of the answer, or None.
    """

    task_id: str
    chosen: str | None
    by: str | None
    at: dt.datetime | None


def open_questions(plans: Sequence[Plan]) -> list[tuple[Plan, RunKey]]:
    """Return the plans about which a task asks a person, each with the task instance that asks."""
    made_by = {plan.plan_id: RunKey.parse(plan.run_key) for plan in plans}
    dag_runs = {(key.dag_id, key.run_id) for key in made_by.values() if key is not None}
    if not dag_runs:
        return []
    asking = (TaskInstance.dag_id, TaskInstance.task_id, TaskInstance.run_id, TaskInstance.map_index)
    query = select(*asking, HITLDetail.body).join(TaskInstance, TaskInstance.id == HITLDetail.ti_id)
    query = query.where(HITLDetail.responded_at.is_(None), TaskInstance.state.in_(_ASKING))
    query = query.where(tuple_(TaskInstance.dag_id, TaskInstance.run_id).in_(sorted(dag_runs)))
    with create_session() as session:
        questions = [(RunKey(*row[:4]), row.body or "") for row in session.execute(query)]
    return [(plan, key) for plan in plans for key, body in questions if plan.plan_id in body]


def answers(plan_id: str, made_by: RunKey) -> list[ApprovalAnswer]:
    """Return the questions in the plan's own Dag run whose text names the plan, in the order of asking."""
    query = (
        select(TaskInstance.task_id, HITLDetail.chosen_options, HITLDetail.responded_by, HITLDetail.responded_at)
        .join(TaskInstance, TaskInstance.id == HITLDetail.ti_id)
        .where(TaskInstance.dag_id == made_by.dag_id, TaskInstance.run_id == made_by.run_id)
        .where(HITLDetail.body.contains(plan_id, autoescape=True))
        .order_by(HITLDetail.created_at)
    )
    with create_session() as session:
        return [
            ApprovalAnswer(
                task_id=task_id,
                chosen=None if moment is None else ", ".join(chosen or ()),
                by=(user or {}).get("name"),
                at=moment,
            )
            for task_id, chosen, user, moment in session.execute(query)
        ]
