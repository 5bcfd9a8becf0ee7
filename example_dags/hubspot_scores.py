"""Write a model's scores to a hundred thousand HubSpot deals every night, a hundred deals a call.

`deal_scores` is the model's table: one row per deal and day. `health_score` is a number property of the portal; any
property works by its internal name. A hundred thousand changed scores are 1,001 calls, and a score that is the same as
yesterday's costs none.

`daily_share` leaves nine tenths of the portal's calls of the day to everything else. A night on which the model returns
too few rows, or too many empty scores, writes nothing.
"""

import pendulum
from airflow.sdk import DAG, CronDataIntervalTimetable

from airflow_provider_crm.guardrails import Guardrails
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

with DAG(
    dag_id="hubspot_scores",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="America/New_York"),
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    catchup=False,
    tags=["crm"],
):
    SqlToOpportunityOperator(
        task_id="scores",
        sql="SELECT hubspot_id, score, expected_arr FROM deal_scores WHERE day = '{{ ds }}'",
        sql_conn_id="warehouse",
        crm_conn_id="hubspot_default",
        id_column="hubspot_id",
        fields={"score": "health_score", "expected_arr": "deal_value"},
        guardrails=Guardrails(min_rows=1, max_rows=200_000, max_null_fraction=0.1),
        daily_share=0.1,
        retries=3,
    )
