"""Code blocks of the pages: Python compiles against the package, commands parse, connections and JSON are valid."""

from __future__ import annotations

import ast
import configparser
import inspect
import json
import re
import shlex
import subprocess
from importlib import import_module

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.database import Database
from airflow_provider_crm.guardrails import Guardrails
from airflow_provider_crm.hooks.connection import account_of, read_connection
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator
from airflow_provider_crm.provider_info import get_provider_info
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator
from airflow_provider_crm.vendors import VENDORS
from tests.docs.pages import DOCS, PAGES, ROOT, all_blocks, blocks_of
from tests.outside_vendor.quotes import quoted

BLOCKS = [block for block in all_blocks() if block.page != "write-a-vendor.md"]  # quoted from files that are run
OPERATORS = {
    one.__name__: one
    for one in (
        UpdateOpportunityOperator,
        PlanOpportunityUpdatesOperator,
        RevertOpportunityUpdatesOperator,
        SqlToOpportunityOperator,
        Guardrails,
    )
}
RUN_ELSEWHERE = {
    "README.md": "the demo and the tests are run by .ci/run, the DAG by tests/docs/test_readme.py",
    "quickstart.md": "typed by tests/docs/test_quickstart.py",
    "operations.md": "typed by tests/docs/test_operations.py",
    "hubspot.md": "typed by tests/test_hubspot_page.py",
    "salesforce.md": "needs the reader's org; tests/vendors/salesforce test its connection and its rows in the sandbox",
}
NOT_RUN = {
    "CONTRIBUTING.md": {"git clone": "needs the reader's fork"},
    "benchmarks.md": {"python tests/benchmarks": "takes half an hour"},
    "cli.md": {"airflow crm drift": "needs an account; tests/commands/test_drift.py has one of each vendor"},
    "close.md": {"export AIRFLOW_CONN": "needs the reader's key; the connection is read by a test below"},
    "connections.md": {
        "export AIRFLOW_CONN": "needs the reader's keys; the connections are read by a test below",
        "AIRFLOW__CORE__TEST_CONNECTION": "needs the reader's key; tests/test_hubspot_page.py runs it in the sandbox",
        "airflow crm account confirm": "needs two keys of one organization; tests/operators/test_accounts.py has them",
    },
    "demo.md": {"python3 -m venv": "the same commands as in the README, which .ci/run runs"},
    "ledger.md": {
        "export AIRFLOW_CONN_CRM_LEDGER": "needs the reader's database",
        "airflow crm fence clear": "needs a wrong data time; tests/operators/test_clear_fence.py makes one",
    },
    "raze.md": {"export AIRFLOW_CONN": "needs the reader's key; the connection is read by a test below"},
    "testing.md": {
        "python -m airflow_provider_crm.sandbox": "serves until it is stopped; the quickstart's test runs it"
    },
    "time-zones.md": {"airflow dags unpause": "needs a scheduler; tests/system/test_backfill_scheduler.py has one"},
    "upgrading.md": {"pip install": "changes the environment; .ci/matrix installs the package in each way"},
}
"""Blocks for a shell that no test runs as they stand, by their beginning, and why."""


def of(*languages):
    """Return the blocks in these languages."""
    return pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in languages], ids=str)


def test_every_fence_is_a_blocks():
    """No block is indented: nothing here would read it."""
    assert [page.name for page in PAGES if re.search(r"^ +```", page.read_text("utf-8"), re.MULTILINE)] == []


def test_languages_are_known():
    """Each block names a language that a test reads, or none for what a program prints."""
    read_by_tests = {"python", "bash", "json", "sql", "ini", "console"}  # tests/commands reads those of a console
    assert {block.language for block in BLOCKS} <= {*read_by_tests, "text", ""}


@of("python")
def test_python_compiles(block):
    """Each block is whole statements, and each name that it imports from the package is there."""
    for node in ast.walk(ast.parse(block.code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("airflow"):
            module = import_module(node.module)
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize("block", [one for one in BLOCKS if (one.reference or "").startswith("example_dags/")], ids=str)
def test_quotes_of_examples_are_theirs(block):
    """A block that quotes an example DAG, which runs as a test, is as it stands there."""
    assert block.code == quoted(block.reference, ROOT)


@of("python")
def test_arguments_are_those_of_the_operators(block):
    """Each operator and guardrail is called with arguments that it has."""
    for call in (node for node in ast.walk(ast.parse(block.code)) if isinstance(node, ast.Call)):
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        if name in OPERATORS:
            known = {
                parameter
                for base in OPERATORS[name].__mro__
                if base is not object
                for parameter in inspect.signature(base.__init__).parameters
            }
            assert {keyword.arg for keyword in call.keywords} <= known


@of("bash")
def test_commands_are_a_shells(block):
    """Each block is well-formed for bash."""
    done = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@of("bash")
def test_airflow_knows_the_commands(block):
    """Each command of Airflow has the words and flags that its parser takes."""
    from airflow.cli.cli_parser import get_parser

    for line in block.code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True) if line.lstrip().startswith(("airflow ", "AIRFLOW")) else []
        if "airflow" in words:
            get_parser().parse_args(words[words.index("airflow") + 1 :])


@of("bash")
def test_each_block_for_a_shell_is_run_or_named(block):
    """A block is run by a test, or is named above with the reason why it is not."""
    if block.page not in RUN_ELSEWHERE:
        assert [start for start in NOT_RUN.get(block.page, {}) if block.code.startswith(start)] != []


def test_no_name_is_stale():
    """Each beginning that is named above is that of a block."""
    codes = {page: [block.code for block in BLOCKS if block.page == page] for page in NOT_RUN}
    named = [(page, start) for page, starts in NOT_RUN.items() for start in starts]
    assert [(page, start) for page, start in named if not any(code.startswith(start) for code in codes[page])] == []


@of("json")
def test_json_is_valid(block):
    """Each block is one JSON value."""
    json.loads(block.code)


@of("ini")
def test_settings_are_known(block):
    """Each block of settings can be read as such, and has options that the provider info lists."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(block.code)
    assert {*parser["crm"]} <= {*get_provider_info()["config"]["crm"]["options"]}


CONNECTIONS = sorted({text for page in PAGES for text in re.findall(r"\{\"conn_type\": .*\}", page.read_text("utf-8"))})


@pytest.mark.parametrize("text", [text for text in CONNECTIONS if json.loads(text)["conn_type"] in VENDORS])
def test_each_connection_is_one(text, monkeypatch):
    """Nothing in a connection of the pages is missing or unknown."""
    monkeypatch.setenv("AIRFLOW_CONN_ON_THE_PAGE", text)
    vendor = VENDORS[json.loads(text)["conn_type"]]
    assert account_of(read_connection("on_the_page"), vendor).origin.startswith("http")


@pytest.mark.parametrize("block", [one for one in blocks_of(DOCS / "ledger.md") if one.language == "sql"], ids=str)
def test_queries_run_on_the_ledger(block, any_database):
    """Each query of the page runs on the tables, in SQLite and in PostgreSQL."""
    engine = sa.create_engine(any_database)
    Database(engine).open()
    with engine.connect() as connection:
        for query in filter(str.strip, block.code.split(";\n")):
            assert connection.exec_driver_sql(query.rstrip(";\n")).all() == []
    engine.dispose()
