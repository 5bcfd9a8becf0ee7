"""Ways to write rows into a CRM, side by side: operator, push, threads of requests, a loop, Airflow's HttpHook."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import requests
import sqlalchemy as sa
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

sys.path.insert(0, str(Path(__file__).parents[2]))  # for the context of a task, which the tests have

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.hooks.ledger import ledger_database
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.push.run import Push
from airflow_provider_crm.report.combined import combined
from airflow_provider_crm.report.tally import Tally
from airflow_provider_crm.rows import ColumnRules, FrameReader
from airflow_provider_crm.sync.gc_tuning import freeze_imports
from airflow_provider_crm.values.conversion import ValueRules

DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
FIELDS = {"arr": "deal_value", "note": "notes", "confidence": "confidence"}


class Cost(NamedTuple):
    """What some work took: wall time, and user and system time of this process, in seconds."""

    seconds: float
    processor: float

    @classmethod
    def since(cls, began: Cost) -> Cost:
        """The difference to now."""
        return cls(time.perf_counter() - began.seconds, time.process_time() - began.processor)

    @classmethod
    def now(cls) -> Cost:
        """Where a measurement begins."""
        return cls(time.perf_counter(), time.process_time())


def deals(rows: int) -> pd.DataFrame:
    """A source of rows with three fields."""
    numbers = range(rows)
    return pd.DataFrame(
        {
            "id": [f"oppo_{number:09d}" for number in numbers],
            "arr": [number + 0.5 for number in numbers],
            "note": [f"deal {number}" for number in numbers],
            "confidence": [number % 100 for number in numbers],
        }
    )


def body(number: int) -> dict[str, object]:
    """What a row becomes, as a script would have it."""
    return {"value": number * 100 + 50, "note": f"deal {number}", "confidence": number % 100}


def operator(url: str, rows: int, *, shares_budget: bool = True, **arguments: object) -> Cost:
    """The whole `UpdateOpportunityOperator`, as a task runs it: all defaults, and a file for rejects.

    Ledger and shared budget are in a new SQLite file, whose tables are there already.

    Args:
        url: The server.
        rows: How many.
        shares_budget: False for a session whose budget has no store; no user can choose that.
        arguments: Other arguments of the operator.
    """
    with tempfile.TemporaryDirectory() as home:
        close = {"conn_type": "close", "host": url, "password": "key"}
        kind = UpdateOpportunityOperator if shares_budget else _AloneWithItsBudget
        return run_operator(home, kind, close, rows, FIELDS, rejects_path=f"{home}/rejects.jsonl", **arguments)


class _AloneWithItsBudget(UpdateOpportunityOperator):
    def session_for(self, account: Account) -> Session:
        """Use a session without a store."""
        return Session(account, retry=RetryRules(defer_after=self.defer_after))


def run_operator(
    home: str,
    kind: type[UpdateOpportunityOperator],
    connection: Mapping[str, str],
    rows: int,
    fields: Mapping[str, str],
    **arguments: Any,
) -> Cost:
    """Run an operator in an Airflow home of its own, and return what the task itself took."""
    from tests.operators.conftest import Run

    os.environ["AIRFLOW_HOME"] = home
    os.environ["AIRFLOW_CONN_CRM_SPEED"] = json.dumps(connection)
    names = {"task_id": "speed", "crm_conn_id": "crm_speed", "id_column": "id", "fields": fields, "timezone": "UTC"}
    with contextlib.redirect_stdout(sys.stderr):  # where Airflow logs to
        task = kind(data=deals(rows), **names, **arguments)
        ledger_database("").open()
        began = Cost.now()
        run = Run(as_of=DAY).of(task.execute)
        cost = Cost.since(began)
    check(run.error is None and run.outcomes == {"updated": rows}, run.error or run.report)
    return cost


def pushed(account: Account, rows: int, fields: Mapping[str, str], rules: PushRules) -> Cost:
    """Write rows with a ledger in SQLite, comparison of the echo, and report."""
    frame = deals(rows)
    with tempfile.TemporaryDirectory() as folder, Session(account) as session:
        catalogue = session.catalogue(tuple(fields.values()))
        engine = Database(sa.create_engine(f"sqlite:///{folder}/ledger.db")).engine
        name = f"{account.vendor.name}:speed"
        ledger = Ledger(Database(engine), combine=combined, account=name, run_key="speed", lease=90.0, clock=Clock())
        ledger.open(DAY)
        columns = ColumnRules(id_column="id", fields=fields, values=ValueRules(timezone="UTC"))
        began, tally = Cost.now(), Tally()
        with freeze_imports():  # as the operators do
            updates = FrameReader(columns, catalogue.fields, DAY).read(frame)
            for outcome in Push(session, catalogue, rules, ledger).run(updates):
                tally.add(outcome)
        cost = Cost.since(began)
        engine.dispose()
    check(tally.outcomes() == {"updated": rows}, tally.outcomes())
    return cost


def pool(url: str, rows: int, threads: int) -> Cost:
    """A session of requests with retry, and a pool of threads: no ledger, no report, no comparison."""
    retry = Retry(5, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None)
    with requests.Session() as session, ThreadPoolExecutor(threads) as executor:
        session.auth = ("key", "")
        session.mount("http://", HTTPAdapter(pool_maxsize=threads, max_retries=retry))

        def put(number: int) -> str:
            response = session.put(f"{url}/api/v1/opportunity/oppo_{number:09d}/", json=body(number), timeout=30)
            response.raise_for_status()
            return response.json()["id"]

        began = Cost.now()
        check(len(list(executor.map(put, range(rows)))) == rows, "rows are missing")
        return Cost.since(began)


def loop(url: str, rows: int) -> Cost:
    """A session of requests, one row after another."""
    began = Cost.now()
    with requests.Session() as session:
        session.auth = ("key", "")
        for number in range(rows):
            path = f"/api/v1/opportunity/oppo_{number:09d}/"
            session.put(url + path, json=body(number), timeout=30).json()
    return Cost.since(began)


def http_hook(url: str, rows: int, threads: int) -> Cost:
    """Airflow's own hook in as many threads."""
    from airflow.providers.http.hooks.http import HttpHook

    address = url.removeprefix("http://")
    os.environ["AIRFLOW_CONN_SPEED"] = f"http://key@{address}"
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its pool is smaller than that, and says so at every call
    hook = HttpHook(method="PUT", http_conn_id="speed")
    began = Cost.now()
    with ThreadPoolExecutor(threads) as executor:
        done = executor.map(
            lambda number: hook.run(f"api/v1/opportunity/oppo_{number:09d}/", json=body(number)).json(), range(rows)
        )
        check(len(list(done)) == rows, "rows are missing")
    return Cost.since(began)


def check(expected: bool, problem: object) -> None:
    """End a benchmark that did not do what it measures."""
    if not expected:
        msg = f"The benchmark measured something else: {problem}"
        raise RuntimeError(msg)
