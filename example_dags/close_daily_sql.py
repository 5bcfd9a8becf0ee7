"""Write values and won dates from the warehouse to Close every day.

Each run takes one day of `deals` as New York counts it: with `CronDataIntervalTimetable`, `{{ ds }}` is the day that
has ended when the run starts. (With `schedule="@daily"` it would be the day that has just begun, without rows yet.)

`won_at` is a point in time in UTC; the date that lands in Close is New York's, on both sides of a clock change. The
task is green only if every row landed.
"""

import pendulum
from airflow.sdk import DAG, CronDataIntervalTimetable

from airflow_provider_crm.assets import OPPORTUNITIES
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

with DAG(
    dag_id="close_daily_sql",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="America/New_York"),
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    catchup=False,
    max_active_runs=1,  # two runs at once must not both bring the asset of `outlets`, see OPPORTUNITIES
    tags=["crm"],
):
    SqlToOpportunityOperator(
        task_id="deal_values",
        # SQLite has no DECIMAL: `arr` is TEXT such as '12500.50', which is exact to the cent. A REAL would be a float.
        sql="SELECT close_id, arr, currency, won_at, health FROM deals WHERE day = '{{ ds }}'",
        sql_conn_id="warehouse",
        crm_conn_id="close_default",
        id_column="close_id",
        fields={"arr": "deal_value", "currency": "deal_currency", "won_at": "date_won", "health": "custom.cf_health"},
        timezone="America/New_York",
        outlets=[OPPORTUNITIES],  # DAGs may wait for it, see crm_after_sync
    )
