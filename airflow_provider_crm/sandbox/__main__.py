"""Serve the sandbox in the foreground: `python -m airflow_provider_crm.sandbox --port 8123 --opportunities 100`."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
import threading
from typing import TextIO

from airflow_provider_crm.sandbox.installed import installed_apis
from airflow_provider_crm.sandbox.sandbox import Sandbox

_EXAMPLES = 3


def fill(sandbox: Sandbox, number: int) -> None:
    """Add so many example opportunities to each account."""
    for name, api in sandbox.apis.items():
        for n in range(1, number + 1):
            sandbox.account(name).add_opportunity(**api.example(n))


def announce(sandbox: Sandbox, out: TextIO) -> None:
    """Print what a shell and a person need to use the sandbox."""
    lines = [f"# {sandbox.display_names} are at {sandbox.url}; describe: GET {sandbox.url}/sandbox/; stop: Ctrl-C"]
    lines += [
        f"export AIRFLOW_CONN_{name.upper()}={shlex.quote(value)}" for name, value in sandbox.connection_uris().items()
    ]
    lines += [
        f"# {api.display_name} opportunities: {', '.join(sandbox.account(name).records.ids()[:_EXAMPLES])}"
        for name, api in sandbox.apis.items()
    ]
    out.write("\n".join(lines) + "\n")
    out.flush()


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_crm.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8123, help="port to listen on; 0 takes a free one (default 8123)")
    parser.add_argument("--opportunities", type=int, default=10, help="records in each account (default 10)")
    options = parser.parse_args(arguments)
    with Sandbox(port=options.port, apis=installed_apis()) as sandbox, contextlib.suppress(KeyboardInterrupt):
        fill(sandbox, options.opportunities)
        announce(sandbox, sys.stdout)
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
