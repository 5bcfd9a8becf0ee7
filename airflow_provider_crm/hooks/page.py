"""The CRM page, as Airflow's configuration has it."""

from __future__ import annotations

from airflow.sdk import conf


def page_is_on() -> bool:
    """Return whether this Airflow shows the CRM page: `[crm] page`."""
    return conf.getboolean("crm", "page", fallback=True)
