"""Many intervals of the same deals, pushed by eight processes in random order, some killed: the newest value stays."""

from __future__ import annotations

import os
from decimal import Decimal

import pytest

from airflow_provider_crm.sandbox import Sandbox
from tests.fake.api import APIS
from tests.ledger.intervals import run_seeds

FAULTS = {"http_500_after": 0.02, "reset_after": 0.02, "reset_before": 0.02, "truncated": 0.02, "late": 0.03}
# The calls of a run are few, and each takes its time: what kills it has to come soon.
FULL_SIZE = {"deals": 200, "days": 30, "kills": 0.35, "longest_life": 0.1}
SEEDS = range(400, 400 + int(os.environ.get("CRM_RACE_SEEDS", "3")))
"""The seeds of the long proof; by hand, CRM_RACE_SEEDS=20 makes it a proof of many."""


class BatchDeals:
    """The deals that are written into Batchly, and read from it.

    Args:
        vendor: Whose answers name rows and show their values, or the one whose answers show nothing.
    """

    fields = ("deal_value", "notes", "deal_currency")

    def __init__(self, vendor):
        self.vendor = vendor

    def values(self, rng, day):
        """Few values, so that some intervals agree with each other."""
        return {
            "deal_value": rng.choice((day, 7)),
            "notes": f"day {rng.choice((day, 7))}",
            "deal_currency": rng.choice(("USD", "EUR")),
        }

    def shown_values(self, sandbox, record_id):
        """What the CRM holds, as `values` has it."""
        shown = sandbox.account(self.vendor).opportunity(record_id)["properties"]
        value = None if shown["amount"] is None else Decimal(shown["amount"])
        return {"deal_value": value, "notes": shown["description"], "deal_currency": shown["currency"]}


def race(seeds, vendor, racer, ledger_url, folder, *, faults=None, left_out=0.0, killed="killed between rows", **size):
    """Run several seeds, and print how the tries ended; return the fields that differ from the newest interval."""
    with Sandbox(apis=APIS) as sandbox:
        sandbox.set(slow_seconds=0.3, seed=seeds[0], fault_rates=faults or {}, fault_methods={"PATCH", "POST"})
        sandbox.set(**{f"{vendor}_left_out_rate": left_out})
        tries, found = run_seeds(seeds, BatchDeals(vendor), sandbox, racer, url=ledger_url, folder=folder, **size)
        calls = sandbox.audit.count()
    print(f"{vendor}, seeds {seeds[0]}-{seeds[-1]}: {dict(tries)}; {calls} calls")  # noqa: T201 - the size of the proof
    assert any(end.startswith(killed) for end in tries), "the case is not real"
    return found


@pytest.mark.parametrize("vendor", ["batchly", "batchly_mute"])
def test_the_newest_interval_wins(batch_racer, ledger_url, tmp_path, vendor):
    """Two seeds, small enough for every test run."""
    size = {"deals": 6, "days": 6, "kills": 0.3, "longest_life": 0.05}
    assert race([1, 2], vendor, batch_racer, ledger_url, tmp_path, killed="killed", **size) == []


@pytest.mark.long
@pytest.mark.parametrize("vendor", ["batchly", "batchly_mute"])
def test_the_newest_interval_wins_whatever_the_crm_does(batch_racer, ledger_url, tmp_path, vendor):
    """30 days, 200 deals, 8 processes, a third of the first tries killed, one answer in ten cut, delayed or lost.

    An answer that names its rows leaves out one in a hundred.
    """
    left_out = 0.01 if vendor == "batchly" else 0.0
    assert race(SEEDS, vendor, batch_racer, ledger_url, tmp_path, faults=FAULTS, left_out=left_out, **FULL_SIZE) == []
