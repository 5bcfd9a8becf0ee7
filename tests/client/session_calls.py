"""Calls that the tests of a session make."""

from __future__ import annotations

import datetime as dt
import socket

from airflow_provider_crm.values.opportunity import Update
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.encoding import calls_of, writes_of

RAZE, CLOSE = VENDORS["raze"], VENDORS["close"]
NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)


def calls(fields, record_id="opp_1"):
    """The calls that write these fields to Raze."""
    return calls_of(record_id, writes_of(Update(0, record_id, fields), RAZE, RAZE.catalogue([], {})))


PUT = calls({"notes": "new"})[0]
PATCH = calls({"stage": "won"})[0]


def add(session, value="Core"):
    """The call that adds one value to a list in Close: not replayable."""
    update = Update(0, "oppo_1", {"custom.cf_products.add": value})
    catalogue = session.catalogue(("custom.cf_products.add",))
    return calls_of(update.record_id, writes_of(update, CLOSE, catalogue))[0]


def closed_port():
    """An origin where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"
