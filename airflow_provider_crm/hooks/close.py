"""Hook for Close."""

from __future__ import annotations

from airflow_provider_crm.hooks.crm import CrmHook


class CloseHook(CrmHook):
    """A session for one Close organization.

    Args:
        crm_conn_id: Airflow connection of type `close`.
    """

    default_conn_name = "close_default"
    conn_type = "close"
    hook_name = "Close"
