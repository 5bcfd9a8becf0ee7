"""For every code that the package can give a row there is a sentence that says what to do."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import airflow_provider_crm
from airflow_provider_crm.exceptions import CrmError
from airflow_provider_crm.report.cures import CURES, cure

PACKAGE = Path(airflow_provider_crm.__file__).parent
PARTS = (
    "exceptions.py", "budget", "client", "guardrails", "hooks", "ledger", "plan", "push", "rows", "sync", "values",
    "vendors",
)  # fmt: skip
NO_CODES = {
    "methods of HTTP": {"DELETE", "GET", "PATCH", "POST", "PUT"},
    "statements of SQL": {"BEGIN", "COMMIT"},
    "environment variables": {"AIRFLOW_HOME", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"},
    "clocks": {"DST", "UTC"},
    "names of limits": {"DAILY", "SECONDLY"},
    "names that modules export": {"API_VERSION", "GROUP", "VENDOR", "VENDORS"},
    "the beginning of a code with a status": {"HTTP_"},
    "of signed tokens": {"JWT", "RS256"},
    "of the vendors' languages": {"IN", "FALSE"},
    "digits of a checksum": {"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"},
}
_CURRENCY = re.compile(r"[A-Z]{3}")
_WORD = re.compile(r"[A-Z][A-Z0-9_]+")


def words_of(path):
    """Return the texts of a module that are written like codes, without the currencies in collections of them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    currencies = {
        id(item)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Set, ast.List, ast.Tuple, ast.Dict))
        for item in (node.keys if isinstance(node, ast.Dict) else node.elts)
        if isinstance(item, ast.Constant) and isinstance(item.value, str) and _CURRENCY.fullmatch(item.value)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _WORD.fullmatch(node.value)
        if id(node) not in currencies
    }


def codes():
    """Return every code in the source of the parts that end rows, by its module."""
    apart = set().union(*NO_CODES.values())
    files = [file for part in PARTS for file in ([PACKAGE / part] if "." in part else (PACKAGE / part).rglob("*.py"))]
    return {
        word: str(file.relative_to(PACKAGE))
        for file in sorted(files)
        for word in sorted(words_of(file))
        if word not in apart
    }


def test_every_code_of_the_package_has_a_cure():
    """A text that is written like a code is one that `CURES` explains, or is listed above as something else."""
    found = codes()
    assert len(found) > 80
    assert {word: module for word, module in found.items() if word not in CURES} == {}


def test_no_cure_is_for_a_code_that_is_gone():
    """Each code that is explained stands in the source."""
    assert CURES.keys() - codes().keys() == set()


def test_every_error_class_has_a_code_with_a_cure():
    """A class with a code of its own has a sentence for it."""
    classes = [CrmError]
    for one in classes:
        classes += one.__subclasses__()
    assert [one.default_code for one in classes if one.default_code and one.default_code not in CURES] == []


@pytest.mark.parametrize("code", [*CURES, "HTTP_401", "HTTP_418", "HTTP_503", "", "A_VENDORS_OWN"])
def test_a_cure_is_one_or_two_short_sentences(code):
    """Whatever the code, a person reads in at most 30 words what to do."""
    text = cure(code)
    assert text.endswith(".")
    assert len(text.split()) <= 30


def test_a_status_of_the_vendor_is_explained_by_its_class():
    """A failing server needs a retry, a refused key a new one, a missing record another id."""
    assert "retry" in cure("HTTP_502")
    assert "connection" in cure("HTTP_401")
    assert cure("HTTP_404") == cure("NOT_FOUND")
    assert cure("HTTP_422") == cure("A_VENDORS_OWN")
