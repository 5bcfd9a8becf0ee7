"""No part of the core knows a vendor by name: what is true of one vendor stands in `vendors` and `hooks`."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_provider_crm
from airflow_provider_crm.vendors import VENDORS

PACKAGE = Path(airflow_provider_crm.__file__).parent
KNOWING = ("vendors", "hooks", "sandbox", "demo", "example_dags", "provider_info.py")
"""The parts that may know vendors: their files, hooks and sandboxes, what shows them, and the wheel's example DAGs."""
TEXTS = (".html", ".js", ".css", ".mako", ".sql")
VERBS = frozenset({"close"})
"""Vendors whose name is an English word, too."""

# A word of a text or of an identifier in it: `close_default`, `CloseHook`, `CLOSE_KEY`.
_NAME = r"(?<![A-Za-z])(?:(?:{lower}|{title})(?![a-z])|{upper}(?![A-Za-z]))"
# The verb: at the start of a sentence with an object after it, or in lower case as a plain word.
_OBJECT = r"(?= (?:the|a|an|all|it|its|them|this|that|each|every|both)\b)"
_VERB = r"(?:(?<![\w`'\"./:-])(?<!\btype ){lower}(?![\w`'\"/:=]|\.\w|-\w|\()|(?:(?<=^)|(?<=[.:;!?] )){title}{object})"
# The method: called or defined, on anything.
_METHOD = r"(?:(?<=[.\w)\]])\.|(?<=def )){lower}(?=\()"


def names_in_prose(text: str) -> list[str]:
    """Return the words of a text that name a vendor: strings, docstrings, comments and other files."""
    found = []
    for name in VENDORS:
        rest = text
        if name in VERBS:
            rules = {"lower": name, "title": name.title(), "object": _OBJECT}
            rest = re.sub(_VERB.format(**rules), "", rest, flags=re.MULTILINE)
            rest = re.sub(_METHOD.format(**rules), "", rest)
        found += re.findall(_NAME.format(lower=name, title=name.title(), upper=name.upper()), rest)
    return found


def is_name_of_vendor(identifier: str) -> bool:
    """Return whether an identifier has a vendor's name as one of its words; a method may be called `close`."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)
    named = {word.lower() for word in words} & set(VENDORS)
    return bool(named) and not (named <= VERBS and identifier.strip("_") in {*VERBS, "get_close_matches", "will_close"})


def mentions(source: str) -> list[str]:
    """Return what names a vendor in the source of a module, as `line: text`."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        line = token.start[0]
        if token.type == tokenize.NAME and is_name_of_vendor(token.string):
            found.append(f"{line}: {token.string}")
        if token.type == tokenize.COMMENT and names_in_prose(token.string.lstrip("# ")):
            found.append(f"{line}: {token.string}")
    tree = ast.parse(source)
    return found + [f"{line}: {text}" for line, text in (*_strings(tree), *_paths(tree))]


def _strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the texts that name a vendor; the name of a method may be asked for."""
    asked = {
        id(argument)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr")
        for argument in node.args[1:2]
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in asked:
            continue
        if node.value in VENDORS or names_in_prose(node.value):
            yield node.lineno, node.value


def _paths(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the dotted names that lead through a vendor: modules, and attributes of such an attribute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
            modules = [node.value.attr]
        else:
            continue
        yield from ((node.lineno, name) for name in modules if set(name.split(".")) & set(VENDORS))


def core_files() -> list[str]:
    """Return the files of the core, by their path in the package."""
    files = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.suffix in (".py", *TEXTS))
    return sorted(str(path) for path in files if path.parts[0] not in KNOWING)


def test_the_core_knows_no_vendor_by_name():
    """Code, messages, docstrings, comments and pages of the core speak of vendors, and name none of them."""
    files = core_files()
    found = {}
    for name in files:
        text = (PACKAGE / name).read_text(encoding="utf-8")
        found[name] = mentions(text) if name.endswith(".py") else names_in_prose(text)
    assert len(files) > 100
    assert {name: one for name, one in found.items() if one} == {}


@pytest.mark.parametrize(
    "line",
    [
        'if vendor.name == "close": pass',
        "if vendor.name == 'raze': pass",
        'url = "https://api.close.com"',
        'prefix = "close:"',
        'f"{x} of Close"',
        'text = "create one of type close or raze"',
        'text = "a connection of type `close`"',
        'text = "a connection of type close"',
        'conn = "close_default"',
        'name = "CloseHook"',
        '"""Close counts in cents."""',
        '"""Read Close\'s answer."""',
        "# Raze stamps the date",
        "# as Close does",
        "raze_limits = 1",
        "CLOSE = 1",
        "class CloseRules: pass",
        "from airflow_provider_crm.vendors.close import VENDOR",
        "from airflow_provider_crm.vendors import raze",
        "import airflow_provider_crm.hooks.close",
        "key = sandbox.close.api_key",
        "{'close': 1}",
    ],
)
def test_a_planted_name_is_found(line):
    """The rule can fail: it finds each way in which code or prose can know a vendor."""
    assert mentions(line + "\n") != []


@pytest.mark.parametrize(
    "line",
    [
        "self._file.close()",
        "def close(self): pass",
        'close = getattr(items, "close", None)',
        "weakref.finalize(self, self._file.close)",
        "difflib.get_close_matches(name, known)",
        "answer.will_close",
        '"""Close the file, which deletes it."""',
        '"""Open a ledger. Close it at the end."""',
        '"""Name columns, and close matches."""',
        "# Those that are closed; disclosed; a closet; the razed one",
        '"""Call `Session.close()` at the end."""',
    ],
)
def test_the_verb_is_no_name(line):
    """Closing something is no vendor."""
    assert mentions(line + "\n") == []
