"""Fixtures for tests of all folders: `from tests.fake.fixtures import ...` in a conftest makes them its own.

Batchly is a distribution of its own. `installed/` has the metadata that an installer would write, so that the folder on
the path is the whole installation, for this process and for those that it starts.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import os
from pathlib import Path

import pytest
from airflow.sdk._shared.module_loading import _get_grouped_entry_points
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.sandbox import Sandbox
from airflow_provider_crm.vendors import VENDORS
from tests.fake.api import APIS

NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
INSTALLED, ROOT = Path(__file__).parent / "installed", Path(__file__).parents[2]


@pytest.fixture
def batchly_installed(monkeypatch):
    """Install Batchly for one test: its vendors, hooks and sandbox APIs are found by their entry points."""
    inherited = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(INSTALLED), str(ROOT), inherited))))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(INSTALLED))
        patch.setattr(VENDORS, "_points", None)
        patch.setattr(VENDORS, "_outside", {})
        patch.setattr(ProvidersManagerTaskRuntime, "_instance", None)
        patch.setattr(ProvidersManagerTaskRuntime, "_initialized", False)
        _get_grouped_entry_points.cache_clear()
        yield
    _get_grouped_entry_points.cache_clear()


@pytest.fixture
def batchly_sandbox(batchly_installed, monkeypatch):
    """Run a sandbox of Batchly's APIs in real time; the connections `<API>_default` lead to it."""
    with Sandbox(apis=APIS) as sandbox:
        for name, value in sandbox.connection_uris().items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", value)
        yield sandbox


@pytest.fixture
def connect_fake(batchly_sandbox, monkeypatch):
    """Make the hook of a connection to an API; time stands still at noon UTC, and waiting moves the sandbox's clock.

    `connect_fake("batchly_mute", timezone="UTC", extra={...}, password=...)`
    """
    clock = batchly_sandbox.clock
    clock.set(NOW)

    def sleep(seconds):
        clock.advance(math.ceil(seconds * 1e6) / 1e6)  # it has microseconds; less would not move it

    def connect(api, *, timezone="UTC", extra=None, **connection):
        own = {"conn_type": api, "password": batchly_sandbox.account(api).api_key, "host": batchly_sandbox.url}
        extra = {"extra": {"timezone": timezone, **(extra or {})}}
        monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps(own | connection | extra))
        hook = CrmHook.for_connection("crm")
        waiting = Clock(monotonic=lambda: clock.now().timestamp(), now=clock.now, sleep=sleep, jitter=lambda: 0.0)
        hook._session = Session(hook.account(), clock=waiting)
        return hook

    return connect
