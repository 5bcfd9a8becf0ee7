"""Plan the day's changes, let a person approve them, and write exactly the approved ones.

The plan reads the CRM and writes nothing to it. The approver sees the largest changes by money in the Airflow UI (or
reads them by the REST API). A field that changes in the CRM between plan and approval is refused, not overwritten. If
the answer is "Reject", nothing is written.

The digest binds both: a plan whose rows differ from the rows that were shown is refused. Pass `assigned_users` to the
approval, so that the user who started the plan does not approve it. To revert a run later, see
`RevertOpportunityUpdatesOperator`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pendulum
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, BaseHook, CronDataIntervalTimetable, task

from airflow_provider_crm.guardrails import Guardrails
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator

if TYPE_CHECKING:
    import pandas as pd


@task
def deals(ds: str | None = None) -> pd.DataFrame:
    """Return one row per deal of the day."""
    return BaseHook.get_hook("warehouse").get_df("SELECT close_id, arr, health FROM deals WHERE day = ?", [ds])


with DAG(
    dag_id="plan_approve_apply",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="America/New_York"),
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    catchup=False,
    tags=["crm"],
):
    plan = PlanOpportunityUpdatesOperator(
        task_id="plan",
        data=deals(),
        crm_conn_id="close_default",
        id_column="close_id",
        fields={"arr": "deal_value", "health": "custom.cf_health"},
        # Beyond these limits the plan fails, and no approval is requested.
        guardrails=Guardrails(max_rows=5_000, max_null_fraction=0.2),
    )
    approve = ApprovalOperator(
        task_id="approve",
        subject="Write the deal values of {{ ds }} to Close?",
        body=plan.output["summary"],
    )
    apply = UpdateOpportunityOperator(
        task_id="apply",
        crm_conn_id="close_default",
        plan=plan.output["plan_id"],
        digest=plan.output["digest"],
        on_conflict="skip",
    )
    plan >> approve >> apply
