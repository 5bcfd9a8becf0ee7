"""What a row with a call of its own costs in the threads that send, through the operator, counted in functions."""

from __future__ import annotations

import json
import threading

import pandas as pd
import pytest

from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator

ROWS = 400
MOST_CALLS = 300
"""Of functions in Python, libraries included. `requests` alone takes over a thousand for the call and its answer."""


class SenderCount:
    """Counts calls of functions in threads that begin while it is set, which are those that send."""

    def __init__(self):
        self.calls = 0

    def __call__(self, _frame, event, _):
        """Take an event of `threading.setprofile`."""
        if event == "call":
            self.calls += 1


@pytest.fixture
def frame():
    """Rows of three fields, as many as are asked for."""

    def rows(count):
        numbers = range(count)
        return pd.DataFrame(
            {
                "id": [f"oppo_{number}" for number in numbers],
                "arr": [number + 0.5 for number in numbers],
                "note": [f"deal {number}" for number in numbers],
            }
        )

    return rows


def test_a_row_takes_little_work(update, frame, distant, monkeypatch):
    """Claim, pacing, request, answer and comparison of a row are few calls of functions, also those of libraries."""
    connection = {"conn_type": "close", "host": distant, "password": "a-key-of-no-account"}
    monkeypatch.setenv("AIRFLOW_CONN_CRM_ECHO", json.dumps(connection))
    count = SenderCount()
    threading.setprofile(count)
    try:
        fields = {"arr": "deal_value", "note": "notes"}
        run = update(frame(ROWS), crm_conn_id="crm_echo", fields=fields, kind=UpdateOpportunityOperator)
    finally:
        threading.setprofile(None)
    assert run.outcomes == {"updated": ROWS}
    assert 0 < count.calls / ROWS <= MOST_CALLS
