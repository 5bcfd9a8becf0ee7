"""A newcomer's path: what the quickstart says is typed, from an empty folder to rows in the CRM."""

from __future__ import annotations

import os
import shlex
import sys
import uuid
from contextlib import ExitStack
from itertools import takewhile
from pathlib import Path

import pytest
import requests

from tests.background import background
from tests.docs.pages import DOCS, ROOT, blocks_of

BLOCKS = list(blocks_of(DOCS / "quickstart.md"))
SANDBOX = "python -m airflow_provider_crm.sandbox\n"
# The environment of the tests is taken as it is, and nothing that runs until it is stopped is typed.
LEFT_OUT = ("python3 -m venv", "airflow standalone")
PORT = ":8123"


class Newcomer:
    """Follows the page with two terminals and an empty home.

    Args:
        home: The empty home.
    """

    def __init__(self, home):
        self.outputs = {}
        self._home = home
        self._port = PORT
        inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith("AIRFLOW")}
        self._environment = inherited | {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
        }

    def follow(self):
        """Type each command and save each file as they come; afterwards `outputs` has what each block printed."""
        with ExitStack() as running:
            self._shell = running.enter_context(background(["bash"], self._home, self._environment))
            self._type("trap 'failed=$?' ERR\n")
            for block in BLOCKS:
                if block.reference:
                    folder = self._home / "crm-quickstart" / "dags"
                    (folder / block.reference).write_text(block.code)
                elif block.code == SANDBOX:
                    self._start_sandbox(running)
                elif block.language == "bash" and not block.code.startswith(LEFT_OUT):
                    self.outputs[block] = self._type(block.code.replace(PORT, self._port))
            self.audit = requests.get(f"http://127.0.0.1{self._port}/sandbox/audit", timeout=10).json()

    def _start_sandbox(self, running):
        command = [sys.executable, *shlex.split(SANDBOX)[1:], "--port", "0"]
        sandbox = running.enter_context(background(command, self._home, self._environment))
        sandbox.stdout.readline()  # where it is
        lines = list(takewhile(lambda line: line.startswith("export "), sandbox.stdout))
        self._port = lines[0].partition("127.0.0.1")[2].partition('"')[0]
        self.announced = [line.replace(self._port, PORT) for line in lines]

    def _type(self, commands):
        """Run commands in the terminal; returns the status of the last one that failed, else 0, and the output."""
        typed, mark = self._home / "typed.sh", uuid.uuid4().hex
        typed.write_text(commands)
        self._shell.stdin.write(f"failed=0; . {typed} </dev/null 2>&1; echo; echo {mark} $failed\n")
        self._shell.stdin.flush()
        lines = []
        while not (line := self._shell.stdout.readline()).startswith(mark):
            assert line, "the terminal is closed"
            lines.append(line)
        return int(line.split()[1]), "".join(lines)


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory):
    """The newcomer at the end of the page."""
    made = Newcomer(tmp_path_factory.mktemp("home"))
    made.follow()
    return made


def quoted(wanted):
    """What the page says that a block prints: the next block without a language, if it comes before other commands."""
    after = BLOCKS[BLOCKS.index(wanted) + 1]
    return after.code.splitlines() if not after.language else []


@pytest.mark.long
def test_commands_end_as_the_page_says(newcomer):
    """All succeed, but for the first run of the DAG, which has two bad rows."""
    statuses = {str(block): (status, output[-3000:]) for block, (status, output) in newcomer.outputs.items()}
    first_run = next(block for block in BLOCKS if block.code.startswith("airflow dags test"))
    assert [name for name, (status, _) in statuses.items() if status] == [str(first_run)], statuses


@pytest.mark.long
def test_the_page_quotes_what_is_printed(newcomer):
    """Every line that the page shows as printed is in the output of the command above it."""
    lines = [(str(block), line) for block in newcomer.outputs for line in quoted(block)]
    printed = {str(block): output for block, (_, output) in newcomer.outputs.items()}
    assert [(block, line) for block, line in lines if line not in printed[block]] == []
    assert len(lines) > 6


@pytest.mark.long
def test_the_page_shows_the_line_of_the_sandbox(newcomer):
    """The connection that the page types is the one that the sandbox prints."""
    (typed,) = [block.code for block in BLOCKS if block.code.startswith("export AIRFLOW_CONN_CLOSE_DEFAULT")]
    assert typed in newcomer.announced


@pytest.mark.long
def test_the_values_are_in_the_crm(newcomer):
    """One write for each of the three deals, and none for the deal that there is not."""
    written = [(write["record_id"], write["fields"]) for write in newcomer.audit["writes"]]
    assert written == [
        ("oppo_sandbox000001", {"value": 1_250_050}),
        ("oppo_sandbox000002", {"value": 80_000, "date_won": "2026-11-29"}),
        ("oppo_sandbox000003", {"value": 50_000}),
    ]
