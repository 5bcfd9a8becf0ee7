"""Everything that is true only of Close (https://developer.close.com)."""

from airflow_provider_crm.vendors.close.api import VENDOR

__all__ = ["VENDOR"]
