"""Find the models and sources of a dbt project that a query reads, by the project's manifest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow_provider_crm.exceptions import ConfigurationError

_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_TABLE = re.compile(r"\b(?:from|join)\s+([\w.$\"`]+)", re.IGNORECASE)
_MODELS = ("model", "seed", "snapshot")


class DbtModels:
    """The models and sources of a dbt project by the names of their tables.

    Args:
        manifest: Path of `target/manifest.json`.

    Raises:
        ConfigurationError: The file is no manifest.
    """

    def __init__(self, manifest: str) -> None:
        try:
            content = json.loads(Path(manifest).read_text(encoding="utf-8"))
            self._by_name = {name: expression for expression, name in _named(content)}
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as err:
            msg = f"{manifest} is no manifest of dbt ({type(err).__name__}); `dbt parse` writes target/manifest.json."
            raise ConfigurationError(msg) from err

    def read_by(self, sql: str) -> list[str]:
        """Return the models and sources that a query reads, as `ref(...)` and `source(...)`."""
        found = (self._by_name.get(name) for name in tables_of(sql))
        return sorted({expression for expression in found if expression is not None})


def tables_of(sql: str) -> list[str]:
    """Return the names after FROM and JOIN in a query, in lower case and without quotes; those of its WITH, too."""
    names = _TABLE.findall(_COMMENT.sub(" ", sql))
    return [re.sub(r"[\"`]", "", name).lower() for name in names]


def _named(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each model and source with the names that a query may call it by, those that say least first."""
    found = [
        (f"ref('{node['name']}')", _parts(node, node.get("alias") or node["name"]))
        for node in manifest["nodes"].values()
        if node["resource_type"] in _MODELS
    ]
    found += [
        (f"source('{node['source_name']}', '{node['name']}')", _parts(node, node["identifier"]))
        for node in manifest.get("sources", {}).values()
    ]
    for first in (2, 1, 0):
        for expression, parts in found:
            if all(parts[first:]):
                yield expression, ".".join(parts[first:]).lower()


def _parts(node: Mapping[str, Any], table: str) -> tuple[str, str, str]:
    """Return database, schema and name of a table; empty where the manifest has none."""
    return node.get("database") or "", node.get("schema") or "", table
