"""Serve the sandbox in the foreground: `python -m airflow_provider_crm.sandbox --port 8123 --opportunities 100`."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
import threading
from decimal import Decimal
from typing import TextIO

from airflow_provider_crm.sandbox.sandbox import Sandbox

_EXAMPLES = 3


def fill(sandbox: Sandbox, number: int) -> tuple[list[str], list[str]]:
    """Add so many opportunities to each vendor and return their ids."""
    close = [sandbox.close.add_opportunity(value=10_000 * n)["id"] for n in range(1, number + 1)]
    raze = [
        sandbox.raze.add_opportunity(name=f"Customer {n}", deal_value=Decimal(100 * n))["id"]
        for n in range(1, number + 1)
    ]
    return close, raze


def announce(sandbox: Sandbox, close: list[str], raze: list[str], out: TextIO) -> None:
    """Print what a shell and a person need to use the sandbox."""
    lines = [f"# Raze and Close are at {sandbox.url}; describe: GET {sandbox.url}/sandbox/; stop: Ctrl-C"]
    lines += [
        f"export AIRFLOW_CONN_{name.upper()}={shlex.quote(value)}" for name, value in sandbox.connection_uris().items()
    ]
    lines += [
        f"# Close opportunities: {', '.join(close[:_EXAMPLES])}",
        f"# Raze opportunities: {', '.join(raze[:_EXAMPLES])}",
    ]
    out.write("\n".join(lines) + "\n")
    out.flush()


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_crm.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8123, help="port to listen on; 0 takes a free one (default 8123)")
    parser.add_argument("--opportunities", type=int, default=10, help="records for each vendor (default 10)")
    options = parser.parse_args(arguments)
    with Sandbox(port=options.port) as sandbox, contextlib.suppress(KeyboardInterrupt):
        announce(sandbox, *fill(sandbox, options.opportunities), sys.stdout)
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
