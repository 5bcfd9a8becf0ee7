"""`SEEDS.md` is true of the tests of the two vendor documents."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TABLE = (TESTS / "SEEDS.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([\w/]+\.py::\w+)`", TABLE))
MODULES = ("vendors/test_close_document.py", "vendors/test_raze_document.py")


def names_in(module):
    """Return the names of a module's tests, as the table writes them."""
    tree = ast.parse((TESTS / module).read_text(encoding="utf-8"))
    return {f"{module}::{node.name}" for node in tree.body if getattr(node, "name", "").startswith("test_")}


def test_named_tests_exist():
    """Every test that the table names exists."""
    assert NAMED - set().union(*(names_in(name.partition("::")[0]) for name in NAMED)) == set()


@pytest.mark.parametrize("module", MODULES)
def test_no_test_is_missing(module):
    """Every test of the two document modules is named in the table."""
    assert names_in(module) - NAMED == set()


def test_every_statement_has_a_test():
    """No row of the table is without a test."""
    rows = [line for line in TABLE.splitlines() if line.startswith("| ") and not line.startswith("| statement")]
    assert [row for row in rows if not re.search(r"`[\w/]+\.py::\w+`", row)] == []
    assert len(rows) > 60
