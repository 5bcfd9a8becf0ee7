"""One query, two CRMs: canonical fields mean the same in both.

Only the id and the won date differ: Raze stamps its own, so `won_at` is mapped for Close alone. Close gets integer
cents, Raze major units; the query is the same for both.
"""

import pendulum
from airflow.sdk import DAG, CronDataIntervalTimetable

from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

SQL = "SELECT close_id, raze_id, arr, currency, note, won_at FROM deals WHERE day = '{{ ds }}'"
FIELDS = {"arr": "deal_value", "currency": "deal_currency", "note": "notes"}

with DAG(
    dag_id="both_crms",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="America/New_York"),
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    catchup=False,
    default_args={"sql": SQL, "sql_conn_id": "warehouse", "timezone": "America/New_York"},
    tags=["crm"],
):
    SqlToOpportunityOperator(
        task_id="close",
        crm_conn_id="close_default",
        id_column="close_id",
        fields={**FIELDS, "won_at": "date_won"},
    )
    SqlToOpportunityOperator(
        task_id="raze",
        crm_conn_id="raze_default",
        id_column="raze_id",
        fields=FIELDS,
    )
