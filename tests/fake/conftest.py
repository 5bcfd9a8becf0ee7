"""Batchly's sandbox, and plain calls to it."""

from __future__ import annotations

import datetime as dt

import pytest
import requests

from airflow_provider_crm.sandbox import Sandbox
from tests.fake.api import APIS

NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)


@pytest.fixture
def sandbox():
    """Run a sandbox of the three APIs whose time stands still, each with the records 70001 to 70005."""
    with Sandbox(apis=APIS) as running:
        running.clock.set(NOW)
        for api in APIS:
            for number in range(1, 6):
                running.account(api.name).add_opportunity(amount=f"{number}00.00")
        yield running


@pytest.fixture
def call(sandbox):
    """Return a function that sends one call with the full-access token of its API."""
    with requests.Session() as session:
        session.trust_env = False

        def call(method, path, body=None, *, token=None, **arguments):
            token = token or sandbox.account(path.partition("/")[0]).api_key
            api, _, rest = path.partition("/")
            address = f"{sandbox.url}/{api}/v1/{rest}"
            headers = {"X-Batchly-Token": token}
            return session.request(method, address, json=body, headers=headers, timeout=5, **arguments)

        yield call
