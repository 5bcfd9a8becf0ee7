"""Write notes to HubSpot deals that the warehouse knows by a key of its own.

`warehouse_deal_key` is a property of the portal with unique values, filled once, when the deals were made. Each key is
looked up once, a hundred a call, and its record is remembered. A key that no deal has makes the task red, and the
reason names it; `on_missing="skip"` would leave its row out.
"""

import pendulum
from airflow.sdk import DAG, CronDataIntervalTimetable

from airflow_provider_crm.guardrails import Guardrails
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

with DAG(
    dag_id="crm_by_key",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="America/New_York"),
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    catchup=False,
    tags=["crm"],
):
    SqlToOpportunityOperator(
        task_id="notes",
        sql="SELECT deal_key, note FROM deal_keys WHERE day = '{{ ds }}'",
        sql_conn_id="warehouse",
        crm_conn_id="hubspot_default",
        id_column="deal_key",
        id_field="warehouse_deal_key",
        fields={"note": "notes"},
        guardrails=Guardrails(canary_rows=25),
        retries=3,
    )
