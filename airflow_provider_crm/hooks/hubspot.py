"""Hook for HubSpot."""

from __future__ import annotations

from airflow_provider_crm.hooks.crm import CrmHook


class HubSpotHook(CrmHook):
    """A session for one HubSpot portal.

    Args:
        crm_conn_id: Airflow connection of type `hubspot`.
    """

    default_conn_name = "hubspot_default"
    conn_type = "hubspot"
    hook_name = "HubSpot"
