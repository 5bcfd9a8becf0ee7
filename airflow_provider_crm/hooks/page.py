"""Read from Airflow's configuration whether the CRM page is on."""

from __future__ import annotations

from airflow.sdk import conf


def page_is_on() -> bool:
    """Return whether this Airflow shows the CRM page: `[crm] page`."""
    return conf.getboolean("crm", "page", fallback=True)
