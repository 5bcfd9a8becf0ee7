"""The fixtures that run an operator as a worker does, in an Airflow whose address is configured."""

from __future__ import annotations

import pytest

from tests.operators.conftest import deals, ledger_conn_id, task, update
from tests.system.mail_server import MailServer
from tests.system.webhooks import SlackServer

__all__ = ["deals", "ledger_conn_id", "task", "update"]


@pytest.fixture(autouse=True)
def address(monkeypatch):
    """The address of Airflow, with which links begin."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com")


@pytest.fixture
def slack(monkeypatch):
    """Stands for Slack's webhook."""
    with SlackServer() as server:
        monkeypatch.setenv("AIRFLOW_CONN_SLACK_DEFAULT", server.connection)
        yield server


@pytest.fixture
def mails(monkeypatch):
    """The mails that were sent."""
    with MailServer() as server:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", server.connection)
        yield server.mails
