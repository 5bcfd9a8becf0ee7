"""One client of Salesforce in a process of its own: it writes the rows of a file, and prints what it says of them.

    python tests/benchmarks/salesforce_writers.py CLIENT URL ROWS.json

`salesforce_clients.py` starts it, with key and secret of the app in `APP_KEY` and `APP_SECRET`, and a new Airflow home.
Each client is what its users would run: an operator's `execute`, or drt's `run_sync` on a table of SQLite, with all
defaults. Two things stand in for a real org: `https` calls of requests go to the sandbox, which has no TLS, and drt's
sign-in by user name and password, which the sandbox does not offer, is sent as one by client credentials.
"""

from __future__ import annotations

import csv
import json
import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]
_FIELDS = {"Amount": "deal_value", "Discount__c": "Discount__c"}
_RECORD_ID = re.compile(r"006\w{15}")


@dataclass
class Answer:
    """What a client says.

    Attributes:
        not_landed: Ids of the rows that it names as not landed; None if it names no row at all.
        is_green: Whether the task, or the command, ends as a success.
        words: How it ended.
    """

    not_landed: list[str] | None
    is_green: bool
    words: str


def operator(url: str, rows: Rows) -> Callable[[], Answer]:
    """Our `UpdateOpportunityOperator`, whose ledger has its tables already."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from airflow_provider_crm.hooks.ledger import ledger_database
    from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
    from tests.operators.conftest import Run

    extra = {"client_id": os.environ["APP_KEY"], "client_secret": os.environ["APP_SECRET"]}
    connection = {"conn_type": "crm_salesforce", "host": url, "extra": extra}
    os.environ["AIRFLOW_CONN_CRM_SALESFORCE_DEFAULT"] = json.dumps(connection)
    ledger_database("").open()
    rejects = Path(os.environ["AIRFLOW_HOME"]) / "rejects.csv"
    names = {"task_id": "task", "crm_conn_id": "crm_salesforce_default", "id_column": "Id"}
    task = UpdateOpportunityOperator(data=rows, fields=_FIELDS, rejects_path=str(rejects), **names)

    def work() -> Answer:
        run = Run().of(task.execute)
        if run.report is None or sum(run.outcomes.values()) != len(rows):
            return Answer(None, is_green=run.error is None, words=str(run.error))
        with rejects.open() as file:
            not_landed = [one["record_id"] for one in csv.DictReader(file)]
        return Answer(not_landed, is_green=run.error is None, words=str(run.outcomes))

    return work


def bulk_operator(url: str, rows: Rows) -> Callable[[], Answer]:
    """The `SalesforceBulkOperator` of apache-airflow-providers-salesforce; its result, as XCom would have it."""
    from airflow.providers.salesforce.operators.bulk import SalesforceBulkOperator
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def rerouted(adapter: HTTPAdapter, request: Any, **options: Any) -> Any:
        request.url = url + request.path_url
        return send(adapter, request, **options)

    HTTPAdapter.send = rerouted
    app = {"consumer_key": os.environ["APP_KEY"], "consumer_secret": os.environ["APP_SECRET"], "domain": "acme.my"}
    os.environ["AIRFLOW_CONN_SALESFORCE_DEFAULT"] = json.dumps({"conn_type": "salesforce", "extra": app})
    task = SalesforceBulkOperator(task_id="task", operation="update", object_name="Opportunity", payload=rows)

    def work() -> Answer:
        results = task.execute({})
        failed = [row["Id"] for row, one in zip(rows, results, strict=True) if not one["success"]]
        return Answer(failed, is_green=True, words=f"{len(failed)} rows have success: false in XCom")

    return work


def drt(url: str, rows: Rows) -> Callable[[], Answer]:
    """The sync of drt-core that `drt run` executes; ids of failed rows are taken from the previews of its errors."""
    import httpx
    from drt.config.credentials import SQLiteProfile
    from drt.config.models import SyncConfig
    from drt.destinations import salesforce_bulk
    from drt.engine.sync import run_sync
    from drt.sources.sqlite import SQLiteSource

    class SignedIn(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path == "/services/oauth2/token":
                form = {"grant_type": "client_credentials"}
                form |= {"client_id": os.environ["APP_KEY"], "client_secret": os.environ["APP_SECRET"]}
                request = httpx.Request("POST", request.url, data=form)
            return super().handle_request(request)

    class Client(httpx.Client):
        def __init__(self, **options: Any) -> None:
            super().__init__(transport=SignedIn(), **options)

    salesforce_bulk.httpx.Client = Client
    home = Path(os.environ["AIRFLOW_HOME"])
    with sqlite3.connect(home / "rows.db") as database:
        database.execute("CREATE TABLE deals (Id TEXT, Amount REAL, Discount__c INTEGER)")
        database.executemany("INSERT INTO deals VALUES (:Id, :Amount, :Discount__c)", rows)
    secrets = {f"{one}_env": f"APP_{one.upper()}" for one in ("client_id", "client_secret", "username", "password")}
    os.environ.update(dict.fromkeys(secrets.values(), "unused"))
    destination = {"type": "salesforce_bulk", "instance_url": url, "object_name": "Opportunity", "operation": "update"}
    sync = SyncConfig(name="amounts", model="SELECT * FROM deals", destination={**destination, **secrets})
    profile = SQLiteProfile(type="sqlite", database=str(home / "rows.db"))

    def work() -> Answer:
        target = salesforce_bulk.SalesforceBulkDestination()
        result = run_sync(sync, SQLiteSource(), target, profile, home)
        found = [_RECORD_ID.search(one.record_preview) for one in result.row_errors]
        failed = [one[0] for one in found if one]
        if len(failed) != result.failed:
            raise RuntimeError(result)
        return Answer(failed, is_green=result.failed == 0, words=f"{result.success} synced, {result.failed} failed")

    return work


CLIENTS: Mapping[str, Callable[[str, Rows], Callable[[], Answer]]] = {
    "operator": operator,
    "bulk": bulk_operator,
    "drt": drt,
}


def resident(name: str) -> float:
    """Return a figure of this process's memory in MB; `getrusage` counts that of the parent before exec, too."""
    text = Path("/proc/self/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+)", text)[1]) / 1024


def main() -> None:
    """Write the rows, and print one line of JSON."""
    client, url, path = sys.argv[1:]
    rows = json.loads(Path(path).read_text())
    work = CLIENTS[client](url, rows)
    before, began, cpu = resident("VmRSS"), time.perf_counter(), time.process_time()
    try:
        answer = work()
    except Exception as error:  # noqa: BLE001 - the task's end, whatever it is
        answer = Answer(None, is_green=False, words=f"{type(error).__name__}: {error}"[:200])
    cost = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    peak = resident("VmHWM")
    print(json.dumps({**asdict(answer), **cost, "peak": peak, "grown": peak - before}))  # noqa: T201 - the result


if __name__ == "__main__":
    main()
