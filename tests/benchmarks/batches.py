"""Ways to write rows that share calls, side by side: the push, the operator, a pool of requests sessions."""

from __future__ import annotations

import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from writers import Cost, check, pushed, run_operator

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "fake" / "installed"), str(ROOT)]  # Batchly, as if it was installed

from airflow_provider_crm.client.account import Account  # noqa: E402 - after the path
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator  # noqa: E402
from airflow_provider_crm.push.rules import PushRules  # noqa: E402
from airflow_provider_crm.vendors.calls import WriteCall  # noqa: E402
from airflow_provider_crm.vendors.credentials import Credentials  # noqa: E402
from tests.fake.vendor import BATCHLY, Batchly  # noqa: E402

FIELDS = {"arr": "deal_value", "note": "notes", "confidence": "c_confidence"}
ROWS_A_CALL = 100
KEY = "a-key-of-no-account"


class _OneByOne(Batchly):
    """Batchly without batches: the same rows, each in a call of its own."""

    def write_calls(self, keys: tuple[str, ...]) -> tuple[WriteCall, ...]:
        """Leave out how rows share a call."""
        return tuple(
            WriteCall(one.method, one.path, one.keys, envelope=one.envelope, spell=one.spell)
            for one in super().write_calls(keys)
        )


def push(url: str, rows: int) -> Cost:
    """All defaults, at the level of the session: frame, ledger in SQLite, comparison of the echo, report."""
    return pushed(_account(BATCHLY, url), rows, FIELDS, PushRules(timezone="UTC"))


def push_one_by_one(url: str, rows: int) -> Cost:
    """The same rows, and one in each call."""
    return pushed(_account(_OneByOne(), url), rows, FIELDS, PushRules(timezone="UTC"))


def _account(vendor: Batchly, url: str) -> Account:
    return Account(vendor, url, Credentials(KEY))


def operator(url: str, rows: int) -> Cost:
    """All defaults of `UpdateOpportunityOperator`, in an Airflow home whose ledger has its tables already."""
    batchly = {"conn_type": "batchly", "host": url, "password": KEY}
    with tempfile.TemporaryDirectory() as home:
        return run_operator(home, UpdateOpportunityOperator, batchly, rows, FIELDS)


def pool(url: str, rows: int) -> Cost:
    """A session in each of as many threads as there are calls in flight by default: no ledger, report, comparison."""
    threads = PushRules().concurrency
    own = threading.local()
    with ThreadPoolExecutor(threads) as executor:

        def post(first: int) -> int:
            if not hasattr(own, "session"):
                own.session = requests.Session()
                own.session.headers["X-Batchly-Token"] = KEY
            inputs = [_row(number) for number in range(first, min(first + ROWS_A_CALL, rows))]
            response = own.session.post(f"{url}/batchly/v1/records/batch/update", json={"inputs": inputs}, timeout=30)
            response.raise_for_status()
            return len(response.json()["results"])

        began = Cost.now()
        landed = sum(executor.map(post, range(0, rows, ROWS_A_CALL)))
        cost = Cost.since(began)
    check(landed == rows, landed)
    return cost


def _row(number: int) -> dict[str, object]:
    """What a row becomes, as a script would have it: the same bytes as the push sends, but for the order of members."""
    values = {"amount": f"{number}.5", "description": f"deal {number}", "c_confidence": str(number % 100)}
    return {"id": f"oppo_{number:09d}", "traceId": str(number % ROWS_A_CALL), "properties": values}
