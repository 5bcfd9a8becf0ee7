"""Quote the files of Acme in the manual: `python -m tests.outside_vendor.quotes` brings its code blocks up to date.

A block follows a comment that says what it quotes: `<!-- code: acme_crm/vendor.py -->` for a whole file, or
`<!-- code: acme_crm/vendor.py # FIELDS, Acme.probe -->` for functions, methods, classes and assigned names of it, and
`Acme:head` for a class up to its first method.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from textwrap import dedent

from tests.outside_vendor.distributions import ACME

MANUAL = Path(__file__).parents[2] / "docs" / "write-a-vendor.md"
BLOCK = re.compile(
    r"^(?:<!-- code: (?P<reference>[^\n]+?) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


def quoted(reference, folder=ACME):
    """Return the text that a reference stands for; its path begins in the folder."""
    path, _, names = reference.partition(" # ")
    text = (folder / path).read_text(encoding="utf-8")
    if not names:
        return text
    parts = [_part(text, name) for name in names.split(", ")]
    return "\n\n".join(parts)


def _part(text, name):
    """Return the lines of one name in a file, without their indentation."""
    name, _, head = name.partition(":")
    body, node = ast.parse(text).body, None
    for word in name.split("."):
        (node,) = [one for one in body if word in _names(one)]
        body = getattr(node, "body", [])
    end = node.end_lineno
    if head:
        end = max(one.end_lineno for one in body if not isinstance(one, ast.FunctionDef))
    start = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
    return dedent("".join(text.splitlines(keepends=True)[start - 1 : end]))


def _names(node):
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return (node.name,)
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return tuple(target.id for target in targets if isinstance(target, ast.Name))


def renewed(text):
    """Return a manual whose blocks are what they quote."""

    def block(found):
        if found["reference"] is None:
            return found[0]
        return f"<!-- code: {found['reference']} -->\n```{found['language']}\n{quoted(found['reference'])}```"

    return BLOCK.sub(block, text)


if __name__ == "__main__":
    MANUAL.write_text(renewed(MANUAL.read_text(encoding="utf-8")), encoding="utf-8")
