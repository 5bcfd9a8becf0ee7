"""TaskFlow: a task computes stages with pandas, the operator moves the Raze opportunities to them.

The frame goes from one task to the other through XCom. Raze has a call of its own for the stage, which
the operator makes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pendulum
from airflow.sdk import DAG, BaseHook, CronDataIntervalTimetable, task

from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator

if TYPE_CHECKING:
    import pandas as pd


@task
def staged_deals(ds: str | None = None) -> pd.DataFrame:
    """One row per deal of the day; a deal with a won time is won."""
    sql = "SELECT raze_id, arr, currency, stage, won_at FROM deals WHERE day = ?"
    deals = BaseHook.get_hook("warehouse").get_df(sql, [ds])
    deals["stage"] = deals["stage"].mask(deals["won_at"].notna(), "won")
    return deals


with DAG(
    dag_id="raze_taskflow_stages",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="America/New_York"),
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    catchup=False,
    tags=["crm"],
):
    UpdateOpportunityOperator(
        task_id="stages",
        data=staged_deals(),
        crm_conn_id="raze_default",
        id_column="raze_id",
        fields={"arr": "deal_value", "currency": "deal_currency", "stage": "stage"},
        # Raze stamps the moment of the call as the win and takes no other: a late run says that this is meant.
        date_won_default="server",
    )
