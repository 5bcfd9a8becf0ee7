"""A process that writes rows into the ledger as a run does, until its input ends; run as a script by `test_prune_load`.

Each round claims some rows of five fields, and settles them part by part, as the answers of a CRM come. The output is
the number of rows, and the longest time that the database took for a claim or a settlement.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import threading
import time

import sqlalchemy as sa

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.ledger.claims import ClaimedRow, DesiredRow, Settlement, Verdict
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.report.combined import combined
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord

ROWS, PART = 100, 20
FIELDS = ("value", "note", "confidence", "status_id", "custom.cf_health")
RECORDS = 10_000
CALLS_TAKE = 0.2  # 100 rows a second, which is more than most limits allow


class Stopwatch:
    """Keeps the longest time that anything took."""

    def __init__(self):
        self.longest = 0.0

    def time(self, function, *arguments):
        """Call a function, and return what it returns."""
        began = time.monotonic()
        result = function(*arguments)
        self.longest = max(self.longest, time.monotonic() - began)
        return result


def rows_of(name, number):
    """The desired rows of a round: other values of the next records."""
    first, as_of = number * ROWS % RECORDS, dt.datetime.now(dt.UTC)
    return [
        DesiredRow(f"oppo_{name}_{record}", {field: str(number + 1) for field in FIELDS}, as_of)
        for record in range(first, first + ROWS)
    ]


def say(line):
    """Write a line of output at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(url, account, name):
    """Write until the input ends."""
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    run_key = f"sales_sync/writer_{name}/manual__2026-11-30T09:00:00+00:00"
    database = Database(sa.create_engine(url))
    ledger = Ledger(database, account=account, run_key=run_key, lease=60.0, clock=Clock(), combine=combined)
    ledger.open(None)
    watch, number = Stopwatch(), 0
    say("ready")
    while not ended.is_set():
        rows = rows_of(name, number)
        claims = watch.time(ledger.claim, rows)
        assert {claim.verdict for claim in claims} == {Verdict.SEND}
        claimed = [ClaimedRow(row, claim) for row, claim in zip(rows, claims, strict=True)]
        for first in range(0, ROWS, PART):
            time.sleep(CALLS_TAKE)
            ends = [
                Settlement(row, Outcome(0, row.record_id, OutcomeWord.UPDATED), row.claim.fields)
                for row in claimed[first : first + PART]
            ]
            watch.time(ledger.settle, ends)
        number += 1
    ledger.close({"rows": number * ROWS, "outcomes": {"updated": number * ROWS}})
    say(json.dumps({"run_key": run_key, "rows": number * ROWS, "longest": watch.longest}))


if __name__ == "__main__":
    main(*sys.argv[1:])
