"""DAGs of every kind of schedule, each with a task that writes one deal; read by a real Airflow, not by the tests."""

import datetime as dt
import os

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import (
    DAG,
    Asset,
    CronDataIntervalTimetable,
    CronPartitionTimetable,
    CronTriggerTimetable,
    DeltaDataIntervalTimetable,
    MultipleCronTriggerTimetable,
    PartitionedAssetTimetable,
)
from airflow.timetables.events import EventsTimetable  # 3.3.2 cannot store the SDK's description of it

from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

NEW_YORK = "America/New_York"
DAY = dt.timedelta(days=1)
# The day on which the test began, in UTC.
TODAY = dt.datetime.fromisoformat(os.environ["DATA_TIME_TODAY"])
WRITTEN, PARTITIONED = Asset("data_time_written"), Asset("data_time_partitioned")
# On a busy machine a task may not reach Airflow in time.
AGAIN = {"retries": 5, "retry_delay": dt.timedelta(seconds=2)}
SCHEDULES = {
    "by_hand": None,
    "once": "@once",
    "continuous": "@continuous",
    "daily": "@daily",
    "morning": "0 6 * * *",
    "duration": DAY,
    "duration_interval": DeltaDataIntervalTimetable(DAY),
    "nightly": CronDataIntervalTimetable("0 0 * * *", timezone=NEW_YORK),
    "with_interval": CronTriggerTimetable("0 6 * * *", timezone="UTC", interval=DAY),
    "several": MultipleCronTriggerTimetable("0 6 * * *", "0 18 * * *", timezone="UTC"),
    "events": EventsTimetable([TODAY - 9 * DAY + dt.timedelta(hours=18), TODAY - 3 * DAY], presorted=True),
    "asset": [WRITTEN],
    "partition": CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1),
    "asset_partition": PartitionedAssetTimetable(assets=PARTITIONED),
}
OUTLETS = {"daily": [WRITTEN], "partition": [PARTITIONED]}

for name, schedule in SCHEDULES.items():
    with DAG(
        name,
        schedule=schedule,
        start_date=TODAY - 30 * DAY + dt.timedelta(hours=3),
        catchup=name == "events",
        max_active_runs=1 if name == "continuous" else 16,
        default_args=AGAIN,
    ) as dag:
        UpdateOpportunityOperator(
            task_id="write",
            data=[{"id": f"oppo_{name}", "arr": 1}],
            crm_conn_id="close_default",
            id_column="id",
            fields={"arr": "deal_value"},
            outlets=OUTLETS.get(name, []),
        )
    globals()[name] = dag

with DAG("starter", schedule=None, default_args=AGAIN):
    for target in ("by_hand", "nightly"):
        TriggerDagRunOperator(task_id=f"now_{target}", trigger_dag_id=target, trigger_run_id="operator_now")
        TriggerDagRunOperator(
            task_id=f"past_{target}",
            trigger_dag_id=target,
            trigger_run_id="operator_past",
            logical_date=TODAY - 4 * DAY,
        )

with DAG(
    "forty_deals",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone=NEW_YORK),
    start_date=TODAY - 30 * DAY,
    catchup=False,
    default_args=AGAIN,
):
    SqlToOpportunityOperator(
        task_id="write",
        sql="SELECT id, arr FROM deals WHERE day = '{{ ds }}'",
        sql_conn_id="warehouse",
        crm_conn_id="close_default",
        id_column="id",
        fields={"arr": "deal_value"},
    )
