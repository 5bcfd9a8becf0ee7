"""Keep the ledger small: delete changes that are older than a year, while other DAGs write.

Set `[crm] keep_changes_days` to keep them for another time; leave out `keep_days` then. A run that was pruned can no
longer be undone. Reports of runs, the values that the CRM holds, and plans that wait for an approval stay.
"""

import pendulum
from airflow.sdk import DAG

from airflow_provider_crm.operators.ledger import PruneLedgerOperator

with DAG(
    dag_id="crm_maintenance",
    schedule="30 5 * * SUN",
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    catchup=False,
    max_active_runs=1,
    tags=["crm"],
):
    PruneLedgerOperator(task_id="prune", keep_days=365)
