"""Run one sync on many machines: eight tasks share the rows of one query.

For days with more rows than one worker writes in time. The tasks run on any executor, in any free slot. Each
reads the query and writes the rows whose record id belongs to its shard, so no deal is written by two of them. If a
worker dies, Airflow's retry of its tasks continues where they stopped.

With the CeleryExecutor or any other that is not local, the ledger has to be one that all workers reach: set
`AIRFLOW_CONN_CRM_LEDGER` to a PostgreSQL database, and `AIRFLOW__CRM__LEDGER_CONN_ID=crm_ledger`.
"""

import pendulum
from airflow.sdk import DAG, CronDataIntervalTimetable

from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

SHARDS = 8

with DAG(
    dag_id="crm_sharded",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="America/New_York"),
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    catchup=False,
    tags=["crm"],
):
    SqlToOpportunityOperator.partial(
        task_id="deal_values",
        sql="SELECT close_id, arr, health FROM deals WHERE day = '{{ ds }}'",
        sql_conn_id="warehouse",
        crm_conn_id="close_default",
        id_column="close_id",
        fields={"arr": "deal_value", "health": "custom.cf_health"},
        shards=SHARDS,
        concurrency=8,  # each; the account's budget is shared by all of them
        retries=3,
    ).expand(shard=list(range(SHARDS)))
