"""Hide the values of some fields: name those fields, and remove their values from a vendor's text.

A field is hidden if the vendor's adapter calls it personal, or if `[crm] ledger_hash_fields` names it. The catalogue
marks both as `personal`, so that one flag says whether a value may be shown. A vendor that refuses a value often
repeats it; the value is removed from the answer before an error is built from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from airflow_provider_crm.values.opportunity import Field

HIDDEN = "(hidden)"
_PIECE = 6
_LONGEST = 100_000
_NUMBER = re.compile(r"[+-]?\d[\d,]*(?:\.\d+)?", re.ASCII)
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)
_CENTS = 100


def named_keys(names: frozenset[str], fields: Mapping[str, Field]) -> frozenset[str]:
    """Return the vendor's keys of some fields under any of their names, also keys that write a part of a list.

    Args:
        names: Canonical names, or the vendor's own.
        fields: The account's catalogue.
    """
    known = (
        field.target
        for name, field in fields.items()
        if name in names or (field.partial and name.rpartition(".")[0] in names)
    )
    return names.union(known)


def with_hidden(fields: Mapping[str, Field], names: frozenset[str]) -> Mapping[str, Field]:
    """Return the fields with the named ones marked as personal, under all of their names."""
    if not names:
        return fields
    keys = named_keys(names, fields)
    return {name: replace(field, personal=True) if field.target in keys else field for name, field in fields.items()}


def hidden_keys(fields: Mapping[str, Field]) -> frozenset[str]:
    """Return the vendor's keys of all hidden fields."""
    return frozenset(key for field in fields.values() if field.personal for key in field.keys)


def sent_values(body: str | None, keys: frozenset[str]) -> tuple[object, ...]:
    """Return the values of some keys in the JSON body of a call."""
    return tuple(_values_of(json.loads(body), keys)) if body is not None and keys else ()


def _values_of(sent: object, keys: frozenset[str]) -> Iterator[object]:
    """Yield the values of some keys, however deep they stand."""
    if isinstance(sent, dict):
        for key, value in sent.items():
            if key in keys:
                yield value
            else:
                yield from _values_of(value, keys)
    elif isinstance(sent, list):
        for item in sent:
            yield from _values_of(item, keys)


def without_values(text: str, values: Iterable[object]) -> str:
    """Remove every repetition of some values from a vendor's text.

    A text is also found where it was cut or is written in another case or as JSON; a number where it is written with
    separators, or in cents.

    Args:
        text: The vendor's text.
        values: Values as they were sent.
    """
    covered = [False] * len(text)
    for value in _single(values):
        for start, end in _repetitions(text, value):
            covered[start:end] = [True] * (end - start)
    return "".join(_joined(text, covered)) if any(covered) else text


def _single(values: Iterable[object]) -> Iterator[str | Decimal]:
    """Yield each value by itself, without booleans and None, which reveal nothing."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _single(value)
        elif isinstance(value, str):
            yield value[:_LONGEST]
            if _PLAIN_NUMBER.fullmatch(value.strip()):
                yield Decimal(value.strip())
        elif isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
            yield Decimal(str(value))


def _repetitions(text: str, value: str | Decimal) -> Iterator[tuple[int, int]]:
    if isinstance(value, str):
        forms = {value, " ".join(value.split()), json.dumps(value)[1:-1], repr(value)[1:-1]}
        for form in forms - {""}:
            yield from _text_repetitions(_lower(text), _lower(form))
        return
    amounts = {value, value * _CENTS, value / _CENTS}
    for match in _NUMBER.finditer(text):
        if Decimal(match[0].replace(",", "")) in amounts:
            yield match.span()


def _text_repetitions(text: str, form: str) -> Iterator[tuple[int, int]]:
    """Find where a text repeats another: a short one as a word, a long one piece by piece."""
    if len(form) < _PIECE:
        yield from (match.span() for match in re.finditer(rf"(?<!\w){re.escape(form)}(?!\w)", text))
        return
    pieces = {form[start : start + _PIECE] for start in range(len(form) - _PIECE + 1)}
    for start in range(len(text) - _PIECE + 1):
        if text[start : start + _PIECE] in pieces:
            yield start, start + _PIECE


def _lower(text: str) -> str:
    """Return the text in lower case, every letter where it was: a few letters have two in lower case."""
    return "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)


def _joined(text: str, covered: list[bool]) -> Iterator[str]:
    for index, letter in enumerate(text):
        if not covered[index]:
            yield letter
        elif index == 0 or not covered[index - 1]:
            yield HIDDEN
