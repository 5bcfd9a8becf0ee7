r"""A DAG for backfills: past days, several at once, the latest first.

    airflow dags unpause crm_backfill
    airflow backfill create --dag-id crm_backfill --from-date 2026-10-28 --to-date 2026-11-01 \
        --run-backwards --max-active-runs 4

These are the four days from October 28 to 31. The command's dates are midnight in UTC, and a day in New York starts
some hours later, so the last one is named by the day after it. A single day is repaired with its own date, and
overwrites no value that later days have written:

    airflow dags trigger crm_backfill -l 2026-10-29

A won stage without a date would make Close set the day of the backfill. `date_won_default="as_of"` writes the day of
the data instead: the date in the column `changed_at`, as New York counts it.
"""

import pendulum
from airflow.sdk import DAG, CronDataIntervalTimetable

from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

with DAG(
    dag_id="crm_backfill",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="America/New_York"),
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    catchup=False,
    tags=["crm"],
):
    SqlToOpportunityOperator(
        task_id="deal_values",
        sql="""
            SELECT close_id, arr, changed_at, CASE WHEN won_at IS NOT NULL THEN 'Sales/Won' END AS stage
            FROM deals WHERE day = '{{ ds }}'
        """,
        sql_conn_id="warehouse",
        crm_conn_id="close_default",
        id_column="close_id",
        fields={"arr": "deal_value", "stage": "stage"},
        as_of="changed_at",
        timezone="America/New_York",
        date_won_default="as_of",
    )
