"""Hooks for Batchly: one small class for each connection type."""

from __future__ import annotations

from airflow_provider_crm.hooks.crm import CrmHook


class BatchlyHook(CrmHook):
    """A session for one Batchly account."""

    default_conn_name = "batchly_default"
    conn_type = "batchly"
    hook_name = "Batchly"


class BatchlyMuteHook(CrmHook):
    """A session for one Batchly account whose answers show nothing."""

    default_conn_name = "batchly_mute_default"
    conn_type = "batchly_mute"
    hook_name = "Batchly Mute"


class BatchlyFlatHook(CrmHook):
    """A session for one Batchly account without stages."""

    default_conn_name = "batchly_flat_default"
    conn_type = "batchly_flat"
    hook_name = "Batchly Flat"
