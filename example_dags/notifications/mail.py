"""A mail when one of several accounts fails, begins to warn, or recovers: once for each change of each account.

One mapped task writes to two CRMs. Each index is a sync of its own: while the one fails every night, a failure of the
other one is still sent, and so is its recovery.

Airflow has the SMTP provider already; make a connection `smtp_default`.
"""

import pendulum
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import DAG, CronDataIntervalTimetable

from airflow_provider_crm.notifications.on_change import on_change
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

changes = on_change(
    notifiers=[
        SmtpNotifier(
            from_email="airflow@example.com",
            to="crm-data@example.com",
            subject="{{ crm_change.title }}",
            html_content="{{ crm_change.mail }}",
        )
    ]
)

with DAG(
    dag_id="crm_mail",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="America/New_York"),
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    catchup=False,
    tags=["crm"],
):
    SqlToOpportunityOperator.partial(
        task_id="deal_values",
        sql="SELECT close_id, raze_id, arr, currency FROM deals WHERE day = '{{ ds }}'",
        sql_conn_id="warehouse",
        fields={"arr": "deal_value", "currency": "deal_currency"},
        on_success_callback=changes,
        on_failure_callback=changes,
    ).expand_kwargs(
        [
            {"crm_conn_id": "close_default", "id_column": "close_id"},
            {"crm_conn_id": "raze_default", "id_column": "raze_id"},
        ]
    )
