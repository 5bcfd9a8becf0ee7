"""Batchly's connection types, as a distribution of its own describes them to Airflow."""

from __future__ import annotations

from typing import Any

from airflow_provider_crm.provider_info import vendor_provider_info


def get_provider_info() -> dict[str, Any]:
    """Return the description of the distribution."""
    hooks = {"batchly": "BatchlyHook", "batchly_mute": "BatchlyMuteHook", "batchly_flat": "BatchlyFlatHook"}
    names = {vendor: f"tests.fake.hook.{hook}" for vendor, hook in hooks.items()}
    return vendor_provider_info("airflow-provider-crm-batchly", names)
