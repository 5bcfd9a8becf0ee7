"""Ways to write rows into a CRM, side by side: this package, a pool of requests, a loop, Airflow's HttpHook."""

from __future__ import annotations

import datetime as dt
import logging
import os
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pandas as pd
import requests
import sqlalchemy as sa
from requests.adapters import HTTPAdapter

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.push.run import Push
from airflow_provider_crm.report.combined import combined
from airflow_provider_crm.report.tally import Tally
from airflow_provider_crm.rows import ColumnRules, FrameReader
from airflow_provider_crm.sync.gc_tuning import freeze_imports
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials

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


def push(url: str, rows: int, threads: int) -> Cost:
    """With all that is on by default: ledger in SQLite, comparison of the echo, report."""
    account = Account(VENDORS["close"], url, Credentials("key"))
    return pushed(account, rows, FIELDS, PushRules(timezone="UTC", concurrency=threads))


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
    """A session of requests and a pool of threads: no ledger, no retry, no report, no comparison."""
    with requests.Session() as session, ThreadPoolExecutor(threads) as executor:
        session.auth = ("key", "")
        session.mount("http://", HTTPAdapter(pool_maxsize=threads))

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
            session.put(f"{url}/api/v1/opportunity/oppo_{number:09d}/", json=body(number)).json()
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
