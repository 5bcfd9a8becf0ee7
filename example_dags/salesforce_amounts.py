"""Write the amounts of a warehouse table to Salesforce opportunities every night, two hundred a call.

`salesforce_id` has fifteen characters, as reports have them, or eighteen. Every call also reads what its opportunities
hold afterwards: an amount that products hold, or that a flow has changed, is `ignored` and makes the task red.

`daily_share` leaves nine tenths of the org's calls of the day to everything else.
"""

import pendulum
from airflow.sdk import DAG, CronDataIntervalTimetable

from airflow_provider_crm.guardrails import Guardrails
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

with DAG(
    dag_id="salesforce_amounts",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="America/New_York"),
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    catchup=False,
    tags=["crm"],
):
    SqlToOpportunityOperator(
        task_id="amounts",
        sql="SELECT salesforce_id, arr, note FROM deals WHERE day = '{{ ds }}'",
        sql_conn_id="warehouse",
        crm_conn_id="crm_salesforce_default",
        id_column="salesforce_id",
        fields={"arr": "deal_value", "note": "NextStep"},
        guardrails=Guardrails(min_rows=1, max_rows=200_000),
        daily_share=0.1,
        retries=3,
    )
