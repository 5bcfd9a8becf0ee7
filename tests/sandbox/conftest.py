"""A running sandbox for each test, and a plain HTTP client for each vendor."""

from __future__ import annotations

import pytest
import requests

from airflow_provider_crm.sandbox import Sandbox


class Client:
    """Calls below one base URL with fixed credentials, so that a test states only what is its point."""

    def __init__(self, base, session):
        self.base = base
        self.session = session

    def __call__(self, method, path, **arguments):
        """Send one call; redirects are not followed."""
        arguments.setdefault("allow_redirects", False)
        return self.session.request(method, self.base + path, timeout=5, **arguments)

    def get(self, path, **arguments):
        """Send a GET."""
        return self("GET", path, **arguments)

    def put(self, path, body=None, **arguments):
        """Send a PUT with a JSON body."""
        return self("PUT", path, json=body, **arguments)

    def patch(self, path, body=None, **arguments):
        """Send a PATCH with a JSON body."""
        return self("PATCH", path, json=body, **arguments)

    def post(self, path, body=None, **arguments):
        """Send a POST with a JSON body."""
        return self("POST", path, json=body, **arguments)


def plain_session():
    """Make a session that reads no proxy or netrc settings."""
    session = requests.Session()
    session.trust_env = False
    return session


@pytest.fixture
def sandbox():
    """Run a sandbox with one opportunity for each vendor."""
    with Sandbox() as running:
        running.close.add_opportunity("oppo_1", "lead_1", value=50_000)
        running.raze.add_opportunity("opp_1", name="Jane Roe", email="jane@example.com", deal_value="10.00")
        yield running


@pytest.fixture
def close(sandbox):
    """Return a client of Close with the full-access key."""
    with plain_session() as session:
        session.auth = (sandbox.close.api_key, "")
        yield Client(sandbox.url + "/api/v1", session)


@pytest.fixture
def raze(sandbox):
    """Return a client of Raze with the full-access key."""
    with plain_session() as session:
        session.headers["X-API-Key"] = sandbox.raze.api_key
        yield Client(sandbox.url + "/external/v1", session)


@pytest.fixture
def anyone(sandbox):
    """Return a client without credentials, at the root."""
    with plain_session() as session:
        yield Client(sandbox.url, session)
