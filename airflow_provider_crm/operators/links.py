"""Link a task to the page of its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

from airflow_provider_crm.hooks.page import run_page

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class CrmRunLink(BaseOperatorLink):
    """A link to the run of the task on the CRM page, inside the Airflow UI; of a mapped task, the run of its own index.

    Airflow calls this in the task's process and stores the address, which begins with `[api] base_url` of that process.
    The address is empty, and the link is not shown, where the page is turned off.
    """

    name = "CRM run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's interface
        """Return the address of the run's page."""
        return run_page(ti_key.dag_id, ti_key.run_id, ti_key.task_id, ti_key.map_index)
