"""Batchly's sandbox, and plain calls to it."""

from __future__ import annotations

import pytest
import requests

from tests.fake.api import APIS
from tests.fake.fixtures import NOW, batchly_installed, batchly_sandbox, connect_fake

__all__ = ["batchly_installed", "batchly_sandbox", "connect_fake"]


@pytest.fixture
def sandbox(batchly_sandbox):
    """Return a sandbox whose time stands still, with the records 70001 to 70005 in each account."""
    batchly_sandbox.clock.set(NOW)
    for api in APIS:
        for number in range(1, 6):
            batchly_sandbox.account(api.name).add_opportunity(amount=f"{number}00.00")
    return batchly_sandbox


@pytest.fixture
def call(sandbox):
    """Return a function that sends one call with the full-access token of its API."""
    with requests.Session() as session:
        session.trust_env = False

        def call(method, path, body=None, *, token=None, **arguments):
            api, _, rest = path.partition("/")
            headers = {"X-Batchly-Token": token or sandbox.account(api).api_key}
            address = f"{sandbox.url}/{api}/v1/{rest}"
            return session.request(method, address, json=body, headers=headers, timeout=5, **arguments)

        yield call
