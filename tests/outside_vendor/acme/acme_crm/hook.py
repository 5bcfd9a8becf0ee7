"""Hook for Acme CRM."""

from __future__ import annotations

from airflow_provider_crm.hooks.crm import CrmHook


class AcmeHook(CrmHook):
    """A session for one Acme account.

    Args:
        crm_conn_id: Airflow connection of type `acme`.
    """

    default_conn_name = "acme_default"
    conn_type = "acme"
    hook_name = "Acme CRM"
