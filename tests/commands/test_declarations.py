"""What `cli` declares is there, and costs Airflow's command line next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from airflow.cli.cli_config import ActionCommand, GroupCommand

from airflow_provider_crm.cli import get_crm_commands
from tests.commands.command_line import run_command


def words_of(commands, before=()):
    """The words of each command, and its function."""
    for command in commands:
        if isinstance(command, GroupCommand):
            yield from words_of(command.subcommands, (*before, command.name))
        else:
            assert isinstance(command, ActionCommand)
            yield (*before, command.name), command.func


COMMANDS = dict(words_of(get_crm_commands()))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_declared_command_has_its_function(words):
    """A command's module can be imported and has the function; Airflow's parser knows the command by its words."""
    with pytest.raises((TypeError, ValueError), match=r"positional argument|Args should be set"):
        COMMANDS[words]()
    ended = run_command(*words, "--help")
    assert (ended.code, words[-1] in ended.out) == (0, True)


def test_the_declarations_load_nothing_that_costs_time():
    """`airflow` imports them at each start: no command, no library of a command and no vendor comes with them."""
    code = """
import sys, json
import airflow.cli.cli_config
known = set(sys.modules)
from airflow_provider_crm.cli import get_crm_commands
get_crm_commands()
print(json.dumps(sorted(set(sys.modules) - known)))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    found = [name for name in json.loads(done.stdout.splitlines()[-1]) if name.startswith("airflow_provider_crm")]
    assert set(found) <= {"airflow_provider_crm", "airflow_provider_crm.cli"}
