"""Write what the code says itself into the manual: `python -m tests.docs.generated` brings the pages up to date.

A part of a page between `<!-- generated: NAME -->` and `<!-- end -->` is what `PARTS` has by that name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_crm.database import views as ledger_views
from airflow_provider_crm.database.schema import metadata
from airflow_provider_crm.provider_info import get_provider_info
from tests.docs.pages import DOCS
from tests.test_layering import ARROWS, EVERYWHERE

if TYPE_CHECKING:
    import sqlalchemy as sa

MARKED = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(?=<!-- end -->)", re.DOTALL)


def tables() -> str:
    """Return a section for each table of the ledger, with its columns, from the comments of the schema."""
    return "".join(f"\n### `{table.name}`\n\n{table.comment}\n\n{_columns(table)}" for table in _in_order()) + "\n"


def views() -> str:
    """Return a section for each view on the ledger, with its columns."""
    found = ledger_views.metadata.tables.values()
    return "".join(f"\n### `{view.name}`\n\n{view.comment}\n\n{_columns(view, of_view=True)}" for view in found) + "\n"


def _in_order() -> list[sa.Table]:
    """Return the tables in the order of the schema, and those of its version at the end."""
    return sorted(metadata.tables.values(), key=lambda table: table.name.endswith("_version"))


def _columns(table: sa.Table, *, of_view: bool = False) -> str:
    def kind(column: sa.Column[object]) -> str:
        return _kind(column).removesuffix(", or null") if of_view else _kind(column)

    rows = [f"| `{column.name}` | {kind(column)} | {_cell(column.comment or '')} |\n" for column in table.columns]
    return "| column | type | |\n|---|---|---|\n" + "".join(rows)


def _kind(column: sa.Column[object]) -> str:
    """Return the type in words, and whether the column belongs to the key or may be null."""
    kind = type(column.type).__name__
    words = {"Text": "text", "String": "text", "Boolean": "boolean", "Float": "number", "UtcDateTime": "time"}
    return words.get(kind, "whole number") + (", key" if column.primary_key else ", or null" if column.nullable else "")


def settings() -> str:
    """Return a table of the options of `[crm]`, as Airflow's own documentation would have them."""
    rows = [
        f"| `{name}` | {_cell(option['description'])} | {_code(option['default'])} | {_code(option['example'])} |\n"
        for name, option in get_provider_info()["config"]["crm"]["options"].items()
    ]
    return "| option | meaning | default | such as |\n|---|---|---|---|\n" + "".join(rows)


def arrows() -> str:
    """Return a line for each part of the package: what it may import of it."""
    parts = {part: sorted(targets) for part, targets in ARROWS.items() if part not in EVERYWHERE}
    lines = [f"{part} -> {', '.join(targets) or 'nothing'}\n" for part, targets in parts.items()]
    return f"```text\n{''.join(lines)}```\n"


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


PARTS = {"tables": tables, "views": views, "settings": settings, "arrows": arrows}


def renewed(text: str) -> str:
    """Return a page whose generated parts are up to date."""
    return MARKED.sub(lambda found: found[1] + PARTS[found["name"]](), text)


def generated_pages() -> list[Path]:
    """Return the pages that have such parts."""
    return [page for page in sorted(DOCS.glob("*.md")) if MARKED.search(page.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    for page in generated_pages():
        page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
