"""Each vendor's `FACTS.md` is true of the tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS = HERE.parent
TABLES = {path.parent.name: path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*/FACTS.md"))}
MARK = r"\| (documented|recorded|open) \| `[\w/]+\.py::\w+`"

pytestmark = pytest.mark.parametrize("vendor", list(TABLES))


def named_in(vendor):
    """Return the tests that a table names."""
    return set(re.findall(r"`([\w/]+\.py::\w+)`", TABLES[vendor]))


def names_in(module):
    """Return the names of a module's tests, as the tables write them."""
    tree = ast.parse((TESTS / module).read_text(encoding="utf-8"))
    return {f"{module}::{node.name}" for node in tree.body if getattr(node, "name", "").startswith("test_")}


def test_named_tests_exist(vendor):
    """Every test that the table names exists."""
    named = named_in(vendor)
    assert named - set().union(*(names_in(name.partition("::")[0]) for name in named)) == set()


def test_no_test_of_a_fact_is_missing(vendor):
    """Every test that shows the adapter where facts are open is in the table."""
    modules = [f"vendors/{vendor}/{path.name}" for path in (HERE / vendor).glob("test_facts.py")]
    assert set().union(*map(names_in, modules)) - named_in(vendor) == set()


def test_every_fact_has_its_source_and_a_test(vendor):
    """Each row says where its fact is known from, and names a test."""
    rows = [line for line in TABLES[vendor].splitlines() if line.startswith("| ") and not line.startswith("| fact")]
    assert [row for row in rows if not re.search(MARK, row)] == []
    assert len(rows) > 40
