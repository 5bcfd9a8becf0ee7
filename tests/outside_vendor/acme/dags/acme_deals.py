"""Write deals to Acme: plan the changes and apply exactly them; and revert a run."""

import pendulum
from airflow.sdk import DAG, Param

from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator

ROWS = [
    {"id": "deal_1", "arr": "1234.56", "stage": "Won", "won": "2026-03-01"},
    {"id": "deal_2", "arr": "99.90", "stage": "Offer made", "won": None},
]

with DAG(dag_id="acme_deals", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York")):
    plan = PlanOpportunityUpdatesOperator(
        task_id="plan",
        data=ROWS,
        crm_conn_id="acme_default",
        id_column="id",
        fields={"arr": "deal_value", "stage": "stage", "won": "date_won"},
    )
    apply = UpdateOpportunityOperator(
        task_id="apply",
        crm_conn_id="acme_default",
        plan=plan.output["plan_id"],
        digest=plan.output["digest"],
    )
    plan >> apply

with DAG(
    dag_id="acme_undo",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    params={"run_key": Param(type="string", minLength=1, description="The run to revert: dag/task/run.")},
):
    RevertOpportunityUpdatesOperator(task_id="undo", run_key="{{ params.run_key }}", crm_conn_id="acme_default")

with DAG(dag_id="acme_notes", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York")):
    UpdateOpportunityOperator(
        task_id="write",
        data=[{"id": "deal_3", "note": "From the warehouse"}],
        crm_conn_id="acme_default",
        id_column="id",
        fields={"note": "notes"},
    )
