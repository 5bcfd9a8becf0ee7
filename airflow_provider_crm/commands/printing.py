"""Print what commands have read, in the formats of Airflow's own commands.

JSON and YAML keep the types of values: numbers are numbers, and times are texts in ISO 8601, in UTC. Tables are for
people: they may show fewer columns, and write lists and counts as one text.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from airflow.cli.simple_table import AirflowConsole

_FOR_PROGRAMS = ("json", "yaml")


def is_for_programs(output: str) -> bool:
    """Return whether a format keeps the types of values."""
    return output in _FOR_PROGRAMS


def print_rows(rows: Sequence[Mapping[str, Any]], output: str, columns: Sequence[str] | None = None) -> None:
    """Print rows that have the same keys.

    Args:
        rows: The rows.
        output: json, yaml, table or plain.
        columns: The keys that a table shows; None for all.
    """
    if is_for_programs(output):
        print_object([dict(row) for row in rows], output)
        return
    cells = [{name: _cell(row[name]) for name in columns or row} for row in rows]
    # Markup is off: a text such as `[crm]` is no style.
    console = AirflowConsole(markup=False, emoji=False, highlight=False)
    console.print_as(cells, output)


def print_object(content: Any, output: str) -> None:  # noqa: ANN401 - any JSON
    """Print an object as JSON or YAML."""
    console = AirflowConsole(markup=False, emoji=False, highlight=False)
    plain = _plain(content)
    if output == "json":
        console.print_as_json(plain)
    else:
        console.print_as_yaml(plain)


def print_title(text: str) -> None:
    """Print the title of a table."""
    print(f"\n{text}\n")


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a value as JSON has it: amounts as texts, as a float is not exact."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(timespec="seconds")
    return str(value) if isinstance(value, (str, Decimal)) else value


def _cell(value: Any) -> str:  # noqa: ANN401 - any JSON
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    if isinstance(value, dt.datetime):
        return f"{value.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}"
    return str(value)
