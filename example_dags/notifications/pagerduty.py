"""An alert in PagerDuty when a sync fails or begins to warn; the run that recovers resolves it.

The name of the sync is the `dedup_key`, so that an alert and its resolution belong together. A warning, here more than
one row that did not land, has a lower severity than a failure, here more than ten.

Install `apache-airflow-providers-pagerduty`, and make a connection `pagerduty_events_default` with the integration key.
"""

import pendulum
from airflow.providers.pagerduty.notifications.pagerduty import PagerdutyNotifier
from airflow.sdk import DAG, CronDataIntervalTimetable

from airflow_provider_crm.notifications.on_change import on_change
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

changes = on_change(
    notifiers=[
        PagerdutyNotifier(
            summary="{{ crm_change.title }}",
            severity="{{ crm_change.severity }}",
            action="{{ crm_change.action }}",
            dedup_key="{{ crm_change.sync }}",
            custom_details="{{ crm_change.text }}",
            links=[{"href": "{{ crm_change.page }}", "text": "Run on the CRM page"}],
        )
    ]
)

with DAG(
    dag_id="crm_pagerduty",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="America/New_York"),
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    catchup=False,
    tags=["crm"],
):
    SqlToOpportunityOperator(
        task_id="deal_values",
        sql="SELECT close_id, arr, currency FROM deals WHERE day = '{{ ds }}'",
        sql_conn_id="warehouse",
        crm_conn_id="close_default",
        id_column="close_id",
        fields={"arr": "deal_value", "currency": "deal_currency"},
        max_rejected=10,
        warn_rejected=1,
        on_success_callback=changes,
        on_failure_callback=changes,
    )
