"""Describe the distribution to Airflow: its connection type, with the form."""

from __future__ import annotations

from typing import Any

from airflow_provider_crm.provider_info import vendor_provider_info


def get_provider_info() -> dict[str, Any]:
    """Return the description."""
    return vendor_provider_info("airflow-provider-acme", {"acme": "acme_crm.hook.AcmeHook"})
