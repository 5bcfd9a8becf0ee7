"""A DAG that runs whenever opportunities were written: by any DAG, in any account of any CRM.

To wait for one account only, name its asset instead of the alias, with the account as reports show it:
`schedule=[create_asset(account="close:api.close.com:orga_...")]`. Each event has the run key and the number of rows by
outcome; the ledger has the rest.
"""

from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_crm.assets import OPPORTUNITIES, account_of

with DAG(dag_id="crm_after_sync", schedule=[OPPORTUNITIES], tags=["crm"]):

    @task
    def rows_written(triggering_asset_events: Any = None) -> dict[str, dict[str, int]]:  # noqa: ANN401 - Airflow's own type
        """Return the number of updated rows, by account and run key."""
        written: dict[str, dict[str, int]] = {}
        for event in triggering_asset_events[OPPORTUNITIES]:
            account = written.setdefault(account_of(event.asset.uri), {})
            account[event.extra["run_key"]] = event.extra["outcomes"].get("updated", 0)
        return written

    rows_written()
