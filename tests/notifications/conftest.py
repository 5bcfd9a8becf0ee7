"""The fixtures that run an operator as a worker does, in an Airflow whose address is configured."""

from __future__ import annotations

import pytest

from tests.operators.conftest import deals, ledger_conn_id, task, update

__all__ = ["deals", "ledger_conn_id", "task", "update"]


@pytest.fixture(autouse=True)
def address(monkeypatch):
    """The address of Airflow, with which links begin."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com")
