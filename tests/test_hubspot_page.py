"""A user's first hour with HubSpot: the blocks of the page in their order, against the sandbox, to a green run."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import sqlite3
import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pytest
import requests

from airflow_provider_crm.hooks.connection import account_of, read_connection
from airflow_provider_crm.sandbox.hubspot.tokens import ALL_SCOPES
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import COMMON_EXTRA
from tests.background import background
from tests.outside_vendor.quotes import BLOCK

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "hubspot.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = list(BLOCK.finditer(TEXT))
CONNECTION, WAREHOUSE = "AIRFLOW_CONN_HUBSPOT_DEFAULT", "AIRFLOW_CONN_WAREHOUSE"
# Loads Airflow once for all commands; each runs in a process of its own, as in a shell.
_AIRFLOW = """
import json, os, sys
from airflow.cli.cli_parser import get_parser
from airflow.sdk.execution_time.supervisor import in_process_api_server
import airflow.cli.commands.connection_command, airflow.cli.commands.dag_command
import airflow.dag_processing.bundles.manager, airflow.dag_processing.dagbag
import airflow_provider_crm.sync.row_run, airflow_provider_crm.transfers.sql_to_opportunity
in_process_api_server().app
for line in sys.stdin:
    step = json.loads(line)
    child = os.fork()
    if not child:
        output = os.open(step["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1), os.dup2(output, 2)
        os.environ.update(step["environment"])
        arguments = get_parser().parse_args(step["words"])
        arguments.func(arguments)
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Step:
    """A command of Airflow that was typed: its exit status, its output, and the number of writes to the CRM so far."""

    command: str
    status: int
    output: str
    writes: int


class Reader:
    """A reader of the page, who follows it in an Airflow home.

    Args:
        home: The home, with the tables of Airflow.
    """

    def __init__(self, home):
        self.steps = []
        self._home = home
        self._dags = home / "dags"
        self._dags.mkdir()
        self._announced = {}
        inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith("AIRFLOW")}
        self._environment = inherited | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self._dags),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
        }

    def follow(self):
        """Save each file, run each query, and type each command, as they come."""
        with ExitStack() as running:
            airflow = running.enter_context(self._started("-c", _AIRFLOW))
            for block in BLOCKS:
                if block["reference"]:
                    (self._dags / block["reference"]).write_text(block["code"])
                elif block["language"] == "sql":
                    self._query(block["code"])
                elif block["language"] == "bash":
                    for line in block["code"].splitlines():
                        self._type(shlex.split(line), airflow, running)

    def _type(self, words, airflow, running):
        if words[0] == "python":
            sandbox = running.enter_context(self._started(*words[1:], "--port", "0"))
            sandbox.stdout.readline()  # where it is
            exports = takewhile(lambda line: line.startswith("export "), sandbox.stdout)
            self._announced = dict(shlex.split(line)[1].split("=", 1) for line in exports)
        elif words[0] == "export":
            name, _, value = words[1].partition("=")
            # The page says that the sandbox's own line takes the place of the one for an account.
            self._environment[name] = self._announced.get(name, value.replace("/tmp/", f"{self._home}/"))
        else:
            self.steps.append(self._run(words, airflow))

    def _query(self, code):
        with closing(sqlite3.connect(json.loads(self._environment[WAREHOUSE])["host"])) as warehouse:
            warehouse.executescript(code)

    def _run(self, words, airflow):
        at, output = words.index("airflow"), self._home / "output.txt"
        environment = self._environment | dict(word.split("=", 1) for word in words[:at])
        step = {"words": words[at + 1 :], "environment": environment, "output": str(output)}
        airflow.stdin.write(json.dumps(step) + "\n")
        airflow.stdin.flush()
        status = int(airflow.stdout.readline())
        return Step(shlex.join(words), status, output.read_text(errors="replace"), self._writes())

    def _writes(self):
        url = json.loads(self._environment[CONNECTION])["host"]
        return len(requests.get(f"{url}/sandbox/audit", timeout=10).json()["writes"])

    def _started(self, *arguments):
        """Run Python in the background, as long as the context lasts."""
        return background([sys.executable, *arguments], self._home, self._environment)


@pytest.fixture(scope="module")
def steps(tmp_path_factory, airflow_db):
    """What each command of the page did."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(airflow_db, home / "airflow.db")
    reader = Reader(home)
    reader.follow()
    return reader.steps


@pytest.mark.long
def test_the_page_leads_to_a_green_run(steps):
    """The connection works, the first DAG writes its deal once, and the scores land; one run is to fail."""
    assert [(step.command.split()[-2:], step.status) for step in steps] == [
        (["test", "hubspot_default"], 0),
        (["test", "hubspot_first"], 0),
        (["test", "hubspot_first"], 0),
        (["hubspot_scores", "2026-11-29T05:00:00"], 1),
        (["hubspot_scores", "2026-11-29T05:00:00"], 0),
    ], "\n".join(step.output[-3000:] for step in steps)
    assert "Connection success!" in steps[0].output
    assert [step.writes for step in steps] == [0, 1, 1, 3, 3]


@pytest.mark.long
def test_the_page_quotes_what_the_failed_run_says(steps):
    """The reason of the reject stands on the page as the log has it."""
    (quoted,) = [block["code"] for block in BLOCKS if not block["language"]]
    for line in quoted.splitlines():
        assert line in steps[3].output


def test_the_page_quotes_the_example():
    """The DAG for the scores is that of the example, from its imports on."""
    source = (ROOT / "example_dags" / "hubspot_scores.py").read_text(encoding="utf-8")
    code = "".join(source.splitlines(keepends=True)[ast.parse(source).body[1].lineno - 1 :])
    assert [block["code"] for block in BLOCKS if block["reference"] == "hubspot_scores.py"] == [code]


@pytest.mark.parametrize("text", re.findall(r"\{\"conn_type\": \"hubspot\".*\}", TEXT))
def test_each_connection_of_the_page_is_one(text, monkeypatch):
    """Nothing in it is missing or unknown."""
    monkeypatch.setenv("AIRFLOW_CONN_ON_THE_PAGE", text)
    account = account_of(read_connection("on_the_page"), VENDORS["hubspot"])
    assert account.origin == "https://api.hubapi.com"


def test_the_page_names_what_there_is():
    """Its tables have each key of the extra, each canonical field with its property, and each scope."""
    vendor = VENDORS["hubspot"]
    named = set(re.findall(r"`([\w.]+)`", TEXT))
    assert {*vendor.extra, *COMMON_EXTRA, *ALL_SCOPES} - named - {"account", "access_token"} == set()
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)`", TEXT, re.MULTILINE)
    canonical = {"deal_value", "deal_currency", "stage", "date_won", "notes", "responsible_user_id"}
    fields = {field.name: field.target for field in vendor.documented_fields if field.name in canonical}
    assert fields.items() <= dict(rows).items()


def test_links_lead_somewhere():
    """Links to files are relative and lead to files, and to headings in them."""
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        name, _, anchor = target.partition("#")
        file = PAGE.parent / name if name else PAGE
        assert file.exists(), target
        headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, target


def test_the_page_is_short():
    """It is read in one go."""
    assert PAGE.stat().st_size <= 10_000
