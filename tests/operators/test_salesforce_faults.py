"""Salesforce at its worst, under the operator: rows by calls and in files, dead workers, each row as it truly is."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from decimal import Decimal

import pandas as pd
import pytest

from .conftest import pass_the_lease

ROWS, BY_CALLS, A_CALL, A_READ, A_FILE, A_PART = 200_000, 50_000, 200, 2_000, 100_000, 25_000
REFUSED, LOCKED, HELD = 0.03, 0.01, 0.01
LOST = {"reset_after": 0.005, "truncated": 0.005, "http_502_after": 0.005, "http_524_after": 0.005}
KILLED_AT, SESSIONS_END_AT = (24_000, 100_000), (12_000, 150_000)
RATIO = 1.2
"""Calls at most, as a multiple of those of an ideal client."""
TOO_MUCH, FINE = 99, 10
_CATALOGUE_CALLS, _OF_A_ROW, _OF_A_FILE = 3, 2, 6


class HarshOrg:
    """Rows of an org in which some of everything goes wrong.

    A validation rule refuses 3% of them, 1% meet a lock at first, and products hold the amount of 1%. Of all calls that
    write 2% are answered by a proxy, cut or not at all, after they have taken effect.

    Args:
        sandbox: The sandbox.
        count: How many rows.
    """

    def __init__(self, sandbox, count):
        rng, self.org = random.Random(7), sandbox.salesforce
        numbers = rng.sample(range(1, count), count // 10)
        parts = [round(part * count) for part in (REFUSED, LOCKED, HELD)]
        refused, locked, held = (set(numbers[sum(parts[:at]) : sum(parts[: at + 1])]) for at in range(len(parts)))
        made = [self.org.add_opportunity(Amount=1, HasOpportunityLineItem=one in held)["Id"] for one in range(count)]
        self.ids = made
        self.refused, self.locked, self.held = ({made[one] for one in some} for some in (refused, locked, held))
        self.wanted = {one: Decimal(rng.randrange(200, 10**9)) / 100 for one in made}
        sandbox.set(salesforce_locked_once_ids=frozenset(self.locked), seed=5)
        sandbox.set(fault_rates=LOST, fault_methods={"POST", "PATCH", "PUT"}, salesforce_daily_limit=None)
        sandbox.set(salesforce_job_rows=A_PART)

    def frame(self):
        """Return the rows, as texts."""
        rows = [(one, str(self.wanted[one]), TOO_MUCH if one in self.refused else FINE) for one in self.ids]
        return pd.DataFrame(rows, columns=["id", "arr", "discount"])

    def true_rejects(self):
        """Return outcome and code by record id."""
        return {
            **dict.fromkeys(self.refused, ("rejected", "FIELD_CUSTOM_VALIDATION_EXCEPTION")),
            **dict.fromkeys(self.held, ("ignored", "NOT_WRITTEN")),
        }

    def true_values(self):
        """Return amount and discount that each record has to have."""
        return {
            one: (None if one in self.refused else FINE, 1 if one in self.refused | self.held else self.wanted[one])
            for one in self.ids
        }

    def values(self):
        """Return amount and discount that each record has."""
        shown = ((one, self.org.opportunity(one)) for one in self.ids)
        return {one: (record["Discount__c"], record["Amount"]) for one, record in shown}

    def ideal_calls(self):
        """Return the calls of a client that wastes none and has no memory of a worker that died.

        Each try reads what the org offers. The first row goes alone, and is read; as many as a try sends by calls go by
        two hundred and are read in the same call: the first try dies before its first file. A row that met a lock there
        is sent alone, and read. The others go in files: each is opened, sent, begun, and its three results are read; it
        is asked for once for each part that the org writes at once, and all of its records are read. Rows that met a
        lock in a file are sent by two hundred. A call whose answer is lost is sent again.
        """
        by_calls = KILLED_AT[0] + BY_CALLS
        by_file, locked = ROWS - by_calls, len(self.locked)
        of_file = locked * by_file // ROWS
        files = -(-by_file // A_FILE)
        calls = (len(KILLED_AT) + 1) * (_CATALOGUE_CALLS + 1) + _OF_A_ROW * (1 + locked - of_file)
        calls += -(-(by_calls - 1) // A_CALL) + -(-of_file // A_CALL)
        calls += files * _OF_A_FILE + -(-by_file // A_PART) + -(-by_file // A_READ)
        return calls / (1 - sum(LOST.values()))


def wait_for(condition, process):
    """Wait until it holds, for as long as the process runs and five minutes at most."""
    until = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.1)


def ended(process):
    """Return what a task has printed at its end."""
    printed, _ = process.communicate(timeout=600)
    return json.loads(printed.splitlines()[-1])


@pytest.mark.long
@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
def test_two_hundred_thousand_rows(crm_sandbox, ledger_conn_id, tmp_path, monkeypatch):
    """Two workers die, and the session ends twice: reports and org are right to the row, and few calls are wasted."""
    org = HarshOrg(crm_sandbox, ROWS)
    org.frame().to_csv(tmp_path / "rows.csv", index=False)
    arguments = {
        "task_id": "amounts",
        "data": str(tmp_path / "rows.csv"),
        "crm_conn_id": "crm_salesforce_default",
        "ledger_conn_id": ledger_conn_id,
        "id_column": "id",
        "fields": {"arr": "deal_value", "discount": "Discount__c"},
        "rejects_path": str(tmp_path / "rejects.csv"),
        "concurrency": 4,
        "upload_after": BY_CALLS,
        "max_rejected": 0.1,
    }
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    tokens = crm_sandbox.salesforce.tokens
    extra = {"client_id": tokens.client_id, "client_secret": tokens.client_secret}
    connection = {"conn_type": "crm_salesforce", "host": crm_sandbox.url, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_CRM_SALESFORCE_DEFAULT", json.dumps(connection))
    crm_sandbox.audit.clear()
    ends, writes = iter(SESSIONS_END_AT), crm_sandbox.audit
    end_at = next(ends)
    for number, kill_at in enumerate((*KILLED_AT, None), start=1):
        command = [sys.executable, "-m", "tests.operators.task_process", json.dumps(arguments), str(number)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while kill_at is not None or end_at is not None:
            target = min(one for one in (kill_at, end_at) if one is not None)
            wait_for(lambda target=target: len(writes.writes) >= target, process)
            if target == kill_at:
                process.kill()
                process.communicate()
                pass_the_lease(ledger_conn_id)
                break
            crm_sandbox.salesforce.tokens.end_sessions()
            end_at = next(ends, None)
    end = ended(process)
    assert end["error"] is None
    outcomes = end["report"]["outcomes"]
    true = org.true_rejects()
    assert outcomes["updated"] + outcomes["unchanged"] == ROWS - len(true)
    assert {word: outcomes.get(word) for word in ("rejected", "ignored")} == dict(
        Counter(word for word, _ in true.values())
    )
    rejects = pd.read_csv(tmp_path / "rejects.csv", dtype=str)
    reported = {one.record_id: (one.outcome, one.code) for one in rejects.itertuples()}
    assert {
        one: (reported.get(one), true.get(one)) for one in reported | true if reported.get(one) != true.get(one)
    } == {}
    shown, right = org.values(), org.true_values()
    assert {one: (shown[one], values) for one, values in right.items() if shown[one] != values} == {}
    calls = crm_sandbox.audit.calls
    assert len(calls) <= RATIO * org.ideal_calls(), Counter((call.method, call.status, call.fault) for call in calls)
