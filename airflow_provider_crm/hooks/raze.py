"""Hook for Raze."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_crm.hooks.crm import CrmHook

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.records import Record


class RazeHook(CrmHook):
    """A session for one Raze account.

    Args:
        crm_conn_id: Airflow connection of type `raze`.
    """

    default_conn_name = "raze_default"
    conn_type = "raze"
    hook_name = "Raze"

    def update_stage(self, record_id: str, status: str) -> Record:
        """Move one opportunity to a stage, through Raze's endpoint for stages.

        Args:
            record_id: The vendor's id.
            status: `new`, `contacted`, `qualified`, `proposal`, `negotiation`, `won` or `lost`. Winning stamps `won_at`
                with the server's clock.

        Returns:
            The part of the record that Raze returns: `id`, `name`, `status`, `won_at`, `updated_at`.

        Raises:
            RejectedError: `INVALID_STATUS` or `NOT_FOUND`.
            CrmError: See `exceptions`.
        """
        return self.update_opportunity(record_id, {"stage": status})
