"""Run `airflow crm ...` in this process, by the parser of Airflow's own command line."""

from __future__ import annotations

import contextlib
import io
from typing import NamedTuple


class Ended(NamedTuple):
    """How a command ended: exit code, and what it printed; `message` is what a shell shows of an early end."""

    code: int
    out: str
    message: str


def run_command(*words):
    """Run `airflow` with these words."""
    from airflow.cli import cli_parser

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            args = cli_parser.get_parser().parse_args(list(words))
            args.func(args)
        except SystemExit as end:
            text = end.code if isinstance(end.code, str) else ""
            return Ended(1 if text else int(end.code or 0), out.getvalue(), text)
    return Ended(0, out.getvalue(), "")
