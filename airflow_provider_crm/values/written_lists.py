"""Read lists that drivers and files write as text: PostgreSQL's array literals and JSON."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import NoReturn

# PostgreSQL quotes items for ASCII's spaces alone: any other, such as a no-break space, may stand in a plain item.
_POSTGRES_ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"|([^ \t\n\r\v\f,"\\{}]+)', re.DOTALL)
_POSTGRES_BOUNDS = re.compile(r"\[-?\d+:-?\d+\]=", re.ASCII)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
# Text by str() of a Python, numpy or Spark list, or PostgreSQL's text of a row: no two readers agree on its quotes.
_PRINTED = re.compile(r"\(.*[,'\"].*\)|(array|set|frozenset|list|tuple|deque|Wrapped\w*)\s*\(.*\)", re.DOTALL)
_BRACKETS = {"[": "]", "{": "}"}


def is_written_list(text: str) -> bool:
    """Return whether a text is, or looks like, a list that was written as text."""
    text = _without_bounds(text.strip())
    return _BRACKETS.get(text[:1]) == text[-1:] != "" or bool(_PRINTED.fullmatch(text))


def read_list(text: str) -> list[object] | None:
    """Read a list that was written as text.

    Args:
        text: `{a,"b c",NULL}` as PostgreSQL writes an array of one dimension, or a JSON array.

    Returns:
        The items, None for a null among them; None if the text is no list, and so is one value.

    Raises:
        ValueError: The text looks like a list, and is not written in either way.
    """
    if not is_written_list(text):
        return None
    text = _without_bounds(text.strip())
    if text.startswith("["):
        return _json_items(text)
    if text.startswith("{"):
        return _postgres_items(text)
    msg = "as Python prints it"
    raise ValueError(msg)


def _without_bounds(text: str) -> str:
    """Drop `[2:3]=`, which PostgreSQL writes before an array that does not begin at 1."""
    bounds = _POSTGRES_BOUNDS.match(text)
    return text if bounds is None else text[bounds.end() :]


def _json_items(text: str) -> list[object]:
    try:
        items = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError, RecursionError) as err:
        msg = "that is not JSON"
        raise ValueError(msg) from err
    if not isinstance(items, list):
        raise TypeError(text[:1])
    return items


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _postgres_items(text: str) -> list[object]:
    """Read an array literal, strictly as the server writes it: it quotes every item that could be misread."""
    items: list[object] = []
    position, end = 1, len(text) - 1
    if end == 1:
        return items
    while True:
        item = _POSTGRES_ITEM.match(text, position, end)
        if item is None:
            break
        quoted, plain = item.groups()
        items.append(_plain_item(plain) if quoted is None else _ESCAPE.sub(r"\1", quoted))
        position = item.end()
        if position == end:
            return items
        if text[position] != ",":
            break
        position += 1
    msg = "of several dimensions" if text.startswith("{{") else "that is neither PostgreSQL's nor JSON"
    raise ValueError(msg)


def _plain_item(text: str) -> str | None:
    """Read an item without quotes; single quotes (`'a'`) occur in the text of a Python set."""
    if len(text) > 1 and text[0] == text[-1] == "'":
        msg = "as Python prints it"
        raise ValueError(msg)
    return None if text.upper() == "NULL" else text
