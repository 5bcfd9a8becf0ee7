"""Keep the values of a refused row as its source had them, so that a person sees them beside the reason.

They are texts to read, not values to write again: long ones are cut, and those of personal fields are left out.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from airflow_provider_crm.values.hidden_values import HIDDEN
from airflow_provider_crm.values.opportunity import Field, SourceValue

LONGEST = 80
"""Characters of a value that are kept."""
_CUT = "\N{HORIZONTAL ELLIPSIS}"


class SourceCell(NamedTuple):
    """The field of a column, and the value that a row has there."""

    field: Field
    value: object


def source_values(cells: Iterable[SourceCell], at_fault: Collection[str] = ()) -> tuple[SourceValue, ...]:
    """Return the values of one row as texts.

    Args:
        cells: The mapped fields, in the order of the mapping.
        at_fault: Names of the fields for which the row was refused; these come first.
    """
    found = [SourceValue(cell.field.name, HIDDEN if cell.field.personal else source_text(cell.value)) for cell in cells]
    return tuple(sorted(found, key=lambda one: one.field not in at_fault))


def source_of(
    fields: Mapping[str, object], known: Mapping[str, Field], at_fault: Collection[str] = ()
) -> tuple[SourceValue, ...]:
    """Return the values of an update as texts.

    Args:
        fields: Value by field name.
        known: The account's catalogue, by field name.
        at_fault: Names or keys of the fields for which the row was refused; these come first.
    """
    cells = [SourceCell(known[name], value) for name, value in fields.items()]
    names = {cell.field.name for cell in cells if not {cell.field.name, *cell.field.keys}.isdisjoint(at_fault)}
    return source_values(cells, names)


def source_text(value: object) -> str | None:
    """Return a value as a text of at most `LONGEST` characters; None for a missing one."""
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        text = ", ".join(source_text(item) or "" for item in value[:LONGEST])
    elif isinstance(value, Decimal):
        text = f"{value:f}"
    elif isinstance(value, (dt.date, dt.datetime)):
        text = value.isoformat()
    else:
        text = str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + _CUT


def to_json(values: Iterable[SourceValue]) -> str | None:
    """Return the JSON text in which the ledger keeps the values; None if there are none."""
    found = dict(values)
    return json.dumps(found, ensure_ascii=False) if found else None


def from_json(text: str | None) -> tuple[SourceValue, ...]:
    """Return the values in such a text."""
    return () if text is None else tuple(SourceValue(*one) for one in json.loads(text).items())
