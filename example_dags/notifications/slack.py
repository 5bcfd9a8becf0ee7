"""A message in Slack when a sync fails, begins to warn, or recovers: once for each change, and not after every run.

`default_args` give the callback to every task of the Dag; each task is a sync with a state of its own. The message has
the counts, the commonest reasons and a link to the run on the CRM page.

Install `apache-airflow-providers-slack`, and make a connection `slack_default` of the type Slack Incoming Webhook.
"""

import pendulum
from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier
from airflow.sdk import DAG, CronDataIntervalTimetable

from airflow_provider_crm.notifications.on_change import on_change
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

changes = on_change(notifiers=[SlackWebhookNotifier(text="{{ crm_change.mrkdwn }}")])

with DAG(
    dag_id="crm_slack",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="America/New_York"),
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    catchup=False,
    default_args={"on_success_callback": changes, "on_failure_callback": changes},
    tags=["crm"],
):
    SqlToOpportunityOperator(
        task_id="deal_values",
        sql="SELECT close_id, arr, currency FROM deals WHERE day = '{{ ds }}'",
        sql_conn_id="warehouse",
        crm_conn_id="close_default",
        id_column="close_id",
        fields={"arr": "deal_value", "currency": "deal_currency"},
    )
    SqlToOpportunityOperator(
        task_id="health_scores",
        sql="SELECT close_id, health FROM deals WHERE day = '{{ ds }}'",
        sql_conn_id="warehouse",
        crm_conn_id="close_default",
        id_column="close_id",
        fields={"health": "custom.cf_health"},
    )
