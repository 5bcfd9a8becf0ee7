"""The manual about vendors says what is: its code, the names that it promises, the members that it lists, its links."""

from __future__ import annotations

import ast
import re
from importlib import import_module

import pytest

from airflow_provider_crm.sandbox.installed import GROUP as SANDBOX_GROUP
from airflow_provider_crm.vendors import API_VERSION, GROUP
from airflow_provider_crm.vendors.protocol import Vendor
from tests.outside_vendor.distributions import ACME
from tests.outside_vendor.quotes import BLOCK, MANUAL, quoted

TEXT = MANUAL.read_text(encoding="utf-8")
BLOCKS = list(BLOCK.finditer(TEXT))
ROW = re.compile(r"^\| `(?P<module>airflow_provider_crm[\w.]*)` \| (?P<names>.*) \|$", re.MULTILINE)
PROMISED = {row["module"]: set(re.findall(r"`(\w+)`", row["names"])) for row in ROW.finditer(TEXT)}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block["reference"] or block["code"].split("\n")[0])
def test_code_is_quoted_from_the_distribution(block):
    """Every block of code is that of the file, byte for byte; only commands of a shell stand for themselves."""
    if block["reference"] is None:
        assert block["language"] == "bash"
    else:
        assert block["code"] == quoted(block["reference"])


def test_all_of_the_vendor_is_shown():
    """Each method of Acme, and each of its files but the sandbox, is quoted."""
    quotes = ", ".join(block["reference"] or "" for block in BLOCKS)
    shown = {*re.findall(r"Acme\.(\w+)", quotes)}
    assert shown == {name for name in vars(Vendor) if not name.startswith("_")} - {*Vendor.__annotations__}
    files = {str(path.relative_to(ACME)) for path in ACME.rglob("*.*") if path.suffix in (".py", ".toml")}
    assert {one for one in files if one not in quotes} == {"acme_crm/__init__.py"}


def test_every_promised_name_is_there():
    """Each name of the table can be imported from its module."""
    missing = [(module, name) for module, names in PROMISED.items() for name in names if not _has(module, name)]
    assert missing == []


def _has(module, name):
    return hasattr(import_module(module), name)


def test_acme_imports_only_what_is_promised():
    """A vendor needs nothing beyond the table: whatever Acme imports is in it."""
    imported = {
        (node.module, alias.name)
        for path in (*(ACME / "acme_crm").glob("*.py"), *(ACME / "tests").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("airflow_provider_crm")
        for alias in node.names
    }
    promised = {(module, name) for module, names in PROMISED.items() for name in names}
    modules = {tuple(module.rsplit(".", 1)) for module in PROMISED}
    assert imported - promised - modules == set()
    assert imported


def test_the_api_version_is_stated():
    """The number stands in the text, in the example, and in the rule about it."""
    assert re.findall(r"This is API version (\d+)\.", TEXT) == [str(API_VERSION)]
    assert set(re.findall(r"api_version = (\d+)", TEXT)) == {str(API_VERSION)}
    assert all(f"`{group}`" in TEXT for group in (GROUP, SANDBOX_GROUP))


def test_every_member_is_explained():
    """The tables of members have each attribute and method of the protocol."""
    tables = TEXT.partition("## All members of a vendor")[2].partition("\n## ")[0]
    cells = {name for line in tables.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line)}
    members = {*Vendor.__annotations__, *(name for name in vars(Vendor) if not name.startswith("_"))}
    assert members - cells == set()


def test_links_lead_somewhere():
    """Links to files are relative and lead to files; links within the page lead to headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in anchors
        else:
            assert (MANUAL.parent / target).exists(), target
