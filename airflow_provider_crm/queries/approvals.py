"""Read from Airflow how people answered the approval of a plan."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_crm.queries.run_keys import RunKey


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
