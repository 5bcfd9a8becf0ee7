r"""Revert a run: restore the earlier values in Close, wherever Close still has the values that the run wrote.

    airflow dags trigger crm_undo --conf '{"run_key": "plan_approve_apply/apply/scheduled__2026-03-09T04:00:00+00:00"}'

The key is `run_key` in the report (XCom) of the run's task: DAG, task and run. A deal that was changed since, or
whose earlier value is not known, is left alone and reported, and the task fails: look at that deal yourself.
With `plan_only=True` the undo is a plan, to be approved and applied as in `plan_approve_apply`.
"""

import pendulum
from airflow.sdk import DAG, Param

from airflow_provider_crm.operators.plan import RevertOpportunityUpdatesOperator

with DAG(
    dag_id="crm_undo",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    params={"run_key": Param(type="string", minLength=1, description="The run to revert: dag/task/run.")},
    tags=["crm"],
):
    RevertOpportunityUpdatesOperator(
        task_id="undo",
        run_key="{{ params.run_key }}",
        crm_conn_id="close_default",
    )
