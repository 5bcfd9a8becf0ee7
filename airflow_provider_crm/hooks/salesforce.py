"""Hook for Salesforce."""

from __future__ import annotations

from airflow_provider_crm.hooks.crm import CrmHook


class CrmSalesforceHook(CrmHook):
    """A session for one Salesforce org.

    Args:
        crm_conn_id: Airflow connection of type `crm_salesforce`.
    """

    default_conn_name = "crm_salesforce_default"
    conn_type = "crm_salesforce"
    hook_name = "Salesforce"
