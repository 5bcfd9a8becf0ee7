"""`FACTS.md` is true of the tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[2]
TABLE = (Path(__file__).parent / "FACTS.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([\w/]+\.py::\w+)`", TABLE))
ROWS = [line for line in TABLE.splitlines() if line.startswith("| ") and not line.startswith("| fact")]


def names_in(module):
    """Return the names of a module's tests, as the table writes them."""
    tree = ast.parse((TESTS / module).read_text(encoding="utf-8"))
    return {f"{module}::{node.name}" for node in tree.body if getattr(node, "name", "").startswith("test_")}


def test_named_tests_exist():
    """Every test that the table names exists."""
    assert NAMED - set().union(*(names_in(name.partition("::")[0]) for name in NAMED)) == set()


def test_no_test_of_a_fact_is_missing():
    """Every test that shows the adapter where facts are open is named in the table."""
    assert names_in("vendors/hubspot/test_facts.py") - NAMED == set()


def test_every_fact_has_its_source_and_a_test():
    """Each row says where its fact is known from, and names a test."""
    mark = r"\| (documented|recorded|open) \| `[\w/]+\.py::\w+`"
    assert [row for row in ROWS if not re.search(mark, row)] == []
    assert len(ROWS) > 50
