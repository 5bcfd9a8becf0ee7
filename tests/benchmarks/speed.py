"""How fast this is: rows per second, CPU per row, frames to JSON bodies, imports; beside what one would write by hand.

    python tests/benchmarks/speed.py [--out speed.md] [--seconds 20] [--rounds 2] [--frame-rows 1000000]
    python tests/benchmarks/speed.py --batch-rows 100000 [--rounds 2]

Prints a Markdown table; `--out` writes it to a file, with a plot of the rows per second (SVG) beside it. What is to
be read from it are ratios: both sides of each are measured in one run, in turn, and the best round of each counts. A
run is the whole `UpdateOpportunityOperator`, as a task runs it: all defaults, a ledger and a shared budget in SQLite,
a file for rejects; the number of threads that is found on the way, and the first row that goes alone, are part of it.
What it takes to start is a line of its own, measured with a single row, and is taken from the CPU of a row, but not
from the rows per second. Where a line says so, the budget has no store.

The vendor is `echo_server.py`, a process of its own, whose answers have 1.3 KB, as Close's have. How many requests it
answers by itself is measured first, with raw sockets that send ready bytes: if that is far above all other figures,
the server is not what is measured. With `--batch-rows` only rows that share calls are measured, a hundred in each, at
two levels: the push, from the frame to the report, and the whole operator.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from writers import DAY, FIELDS, Cost, body, check, deals, http_hook, loop, operator, pool

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.rows import ColumnRules, FrameReader
from airflow_provider_crm.sync.gc_tuning import freeze_imports
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Update
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials
from airflow_provider_crm.vendors.encoding import calls_of_all, writes_of_all

SERVER = Path(__file__).with_name("echo_server.py")
BATCH_LATENCY = 0.05
LATENCIES, THREADS = (0.02, 0.05, 0.15), (16, 64)
GOALS = {(0.02, 64): ">= 1.1", (0.05, 64): ">= 1.0", (0.15, 64): ">= 1.0"}
POOL = "threads of requests with retry"
ANSWER = 1_300  # bytes, as Close's answers have
CLIENTS, CLIENT_SECONDS = 3, 2.0
CPU_ROWS, CPU_ROUNDS = 4_000, 5
ROWS_AT_ONCE = 2_000  # as the push takes them
MOST_ROWS_PER_SECOND = 1_000  # of one Python process, more or less: so many rows make a run of the wished length
AIRFLOW = "import airflow.sdk; airflow.sdk.DAG, airflow.sdk.BaseOperator, airflow.sdk.BaseHook"
OPERATORS = "import airflow_provider_crm.operators.plan, airflow_provider_crm.transfers.sql_to_opportunity"


class Figure(NamedTuple):
    """One line of the table."""

    what: str
    ours: float
    beside: str
    theirs: float
    unit: str
    goal: str = ""

    @property
    def ratio(self):
        """Ours by theirs."""
        return self.ours / self.theirs


@contextmanager
def vendor(latency: float) -> Iterator[str]:
    """The URL of a server that answers after so many seconds."""
    command = [sys.executable, str(SERVER), str(latency), str(ANSWER)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.kill()
        server.communicate()


# What is measured


def best(rounds: int, *ways: Callable[[], Cost]) -> list[Cost]:
    """The least time of each way, with the ways taken in turn."""
    costs = [[way() for way in ways] for _ in range(rounds)]
    return [
        Cost(min(cost.seconds for cost in column), min(cost.processor for cost in column))
        for column in zip(*costs, strict=True)
    ]


def rows_per_second(length: float, rounds: int, *, hook: bool) -> Iterator[Figure]:
    """Without a limit of the vendor, at three latencies, with two numbers of threads."""
    for latency, threads in product(LATENCIES, THREADS):
        rows = int(min(threads / latency, MOST_ROWS_PER_SECOND) * length)
        what = f"rows at {latency * 1000:.0f} ms, {threads} threads"
        with vendor(latency) as url:
            ours = partial(operator, url, rows, concurrency=threads)
            alone = partial(ours, shares_budget=False)
            shared, unshared, bare = best(rounds, ours, alone, partial(pool, url, rows, threads))
            yield Figure(
                what, rows / shared.seconds, POOL, rows / bare.seconds, "rows/s", GOALS.get((latency, threads), "")
            )
            yield Figure(f"{what}, no store", rows / unshared.seconds, POOL, rows / bare.seconds, "rows/s")
            if hook:
                few = rows // 4
                theirs = few / http_hook(url, few, threads).seconds
                yield Figure(what, rows / shared.seconds, "HttpHook", theirs, "rows/s", ">= 1.0")


def processor_per_row() -> Iterator[Figure]:
    """Everything on, against a loop of `requests.Session.put`."""
    beside = "loop of Session.put"
    with vendor(0.0) as url:
        ways = partial(operator, url), partial(operator, url, shares_budget=False), partial(loop, url)
        best(1, *(partial(way, 1) for way in ways))  # imports what is imported at the first time
        starts = [cost.processor for cost in best(CPU_ROUNDS, *(partial(way, 1) for way in ways))]
        whole = [cost.processor for cost in best(CPU_ROUNDS, *(partial(way, CPU_ROWS) for way in ways))]
    shared, alone, theirs = ((all_ - one) / (CPU_ROWS - 1) * 1e6 for all_, one in zip(whole, starts, strict=True))
    yield Figure("CPU of a row", shared, beside, theirs, "us", "<= 0.7")
    yield Figure("CPU of a row, no store", alone, beside, theirs, "us")
    yield Figure("CPU of the start, with one row", starts[0] * 1e3, beside, starts[2] * 1e3, "ms")


def batches(rows: int, rounds: int) -> Iterator[Figure]:
    """Rows that share calls, against a pool that sends the same calls, and against one row a call."""
    import batches as ways

    few = rows // 10
    with vendor(BATCH_LATENCY) as url:
        push, operator, bare = best(rounds, *(partial(way, url, rows) for way in (ways.push, ways.operator, ways.pool)))
        (single,) = best(rounds, partial(ways.push_one_by_one, url, few))
    what = f"{rows:,} rows, {ways.ROWS_A_CALL} a call, {BATCH_LATENCY * 1000:.0f} ms"
    for level, ours in (("push", push), ("operator", operator)):
        yield Figure(
            f"{what}: {level}", rows / ours.seconds, "pool of sessions", rows / bare.seconds, "rows/s", ">= 0.95"
        )
    for level, ours in (("push", push), ("operator", operator)):
        each = ours.processor / rows * 1e6
        yield Figure(f"CPU of a row: {level}", each, "push, a row a call", single.processor / few * 1e6, "us", "<= 0.2")
    yield Figure(
        "CPU of a row: push", push.processor / rows * 1e6, "pool of sessions", bare.processor / rows * 1e6, "us"
    )


def frame_to_bodies(rows: int) -> Figure:
    """A frame of five fields to the bodies of Close's calls, against pandas' own JSON lines."""
    close = VENDORS["close"]
    frame = deals(rows).assign(won=pd.Timestamp("2026-03-01"), owner="user_1")
    fields = FIELDS | {"won": "date_won", "owner": "responsible_user_id"}
    with vendor(0.0) as url, Session(Account(close, url, Credentials("key"))) as session:
        catalogue = session.catalogue(tuple(fields.values()))
    columns = ColumnRules(id_column="id", fields=fields, values=ValueRules(timezone="UTC"))

    def bodies_of(batch: list[Update]) -> list[str]:
        calls = calls_of_all([update.record_id for update in batch], writes_of_all(batch, close, catalogue))
        return [call.body for row in calls for call in row]

    def bodies() -> Cost:
        began = Cost.now()
        updates = FrameReader(columns, catalogue.fields, DAY).read(frame)
        made = 0
        with freeze_imports():  # as the operators do
            while batch := list(islice(updates, ROWS_AT_ONCE)):
                made += len(bodies_of(batch))
        check(made == rows, made)
        return Cost.since(began)

    def lines() -> Cost:
        began = Cost.now()
        frame.to_json(os.devnull, orient="records", lines=True, date_format="iso")
        return Cost.since(began)

    ours, theirs = (cost.seconds for cost in best(1, bodies, lines))
    return Figure(f"frame to bodies, {rows:,} rows of 5 fields", ours, "DataFrame.to_json", theirs, "s", "<= 2")


def imports() -> Figure:
    """What a DAG file pays for the operators beyond `airflow.sdk`."""
    code = "import time; {}; began = time.perf_counter(); {}; print((time.perf_counter() - began) * 1000)"
    found = []
    for _ in range(5):
        pair = []
        for before, after in ((AIRFLOW, OPERATORS), ("pass", AIRFLOW)):
            command = [sys.executable, "-W", "ignore", "-c", code.format(before, after)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            pair.append(float(done.stdout.splitlines()[-1]))
        found.append(pair)
    ours, theirs = (min(column) for column in zip(*found, strict=True))
    return Figure("imports of operators and transfers", ours, "airflow.sdk itself", theirs, "ms", "<= 30 ms")


def server_by_itself() -> float:
    """Requests per second that the server answers to raw sockets in processes of their own."""
    with vendor(0.0) as url:
        command = [sys.executable, __file__, "--client", url]
        clients = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(CLIENTS)]
        return sum(float(client.communicate()[0]) for client in clients)


def client(url: str) -> None:
    """Send ready bytes and count the answers; prints how many there are in a second."""
    host, _, port = url.removeprefix("http://").partition(":")
    text = json.dumps(body(1)).encode()
    head = f"PUT /api/v1/opportunity/oppo_1/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(text)}\r\n\r\n"
    answers, began = 0, time.perf_counter()
    with socket.create_connection((host, int(port))) as connection:
        while (lasted := time.perf_counter() - began) < CLIENT_SECONDS:
            connection.sendall(head.encode() + text)
            check(connection.recv(65_536).endswith(b"}"), "an answer came in parts")
            answers += 1
    print(answers / lasted)  # noqa: T201 - for the parent


# What is told


def lines_of(figures: list[Figure]) -> list[str]:
    """The figures in Markdown."""
    lines = ["| what | ours | beside | theirs | ratio | goal |", "|---|---:|---|---:|---:|---|"]
    lines += [
        f"| {one.what} | {one.ours:,.1f} {one.unit} | {one.beside} | {one.theirs:,.1f} {one.unit} "
        f"| {one.ratio:.2f} | {one.goal} |"
        for one in figures
    ]
    return lines


def table(figures: list[Figure], by_itself: float, *, hook: bool) -> str:
    """The figures in Markdown, and what the server can do."""
    lines = lines_of(figures)
    fastest = max(max(one.ours, one.theirs) for one in figures if one.unit == "rows/s")
    server = f"The server by itself answers {by_itself:,.0f} requests per second to {CLIENTS} raw clients"
    lines += ["", f"{server}, {by_itself / fastest:.1f} times the fastest of the rows above."]
    if not hook:
        lines += ["", "HttpHook is left out: apache-airflow-providers-http is not installed."]
    return "\n".join(lines) + "\n"


def plot(figures: list[Figure]) -> str:
    """The rows per second as bars, in SVG."""
    shown = [one for one in figures if one.beside == POOL]
    scale = 420 / max(max(one.ours, one.theirs) for one in shown)
    height = len(shown) * 52 + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" font-family="sans-serif">',
        '<rect width="100%" height="100%" fill="white"/>',
        '<text font-size="13" x="10" y="22">Rows per second: everything on (blue), threads of requests (grey)</text>',
    ]
    for number, one in enumerate(shown):
        top = 40 + number * 52
        parts.append(f'<text font-size="13" x="10" y="{top + 24}">{one.what}</text>')
        for offset, value, colour in ((0, one.ours, "#3366bb"), (19, one.theirs, "#999999")):
            parts.append(f'<rect x="220" y="{top + offset}" width="{value * scale:.1f}" height="17" fill="{colour}"/>')
            parts.append(
                f'<text font-size="13" x="{226 + value * scale:.1f}" y="{top + offset + 13}">{value:,.0f}</text>'
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """Read the arguments, measure, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="file for the table; the plot is written beside it")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a run, more or less")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--frame-rows", type=int, default=1_000_000)
    parser.add_argument("--batch-rows", type=int, help="measure only so many rows that share calls")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.client:
        client(chosen.client)
        return
    if chosen.batch_rows:
        print("\n".join(lines_of(list(batches(chosen.batch_rows, chosen.rounds)))))  # noqa: T201 - the result
        return
    hook = importlib.util.find_spec("airflow.providers.http") is not None
    by_itself = server_by_itself()
    figures = list(rows_per_second(chosen.seconds, chosen.rounds, hook=hook))
    figures += [*processor_per_row(), frame_to_bodies(chosen.frame_rows), imports()]
    text = table(figures, by_itself, hook=hook)
    print(text)  # noqa: T201 - the result
    if chosen.out is not None:
        chosen.out.write_text(text, encoding="utf-8")
        chosen.out.with_suffix(".svg").write_text(plot(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
