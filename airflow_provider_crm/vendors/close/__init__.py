"""Everything that is true only of Close (https://developer.close.com): its API, fields, errors and tokens."""

from airflow_provider_crm.vendors.close.api import VENDOR

__all__ = ["VENDOR"]
