"""Ten DAGs that write the values of a day into 200 deals each; read by a real Airflow, not by the tests."""

import datetime as dt
import os
from pathlib import Path

from airflow.sdk import DAG, CronDataIntervalTimetable

from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

NEW_YORK = "America/New_York"
SEEDS = 10


def tell_process(context):
    """Say which process writes which run, so that the test can kill it."""
    ti = context["ti"]
    Path(os.environ["MANY_RUNS_PROCESSES"], str(os.getpid())).write_text(f"{ti.dag_id}/{ti.task_id}/{ti.run_id}")


for seed in range(SEEDS):
    with DAG(
        f"many_{seed}",
        schedule=CronDataIntervalTimetable("0 0 * * *", timezone=NEW_YORK),
        start_date=dt.datetime.fromisoformat(os.environ["MANY_RUNS_FIRST"]),
        catchup=True,
    ) as dag:
        SqlToOpportunityOperator(
            task_id="write",
            sql=f"SELECT id, arr, note, confidence FROM deals WHERE seed = {seed} AND day = '{{{{ ds }}}}'",
            sql_conn_id="warehouse",
            crm_conn_id="close_default",
            id_column="id",
            fields={"arr": "deal_value", "note": "notes", "confidence": "confidence"},
            backfill_budget_share=0.9,
            retries=9,
            retry_delay=dt.timedelta(seconds=2),
            priority_weight=SEEDS - seed,  # the runs of one seed come together
            on_execute_callback=tell_process,
        )
    globals()[dag.dag_id] = dag
