"""Hooks on a sandbox whose clock they share, so that no test waits; and answers made by hand for the pure functions."""

from __future__ import annotations

import datetime as dt
import json as jsonlib
import math

import pytest
import requests

from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.hooks.crm import CrmHook

NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)


@pytest.fixture
def sandbox(crm_sandbox):
    """Return a sandbox whose time stands still at noon UTC, with one opportunity for each vendor."""
    crm_sandbox.clock.set(NOW)
    crm_sandbox.close.add_opportunity("oppo_1", "lead_1", value=50_000, note="old")
    crm_sandbox.raze.add_opportunity("opp_1", name="Jane Roe", deal_value="10.00", notes="old")
    crm_sandbox.hubspot.add_opportunity("171591000001", dealname="Jane Roe", amount="10.00", description="old")
    crm_sandbox.salesforce.add_opportunity("006ak00000OQ4Rx", Name="Jane Roe", Amount=10, Description="old")
    return crm_sandbox


@pytest.fixture
def connect(sandbox, monkeypatch):
    """Make the hook of a connection to the sandbox; waiting moves the sandbox's clock, and nothing else."""

    def sleep(seconds):
        sandbox.clock.advance(math.ceil(seconds * 1e6) / 1e6)  # it has microseconds; less would not move it

    def connect(vendor, *, timezone="UTC", extra=None, **connection):
        uri = sandbox.connection_uris(timezone=timezone)[f"{vendor}_default"]
        own = jsonlib.loads(uri) | {"extra": {"timezone": timezone, **(extra or {})}}
        monkeypatch.setenv("AIRFLOW_CONN_CRM", jsonlib.dumps(own | connection))
        hook = CrmHook.for_connection("crm")
        now = sandbox.clock.now
        clock = Clock(monotonic=lambda: now().timestamp(), now=now, sleep=sleep, jitter=lambda: 0.0)
        hook._session = Session(hook.account(), clock=clock)
        return hook

    return connect


@pytest.fixture
def close(connect):
    """Return a hook with Close's full-access key."""
    return connect("close")


@pytest.fixture
def raze(connect):
    """Return a hook with Raze's full-access key."""
    return connect("raze")


@pytest.fixture
def sent(sandbox):
    """Return the calls that wrote something, or tried to, as they came over the wire."""
    return lambda: [call for call in sandbox.audit.calls if call.method != "GET"]


@pytest.fixture
def time_passed(sandbox):
    """Return how many seconds were waited."""

    def time_passed():
        return (sandbox.clock.now() - NOW).total_seconds()

    return time_passed


@pytest.fixture
def answer():
    """Make an HTTP answer by hand."""

    def answer(status=200, *, headers=None, json=None, body=None):
        response = requests.Response()
        response.status_code = status
        response.headers.update(headers or {})
        response._content = jsonlib.dumps(json).encode() if body is None else body
        return response

    return answer
