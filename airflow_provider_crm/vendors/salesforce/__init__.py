"""Salesforce: opportunities of one org. `api` says which calls there are."""

from airflow_provider_crm.vendors.salesforce.api import VENDOR

__all__ = ["VENDOR"]
