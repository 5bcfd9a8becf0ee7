"""Thousands of rows against every fault at once: every row lands, and nothing is reported that is not so."""

from __future__ import annotations

import json
import random
from decimal import Decimal

import pandas as pd
import pytest

from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator

from .conftest import Impatient

ROWS = 10_000


def frame(prefix):
    """Ids with amounts of two decimals, always the same ones."""
    numbers = random.Random(7)
    amounts = [Decimal(numbers.randrange(10_000_000)) / 100 for _ in range(ROWS)]
    return pd.DataFrame({"id": [f"{prefix}{number}" for number in range(ROWS)], "arr": amounts})


@pytest.fixture
def impatient_connections(crm_sandbox, monkeypatch):
    """Both connections with a timeout that slow answers exceed."""
    for name, value in crm_sandbox.connection_uris().items():
        connection = json.loads(value)
        connection["extra"]["timeout"] = 0.5
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
    return crm_sandbox


@pytest.mark.long
@pytest.mark.parametrize(
    ("vendor", "prefix", "kind"), [("close", "oppo_", UpdateOpportunityOperator), ("raze", "opp_", Impatient)]
)
def test_every_row_lands_whatever_the_network_does(impatient_connections, update, vendor, prefix, kind):
    """With 500s, resets after the write, timeouts, 429s and cut answers all 10,000 rows land with their values.

    Close's windows of a second need the time that sandbox and run have in common: refusals by a limit that no header
    tells stay what they are, and do not slow the run down. Raze's whole seconds would make it last for minutes.
    """
    sandbox = impatient_connections
    data = frame(prefix)
    account = getattr(sandbox, vendor)
    for record_id in data["id"]:
        account.add_opportunity(record_id)
    rates = {"http_500": 0.05, "reset_after": 0.02, "slow": 0.02, "truncated": 0.01}
    throttled = {"http_429": 0.02, "http_429_remaining": 0.01}
    sandbox.set(fault_rates=rates | throttled, fault_methods={"PUT"}, slow_seconds=1.0, throttle_seconds=0.2, seed=11)
    run = update(data, crm_conn_id=f"{vendor}_default", concurrency=16, kind=kind)
    assert run.error is None, run.error
    assert run.deferred is None, run.deferred.kwargs
    assert run.outcomes == {"updated": ROWS}
    key, scale = ("value", 100) if vendor == "close" else ("deal_value", 1)
    in_crm = {record_id: account.opportunity(record_id)[key] for record_id in data["id"]}
    wanted = {record_id: amount * scale for record_id, amount in zip(data["id"], data["arr"], strict=True)}
    assert {record_id: Decimal(str(value)) for record_id, value in in_crm.items()} == wanted


@pytest.mark.long
@pytest.mark.parametrize(("vendor", "prefix"), [("close", "oppo_"), ("raze", "opp_")])
def test_silently_ignored_values_are_reported_row_by_row(crm_sandbox, update, tmp_path, vendor, prefix):
    """Where the vendor answers 2xx and writes nothing, exactly those rows are `ignored`, and the task fails."""
    data = frame(prefix)
    for record_id in data["id"]:
        getattr(crm_sandbox, vendor).add_opportunity(record_id)
    dropped = set(random.Random(3).sample(list(data["id"]), 137))
    crm_sandbox.set(ignored_ids=dropped)
    path = tmp_path / "rejects.csv"
    run = update(data, crm_conn_id=f"{vendor}_default", concurrency=16, rejects_path=str(path))
    assert run.error is not None
    assert run.outcomes == {"updated": ROWS - len(dropped), "ignored": len(dropped)}
    rejects = pd.read_csv(path)
    assert set(rejects.record_id) == dropped
    assert set(rejects.outcome) == {"ignored"}


@pytest.mark.long
def test_stages_are_written_once_whatever_the_network_does(crm_sandbox, update):
    """Raze stamps a win again at each call, so a stage whose answer was lost is read back: no record is won twice."""
    ids = [f"opp_{number}" for number in range(1_000)]
    for record_id in ids:
        crm_sandbox.raze.add_opportunity(record_id, status="new")
    rates = {"reset_after": 0.1, "http_500": 0.05, "truncated": 0.05}
    crm_sandbox.set(fault_rates=rates, fault_methods={"PUT", "PATCH"}, seed=5)
    data = [{"id": record_id, "arr": 5, "stage": "won"} for record_id in ids]
    run = update(data, crm_conn_id="raze_default", fields={"arr": "deal_value", "stage": "stage"}, concurrency=16)
    assert run.outcomes == {"updated": len(ids)}
    wins = [write.record_id for write in crm_sandbox.audit.writes if write.method == "PATCH"]
    assert sorted(wins) == sorted(ids)
