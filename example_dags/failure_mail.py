"""A mail when rows do not land: counts, and one row for each of the three commonest reasons.

`failure_text` is a macro of the Dag, so that any notifier's template can use it. The file of all rejects is Parquet, to
be queried where the other tables are.
"""

import pendulum
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import DAG, CronDataIntervalTimetable

from airflow_provider_crm.notifications.failure_text import failure_text
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

with DAG(
    dag_id="crm_failure_mail",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="America/New_York"),
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    catchup=False,
    params={"folder": "s3://warehouse/crm_rejects"},
    user_defined_macros={"failure_text": failure_text},
    tags=["crm"],
):
    SqlToOpportunityOperator(
        task_id="deal_values",
        sql="SELECT close_id, arr, currency FROM deals WHERE day = '{{ ds }}'",
        sql_conn_id="warehouse",
        crm_conn_id="close_default",
        id_column="close_id",
        fields={"arr": "deal_value", "currency": "deal_currency"},
        rejects_path="{{ params.folder }}/{{ ds }}.parquet",
        on_failure_callback=SmtpNotifier(
            from_email="airflow@example.com",
            to="crm-data@example.com",
            subject="{{ dag.dag_id }}: not every row landed",
            html_content="<pre>{{ failure_text() | e }}</pre>",
        ),
    )
