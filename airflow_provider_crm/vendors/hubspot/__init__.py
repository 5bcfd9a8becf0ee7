"""Everything that is true only of HubSpot deals (https://developers.hubspot.com): its API, fields and errors."""

from airflow_provider_crm.vendors.hubspot.api import VENDOR

__all__ = ["VENDOR"]
