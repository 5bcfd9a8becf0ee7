"""The page about the command line shows what the commands print, on a month of syncs and the sandbox."""

from __future__ import annotations

import itertools
import json
import re

import pytest

from airflow_provider_crm.cli import get_crm_commands
from airflow_provider_crm.database.database import Database
from tests.docs.pages import DOCS, blocks_of, text_of
from tests.ui.month import Month, add_to_airflow

from .command_line import run_command
from .test_declarations import words_of

PAGE = "cli.md"
PROMPT = "$ airflow "
SAME = ("crm runs", "crm record", "crm plan", "crm fence", "crm account")
"""The commands whose output does not depend on the time and the machine."""


@pytest.fixture
def set_up(airflow_db, tmp_path, define, crm_sandbox, monkeypatch):
    """The ledger of a month, whose Dags Airflow knows, and connections to the sandbox."""
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    with create_session() as session:
        session.merge(DagBundleModel(name="bundle_of_the_page"))
    database = Database.at(f"sqlite:///{tmp_path / 'crm_ledger.db'}")
    database.open()
    month = Month()
    month.write(database.engine)
    database.close()
    add_to_airflow(month, "bundle_of_the_page")
    define("wrong_key", conn_type="close", password="api_wrong", host=crm_sandbox.url)


def outputs(monkeypatch):
    """Run the commands of the page in their order; yields each command, what the page shows, and what it prints."""
    for block in blocks_of(DOCS / PAGE):
        if block.language != "console":
            continue
        command, _, shown = block.code.partition("\n")
        words = command.removeprefix(PROMPT).split()
        with monkeypatch.context() as patch:
            if "wrong_key" in words:
                patch.setenv("AIRFLOW__CRM__LEDGER_CON_ID", "crm_ledger")
            ended = run_command(*words)
        yield command.removeprefix(PROMPT), shown, ended


def lines(text):
    """The lines of a text without what pads them."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def cells(line):
    """The cells of a line of a table."""
    return [cell.strip() for cell in line.split("|")]


def is_ruler(line):
    """Whether it is the line below the names of the columns."""
    return set(line) <= set("=+")


def shape(text):
    """What stays the same on every machine: keys of JSON, columns of tables, titles, checks and their states."""
    if text.lstrip().startswith(("{", "[")):
        return keys_of(json.loads(text))
    found = lines(text)
    columns = [cells(line) for line, below in itertools.pairwise(found) if is_ruler(below)]
    titles = [re.sub(r"\d", "0", line) for line in found if "|" not in line and not is_ruler(line)]
    checks = [cells(line)[:2] for line in found if "|" in line and cells(line)[0]]
    return columns, titles, checks if columns and columns[0][0] == "check" else None


def keys_of(content):
    """The keys of JSON at every depth."""
    if isinstance(content, dict):
        return {key: keys_of(value) for key, value in content.items()}
    return [keys_of(content[0])] if isinstance(content, list) and content else None


def test_the_page_shows_what_the_commands_print(set_up, monkeypatch):
    """To the letter where the output depends on the ledger only, else its shape."""
    ran = []
    for command, shown, ended in outputs(monkeypatch):
        assert ended.message == "", command
        if command.startswith(SAME) and "json" not in command:
            assert lines(ended.out) == lines(shown), command
        assert shape(ended.out) == shape(shown), command
        ran.append(command)
    assert len(ran) > len(SAME)


def test_each_command_of_the_page_has_a_section():
    """The first table names commands that there are; each has a section here, or a page of its own."""
    text = text_of(PAGE)
    known = {" ".join(words[1:]) for words, _ in words_of(get_crm_commands())}
    listed = re.findall(r"^\| \[`([^`]+)`\]\(([^)]+)\) \|", text, re.MULTILINE)
    assert len(listed) >= len(SAME)
    for name, link in listed:
        assert name in known
        assert f"\n## {name}\n" in text or not link.startswith("#")
