"""A task with lineage; copied into an Airflow home by its test."""

import pendulum
from airflow.sdk import DAG

from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

with DAG(dag_id="lineage", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    SqlToOpportunityOperator(
        task_id="deal_values",
        sql="""
            SELECT d.id AS crm_id, d.arr, upper(n.body) AS note
            FROM marts.deals d JOIN marts.notes n ON n.deal_id = d.id
            WHERE d.day = '{{ ds }}'
        """,
        sql_conn_id="postgres_warehouse",
        crm_conn_id="close_default",
        id_column="crm_id",
        fields={"arr": "deal_value", "note": "notes"},
        retries=0,
    )
