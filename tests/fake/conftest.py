"""Batchly's sandbox, plain calls to it, and pushes that may be killed."""

from __future__ import annotations

import pytest
import requests
import sqlalchemy as sa

from airflow_provider_crm.database.database import Database
from tests.fake.api import APIS
from tests.fake.fixtures import INSTALLED, NOW, ROOT, batchly_installed, batchly_sandbox, connect_fake
from tests.ledger.race import Racer
from tests.operators.conftest import ledger_conn_id, task

__all__ = ["batchly_installed", "batchly_sandbox", "connect_fake", "ledger_conn_id", "task"]


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


@pytest.fixture(scope="session")
def batch_racer():
    """Start the process whose pushes may be killed, with Batchly installed there."""
    racer = Racer(INSTALLED, ROOT)
    yield racer
    racer.stop()


@pytest.fixture
def ledger_url(any_database):
    """Return the URL of an empty ledger, of each kind of database."""
    engine = sa.create_engine(any_database)
    Database(engine).open()
    engine.dispose()
    return any_database.render_as_string(hide_password=False)
