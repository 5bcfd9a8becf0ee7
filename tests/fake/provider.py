"""Batchly's connection types, as a distribution of its own describes them to Airflow."""

from __future__ import annotations

from typing import Any

from airflow_provider_crm.provider_info import connection_type, integration
from tests.fake.vendor import BATCHLY, BATCHLY_FLAT, BATCHLY_MUTE


def get_provider_info() -> dict[str, Any]:
    """Return the description of the distribution."""
    hooks = {BATCHLY: "BatchlyHook", BATCHLY_MUTE: "BatchlyMuteHook", BATCHLY_FLAT: "BatchlyFlatHook"}
    return {
        "package-name": "airflow-provider-crm-batchly",
        "name": "Batchly",
        "description": "Pushes warehouse values into Batchly.",
        "integrations": [integration(vendor) for vendor in hooks],
        "connection-types": [connection_type(vendor, f"tests.fake.hook.{hook}") for vendor, hook in hooks.items()],
    }
